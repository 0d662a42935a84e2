"""Archives of arrays and checkpoints of TensorFlow that are changed, or made to do harm."""

import io
import pickle
import struct
import time
import zipfile

import numpy as np
import pytest

from jlstm import Config
from jlstm.interop import from_tensorflow
from tests.interop.test_bad_files import masked, refused, varint

pytestmark = pytest.mark.filterwarnings("ignore")


def test_archives_of_arrays_that_claim_much_or_hold_other_things(tmp_path):
    name = "rnn/lstm_cell/kernel"
    np.savez_compressed(tmp_path / "bomb.npz", **{name: np.zeros((5_000, 15_000), "float32")})
    zeros = np.zeros((512, 1024), "float32")
    cell = {"kernel": zeros, "bias": zeros[0]}
    many = {f"cell_{n}/lstm_cell/{last}": a for n in range(200) for last, a in cell.items()}
    np.savez_compressed(tmp_path / "many.npz", **many)
    np.savez(tmp_path / "objects.npz", **{name: np.array([{}], dtype=object)})
    with zipfile.ZipFile(tmp_path / "absurd.npz", "w") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (10**9, 10**9)}
        raw = io.BytesIO()
        np.lib.format.write_array_header_1_0(raw, header)
        file.writestr(f"{name}.npy", raw.getvalue() + bytes(16))
    with zipfile.ZipFile(tmp_path / "text.npz", "w") as file:
        file.writestr(f"{name}.npy", b"cos\nsystem\n(S'true'\ntR.")
    np.save(tmp_path / "array.npy", np.zeros((9, 16), "float32"))
    (tmp_path / "array.npy").rename(tmp_path / "array.npz")
    (tmp_path / "pickle.npz").write_bytes(pickle.dumps({name: 1}))
    for file in sorted(tmp_path.iterdir()):
        start = time.process_time()
        assert refused(from_tensorflow, file), file
        assert time.process_time() - start < 1


def test_other_arrays_of_an_archive_are_not_read(tmp_path):
    kernel, bias = np.ones((9, 16), "float32"), np.ones(16, "float32")
    odd = {"embedding": np.array([{}], dtype=object)}
    own = {"rnn/lstm_cell/kernel": kernel, "rnn/lstm_cell/bias": bias}
    np.savez(tmp_path / "a.npz", **own, **odd)
    assert from_tensorflow(tmp_path / "a.npz")[0] == Config.stack(5, [4])


def test_an_index_whose_names_grow_is_refused(whole, tmp_path):
    """Each name is the one before and a byte more, as names that share their beginning are kept."""
    names = b"".join(
        varint(max(n - 1, 0)) + varint(1) + varint(0) + b"a" for n in range(1, 100_000)
    )
    block = names + struct.pack("<II", 0, 1)
    index = block + b"\0" + masked(block + b"\0")
    handle = varint(0) + varint(len(block))
    listing = varint(0) + varint(1) + varint(len(handle)) + b"z" + handle + struct.pack("<II", 0, 1)
    at = len(index)
    index += listing + b"\0" + masked(listing + b"\0")
    footer = varint(0) + varint(0) + varint(at) + varint(len(listing))
    index += footer.ljust(40, b"\0") + (0xDB4775248B80FB57).to_bytes(8, "little")
    (tmp_path / "a.index").write_bytes(index)
    start = time.process_time()
    with pytest.raises(ValueError, match="8388608 bytes of names"):
        from_tensorflow(tmp_path / "a")
    assert time.process_time() - start < 1


def test_a_changed_weight_of_a_checkpoint_is_noticed(whole, tmp_path):
    for end in (".index", ".data-00000-of-00001"):
        (tmp_path / f"a{end}").write_bytes((whole / f"a{end}").read_bytes())
    from_tensorflow(tmp_path / "a")
    data = bytearray((tmp_path / "a.data-00000-of-00001").read_bytes())
    data[100] ^= 1
    (tmp_path / "a.data-00000-of-00001").write_bytes(data)
    with pytest.raises(ValueError, match="the checksum of rnn/lstm_cell/"):
        from_tensorflow(tmp_path / "a")
