"""Writes files atomically: a file is complete, or it is not there."""

import contextlib
import errno
import os
import pathlib
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

from jlstm.files import temporary

_CANNOT = "cannot write it: "


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Writes a file atomically.

    Raises:
      ValueError: the path is not a file name.
      OSError: the file cannot be written. An existing file stays unchanged.
    """
    write_by(path, lambda beside: beside.write_bytes(content))


def write_by(
    path: str | os.PathLike[str], write: Callable[[pathlib.Path], Any], ending: str = ""
) -> None:
    """Calls `write` with a temporary path in the folder of `path`, then renames that file.

    The temporary name has a fixed length, and ends in `ending`. If `path` is a symbolic link, its
    target is replaced and the link stays. If it is a pipe or a device, the bytes are written to it.
    An existing file keeps its owner and its permissions; a read-only file is refused. Temporary
    files that killed processes left in the folder are removed.

    Raises:
      ValueError: the path is not a file name.
      OSError: the file cannot be written. An existing file stays unchanged. Errors name `path`.
    """
    with _written(path, write, ending) as (beside, place):
        if place is None:
            with beside.open("rb") as file, open(path, "wb") as stream:
                shutil.copyfileobj(file, stream)
        else:
            beside.replace(place)


def try_by(
    path: str | os.PathLike[str],
    write: Callable[[pathlib.Path], Any] = lambda beside: None,
    ending: str = "",
) -> None:
    """Writes a temporary file as `write_by` does, and removes it. A file at `path` stays as it is.

    If there is none, an empty file of that name is created and removed, as file systems may refuse
    the name.

    Raises:
      ValueError, OSError: `write_by` would raise it.
    """
    with _written(path, write, ending) as (_, place):
        if place is not None and not place.exists():
            _create_and_remove(place)


def require_apart(source: pathlib.Path, out: pathlib.Path, what: str) -> None:
    """ValueError if writing `out` would replace the file `source`, which `out` is made from.

    Args:
      source, out: the files.
      what: what `out` would hold, such as "its own program".
    """
    if os.path.exists(source) and os.path.exists(out) and os.path.samefile(source, out):
        raise ValueError(f"{source} would be replaced by {what}; choose another output file")


def told(error: OSError) -> str:
    """An error that has a path, as of `write_by`, as a sentence that begins with the path.

    >>> told(FileNotFoundError(2, "No such file or directory", "a.txt"))
    'a.txt: No such file or directory'
    """
    if error.filename is None or error.strerror is None:
        return str(error)
    writes = "cannot write " * error.strerror.startswith(_CANNOT)
    return f"{writes}{os.fsdecode(error.filename)}: {reason(error)}"


def reason(error: OSError) -> str:
    """Why a file could not be written, without its path."""
    return (error.strerror or str(error)).removeprefix(_CANNOT)


@contextlib.contextmanager
def _written(
    path: str | os.PathLike[str], write: Callable[[pathlib.Path], Any], ending: str
) -> Iterator[tuple[pathlib.Path, pathlib.Path | None]]:
    """A complete temporary file, and the place it is for; None for a pipe or a device."""
    require_name(path)
    if os.path.isdir(path):
        words = f"{_CANNOT}it is a folder; pass the name of a file in it"
        raise IsADirectoryError(errno.EISDIR, words, os.fspath(path))
    with errors_naming(path):
        streams = os.path.exists(path) and not os.path.isfile(path)
        place = None if streams else pathlib.Path(os.path.realpath(path))
        if place is not None and place.is_symlink():
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        folder = pathlib.Path(tempfile.gettempdir()) if place is None else place.parent
        _require_folder(folder)
        before = _replaceable(place) if place is not None and place.exists() else None
        beside = folder / temporary.name(ending)
        try:
            created = _create(beside, 0o666 if place is not None and before is None else 0o600)
            if before is not None:
                _keep_owner(beside, created, before)  # before the work, to fail early
            temporary.remove_left_behind(folder, created.st_mtime)
            write(beside)
            with beside.open("rb+") as file:
                os.fsync(file.fileno())
            if before is not None:  # `write` may have made a new file of that name
                _keep_owner(beside, beside.stat(), before)
                beside.chmod(stat.S_IMODE(before.st_mode))
            yield beside, place
        finally:
            beside.unlink(missing_ok=True)


def require_name(path: str | os.PathLike[str]) -> None:
    """ValueError if no file can have the path: it has a NUL, or characters that are halves."""
    try:
        whole = os.fsencode(path)
    except UnicodeEncodeError:
        whole = b"\0"
    if b"\0" in whole:
        raise ValueError(
            f"cannot write {os.fspath(path)!r}: file names cannot hold all of its characters; "
            "choose another name"
        )


@contextlib.contextmanager
def errors_naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turns errors about other paths, such as the temporary one, into errors about `path`."""
    try:
        yield
    except OSError as error:
        if error.errno is None:  # of HDF5
            raise OSError(f"cannot write {os.fspath(path)}: {error}") from None
        words = f"{_CANNOT}{error.strerror}"
        raise type(error)(error.errno, words, os.fspath(path)) from None


def _require_folder(folder: pathlib.Path) -> None:
    """An OSError that says which folder a file is to be created in, if there is none."""
    try:
        known = stat.S_ISDIR(folder.stat().st_mode)
    except FileNotFoundError:
        raise FileNotFoundError(
            errno.ENOENT, f"the folder {folder} does not exist; make it, or choose another name"
        ) from None
    if not known:
        raise NotADirectoryError(
            errno.ENOTDIR, f"{folder} is a file, not a folder; choose another name"
        )


def _create(path: pathlib.Path, mode: int) -> os.stat_result:
    """Creates an empty file. The system applies the umask to `mode`.

    Reading the umask directly would mean changing it, for all threads.
    """
    handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, mode)
    try:
        return os.fstat(handle)
    finally:
        os.close(handle)


def _create_and_remove(path: pathlib.Path) -> None:
    with contextlib.suppress(FileExistsError):  # of another process, just now: the name is good
        created = _create(path, 0o666)
        if os.path.samestat(created, path.lstat()):
            path.unlink()


def _replaceable(path: pathlib.Path) -> os.stat_result:
    """The state of a file at `path`; PermissionError if writing to it would be refused.

    Renaming would replace it nevertheless.
    """
    before = path.stat()
    if not before.st_mode & 0o222:  # root may write to it, but it is read-only on purpose
        raise PermissionError(
            errno.EACCES, "the file is read-only; make it writable, or choose another name"
        )
    os.close(os.open(path, os.O_WRONLY))
    return before


def _keep_owner(path: pathlib.Path, now: os.stat_result, before: os.stat_result) -> None:
    """Gives the new file the owner and group of the old one; PermissionError if that fails."""
    if (now.st_uid, now.st_gid) != (before.st_uid, before.st_gid):
        try:
            os.chown(path, before.st_uid, before.st_gid)
        except PermissionError:
            raise PermissionError(
                errno.EPERM,
                f"the file belongs to user {before.st_uid} and group {before.st_gid}, and its "
                "replacement would not; remove it, or choose another name",
            ) from None
