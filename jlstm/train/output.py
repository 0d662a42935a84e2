"""The file of a trained model: what could keep it from being written is found before training."""

import contextlib
import pathlib
import secrets
import tempfile
from collections.abc import Callable, Iterator

from jlstm.files import folders, writing


def require_ready(
    path: pathlib.Path, overwrite: bool, try_save: Callable[[pathlib.Path], None]
) -> None:
    """ValueError if a model cannot be saved to `path`. Leaves nothing behind, not even a folder.

    Args:
      path: the file.
      overwrite: whether the file may exist.
      try_save: is called with `path`, whose folder exists; raises OSError if saving would.
    """
    writing.require_name(path)
    with _refused(path):
        if path.is_file() and not overwrite:
            raise ValueError(
                f"{path} exists; add --overwrite to replace it, or choose another file by --out"
            )
        with folders.made(path):
            try_save(path)


def write(
    path: pathlib.Path, overwrite: bool, save: Callable[[pathlib.Path], None]
) -> pathlib.Path:
    """Saves a model to `path`, creates its folder, and returns the path of the file.

    If a file has appeared there since `require_ready`, such as that of another run, both are kept:
    the model gets another name in the same folder.

    Raises:
      ValueError: the file cannot be written any more. If possible, the model is saved in the
        system's folder for temporary files, and the message says where.
    """
    another = f"model-{secrets.token_hex(4)}.safetensors"
    place = path.with_name(another) if path.is_file() and not overwrite else path
    try:
        with _refused(path):
            folders.make(place)
            save(place)
    except ValueError as error:
        place = pathlib.Path(tempfile.gettempdir()) / another
        try:
            save(place)
        except OSError:
            raise error from None
        raise ValueError(f"{error}; the model is in {place} instead") from None
    return place


@contextlib.contextmanager
def _refused(path: pathlib.Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ValueError(f"cannot write the model to {path}: {writing.reason(error)}") from None
