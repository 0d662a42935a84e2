"""Tells what a file is from its bytes, so that errors about files with a wrong name can say it."""

import os
import stat

_START = 512  # bytes that are looked at
_TABLE = bytes.fromhex("57fb808b247547db")  # the end of LevelDB's table format
# Entries that the first one of a zip archive may be.
_OF_TORCH = ("data.pkl", "/data/0", "/version", "/.format_version", "/byteorder", "/constants.pkl")
_OF_KERAS = ("metadata.json", "config.json", "model.weights.h5")
_TEXT = bytes({*range(0x20, 0x7F), *b"\t\n\r", *range(0x80, 0x100)})

# Kinds: what such a file is, and the extensions by which `jlstm convert` knows it.
KINDS = {
    "device": ("a pipe or a device; write its content to a file first", ()),
    "empty": ("empty", ()),
    "git lfs": ("a pointer of Git LFS; get the file itself by git lfs pull", ()),
    "gzip": ("compressed by gzip; unpack it first", ()),
    "hdf5": ("an HDF5 file, such as Keras writes", (".h5", ".hdf5", ".keras")),
    "keras": ("a .keras file", (".keras",)),
    "npz": ("an .npz file of NumPy", (".npz",)),
    "onnx": ("an ONNX model", (".onnx",)),
    "pickle": ("a pickle, which is a program; save tensors by torch.save or safetensors", ()),
    "safetensors": ("a safetensors file", (".safetensors",)),
    "table": ("the index of a TensorFlow checkpoint", (".index",)),
    "text": ("a text file", ()),
    "torch": ("a file of torch.save", (".pt", ".pth", ".ckpt", ".bin")),
    "web page": ("a web page; download the file itself", ()),
    "zip": ("a zip archive", ()),
}


def kind(path: str | os.PathLike[str]) -> str | None:
    """One of KINDS; None if the file is none of them, is a folder, or cannot be read.

    Pipes and devices are not opened, as that could wait for ever.
    """
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            return None
        if not stat.S_ISREG(mode):
            return "device"
        with open(path, "rb") as file:
            start = file.read(_START)
            file.seek(-min(len(start), len(_TABLE)), os.SEEK_END)
            end = file.read()
    except (OSError, ValueError):
        return None
    return _of_bytes(start, end)


def require(path: str | os.PathLike[str], expected: str, *accepted: str) -> None:
    """ValueError if a file is of a known kind that is not `accepted`.

    Args:
      path: the file.
      expected: what it should be, such as "a whole ONNX model".
      accepted: some of KINDS. Files of no known kind are accepted too.
    """
    found = kind(path)
    if found is not None and found not in accepted:
        what, endings = KINDS[found]
        mend = ""
        if endings:
            named = str(path).lower().endswith(endings)
            mend = ", which jlstm convert reads without --from"
            mend += "" if named else f" if its name ends in {endings[0]}"
        raise ValueError(f"{path} is not {expected}: it is {what}{mend}")


def _of_bytes(start: bytes, end: bytes) -> str | None:
    if not start:
        return "empty"
    # The length of the header comes first: a number whose bytes may look like anything.
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") < 1 << 30:
        return "safetensors"
    if start[:4] == b"PK\3\4":
        return _of_archive(start)
    for beginning, found in (
        (b"\x89HDF\r\n\x1a\n", "hdf5"),
        (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", "torch"),  # before 1.6
        (b"\x1f\x8b", "gzip"),
        (b"version https://git-lfs", "git lfs"),
    ):
        if start.startswith(beginning):
            return found
    if start[0] == 0x80 and start[1:2] in (b"\2", b"\3", b"\4", b"\5"):
        return "pickle"
    # ONNX's first fields: ir_version, then a text or the graph. A SavedModel has the version 1.
    if len(start) > 2 and start[0] == 0x08 and 2 < start[1] < 0x40 and start[2] in b"\x12\x3a\x42":
        return "onnx"
    if end == _TABLE:
        return "table"
    if not start.translate(None, _TEXT):
        head = start.lstrip()[:15].lower()
        return "web page" if head.startswith((b"<!doctype html", b"<html")) else "text"
    return None


def _of_archive(start: bytes) -> str:
    """The kind of a zip archive, by the name of its first entry."""
    name = start[30 : 30 + int.from_bytes(start[26:28], "little")].decode(errors="replace")
    if name.endswith(".npy"):
        return "npz"
    if name.endswith(_OF_TORCH):
        return "torch"
    return "keras" if name in _OF_KERAS else "zip"
