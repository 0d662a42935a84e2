"""The file of a trained model: what could keep it from being written is found before training."""

import contextlib
import os
import pathlib
import secrets
import tempfile
from collections.abc import Callable, Iterator

from jlstm.files import writing


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
        with _with_folder(path):
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
    place = path
    try:
        with _refused(path):
            _make(_folder(path))
            if overwrite or (path.exists() and not path.is_file()):  # pipes cannot be linked
                save(path)
            else:
                place = _saved_beside(path, another, save)
    except ValueError as error:
        place = pathlib.Path(tempfile.gettempdir()) / another
        try:
            save(place)
        except OSError:
            raise error from None
        raise ValueError(f"{error}; the model is in {place} instead") from None
    return place


def _saved_beside(
    path: pathlib.Path, another: str, save: Callable[[pathlib.Path], None]
) -> pathlib.Path:
    """Saves under another name, then renames the file, unless a file is at `path` by then.

    Several runs may end at the same time. Of those that link a file to one name, one succeeds.
    """
    target = pathlib.Path(os.path.realpath(path)) if path.is_symlink() else path
    beside = target.with_name(another)
    save(beside)
    try:
        os.link(beside, target)
    except FileExistsError:
        return beside
    except OSError:  # some file systems have no links
        if target.exists():
            return beside
        beside.rename(target)
    else:
        beside.unlink()
    return path


def _folder(path: pathlib.Path) -> pathlib.Path:
    """The folder that a file at `path` is in, or would be."""
    return pathlib.Path(os.path.realpath(path)).parent


def _make(folder: pathlib.Path) -> None:
    if not folder.exists():  # a file has a clearer error when a file is to be created in it
        folder.mkdir(parents=True, exist_ok=True)


@contextlib.contextmanager
def _with_folder(path: pathlib.Path) -> Iterator[None]:
    """Creates the folder of `path`. If it was missing, it is removed at the end."""
    folder = _folder(path)
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        _make(folder)
        yield
    finally:
        for each in missing:
            with contextlib.suppress(OSError):  # not empty any more: another process uses it
                each.rmdir()


@contextlib.contextmanager
def _refused(path: pathlib.Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ValueError(f"cannot write the model to {path}: {writing.reason(error)}") from None
