"""Which framework's format a file has, or is to have, by its extension and its bytes."""

import os
import pathlib
import zipfile

from jlstm import validation
from jlstm.files import contents
from jlstm.interop import tensorflow
from jlstm.interop.tensorflow import checkpoint

FORMATS = ("jlstm", "keras", "onnx", "tensorflow", "torch")
_ENDINGS = {
    ".safetensors": "jlstm",
    ".keras": "keras",
    ".weights.h5": "keras",
    ".onnx": "onnx",
    ".npz": "tensorflow",
    ".pt": "torch",
    ".pth": "torch",
}
_READ_ONLY = {".h5": "keras", ".hdf5": "keras", ".index": "tensorflow"}
_OF_TORCH = (".ckpt", ".bin")  # of Lightning and Hugging Face; others use them too
# By what the bytes tell.
_OF_CONTENTS = {"hdf5": "keras", "keras": "keras", "npz": "tensorflow", "onnx": "onnx"}
_OF_CONTENTS |= {"safetensors": "jlstm", "table": "tensorflow", "torch": "torch"}


def of_source(given: str | None, path: pathlib.Path) -> str:
    """The format of a file to read, one of FORMATS, unless it is `given`.

    Raises:
      ValueError: the format is not known, or the file does not exist.
    """
    if given is not None:
        return validation.known_name("--from", given, FORMATS)
    if tensorflow.holds_objects(path):
        return "keras"  # of Keras are the layers in checkpoints of TensorFlow 2
    if (found := _by_ending(path, _ENDINGS | _READ_ONLY)) is not None:
        return found
    if checkpoint.exists(path):
        return "tensorflow"
    if path.suffix.lower() in _OF_TORCH and path.is_file() and zipfile.is_zipfile(path):
        return "torch"
    if path.is_dir():
        raise ValueError(f"{path} is a folder without a checkpoint of TensorFlow; pass a file")
    try:
        os.stat(path)
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    known = ", ".join((*_ENDINGS, *_READ_ONLY, *_OF_TORCH))
    said = f"{path}: its extension does not tell its format; known are {known}; "
    if (kind := contents.kind(path)) is None:
        raise ValueError(f"{said}otherwise give the format by --from, one of {_listed()}")
    said += f"it is {contents.KINDS[kind][0]}"
    known_as = _OF_CONTENTS.get(kind)
    mend = f"; add --from {known_as}" if known_as else "; expected a file of weights"
    raise ValueError(said + mend)


def of_output(given: str | None, path: pathlib.Path) -> str:
    """The format of a file to write, one of FORMATS, unless it is `given`.

    Raises:
      ValueError: the format is not known, or files of that extension are read but not written.
    """
    if given is not None:
        found = validation.known_name("--to", given, FORMATS)
    elif (by_ending := _by_ending(path, _ENDINGS | _READ_ONLY)) is not None:
        found = by_ending
    elif path.is_dir():
        raise ValueError(f"cannot write {path}: it is a folder; pass the name of a file in it")
    else:
        only = f" ({path.suffix} files are only read)" if path.suffix.lower() in _OF_TORCH else ""
        raise ValueError(
            f"{path}: its extension does not tell its format{only}; known are "
            f"{', '.join(_ENDINGS)}; otherwise give the format by --to, one of {_listed()}"
        )
    what = instead = None
    if found == "tensorflow" and not path.name.lower().endswith(".npz"):
        what, instead = "TensorFlow checkpoints", ".npz, which holds arrays by variable name"
    elif found == _by_ending(path, _READ_ONLY) and not _by_ending(path, _ENDINGS):
        what, instead = "older .h5 files of Keras", ".keras or .weights.h5"
    if what:
        raise ValueError(
            f"{path}: {what} are read but not written; choose an output file with the extension "
            f"{instead}"
        )
    return found


def _by_ending(path: pathlib.Path, endings: dict[str, str]) -> str | None:
    name = path.name.lower()
    return next((format_ for end, format_ in endings.items() if name.endswith(end)), None)


def _listed() -> str:
    return ", ".join(FORMATS)
