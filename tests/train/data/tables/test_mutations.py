"""Damaged files give errors that say so, or are read; nothing else happens."""

import numpy as np
import pytest

from jlstm.train.data.tables.arrays import arrays
from jlstm.train.data.tables.sequences import sequences
from jlstm.train.data.tables.series import series
from tests.examples import examples
from tests.train.data.tables.files import write


def mutated(data, rng):
    """The bytes with some changed, cut out, doubled or added."""
    data = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        at, n = int(rng.integers(len(data))), int(rng.integers(1, 9))
        kind = rng.integers(5)
        if kind == 0:
            data[at] = rng.integers(256)
        elif kind == 1:
            data[at] ^= 1 << rng.integers(8)
        elif kind == 2 and len(data) > n + 1:
            del data[at : at + n]
        elif kind == 3:
            data[at:at] = data[at : at + n]
        else:
            data[at:at] = [b'",;\n\t\0'[rng.integers(6)]]
    return bytes(data) or b"x"


COLUMNS = {
    "who": [*"abcdef"] * 10,
    "t": [float(n) for n in range(60)],
    "x": np.random.default_rng(0).normal(size=60).tolist(),
    "y": [*"uvwuvw"] * 10,
}


def read(path):
    if path.endswith(".npz"):
        arrays(file=path)
        return
    usual = dict(file=path, time="t")
    series(**usual, targets="x", series="who", history=2, test=2, valid=1)
    sequences(**usual, sequence="who", inputs=["x"], label="y")


@pytest.mark.parametrize("ending", [".csv", ".parquet", ".npz"])
def test_a_damaged_file_is_an_error_in_one_line(tmp_path, ending):
    if ending == ".parquet":
        pytest.importorskip("pyarrow")
    if ending == ".npz":
        path = str(tmp_path / "a.npz")
        np.savez(path, xs=np.ones((6, 3, 2)), targets=np.arange(6), lengths=[1, 2, 3] * 2)
    else:
        path = write(tmp_path / f"a{ending}", COLUMNS)
    read(path)
    whole = (tmp_path / f"a{ending}").read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(10 * examples(300)):
        (tmp_path / f"a{ending}").write_bytes(mutated(whole, rng))
        try:
            read(path)
        except ValueError as error:
            refused += 1
            assert path in str(error) and "\n" not in str(error), str(error)
            assert len(str(error)) < 1600
    assert refused
