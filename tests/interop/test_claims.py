"""Small files that would become large in memory: refused in about a second and 200 MB."""

import io
import time
import zipfile

import pytest

from jlstm.interop import from_torch
from tests.interop.test_bad_files import refused


def assert_refused_at_once(read, path):
    began = time.process_time()
    assert refused(read, path)
    assert time.process_time() - began < 2


def torch_archive(path, pickled, how=zipfile.ZIP_STORED):
    """An archive as of torch, in which something else is pickled."""
    torch = pytest.importorskip("torch")
    whole = io.BytesIO()
    torch.save({}, whole)
    with zipfile.ZipFile(whole) as archive, zipfile.ZipFile(path, "w", how) as made:
        for entry in archive.infolist():
            data = pickled if entry.filename.endswith("/data.pkl") else archive.read(entry)
            made.writestr(entry.filename, data)


@pytest.mark.parametrize(
    "pickled",
    [
        lambda: bytes(50_000_000),
        lambda: b"\x80\x02](" + b"]" * 3_000_000 + b"e.",
        lambda: b"\x80\x02X\x80\xf0\xfa\x02" + b"a" * 50_000_000 + b".",
    ],
    ids=["zeros", "lists", "string"],
)
@pytest.mark.parametrize("how", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_torch_archives_of_much_besides_tensors(pickled, how, tmp_path):
    torch_archive(tmp_path / "a.pt", pickled(), how)
    assert_refused_at_once(from_torch, tmp_path / "a.pt")


@pytest.mark.parametrize("way", ["expanded", "shared"])
def test_torch_tensors_larger_than_their_file(way, tmp_path):
    torch = pytest.importorskip("torch")
    if way == "expanded":
        zero = torch.zeros(1)
        state = {"weight_ih_l0": zero.expand(40_000, 10_000)}
        state["weight_hh_l0"] = zero.expand(40_000, 10_000)
    else:
        one = torch.nn.LSTM(500, 500).state_dict()
        state = {name[:-1] + str(n): a for n in range(100) for name, a in one.items()}
    torch.save(state, tmp_path / "a.pt")
    with pytest.raises(ValueError, match=r"weights would have .* save a clone"):
        from_torch(tmp_path / "a.pt")
    assert_refused_at_once(from_torch, tmp_path / "a.pt")
