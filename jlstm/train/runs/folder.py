"""The folder of a run: what belongs to it, and whether a run may begin or go on there."""

import contextlib
import os
import pathlib
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from jlstm import validation
from jlstm.files import writing
from jlstm.train.runs import checkpoints, curves, events, lock, metrics, model_file, resolved

CHECKPOINTS = "checkpoints"


@contextlib.contextmanager
def opened(
    path: str | os.PathLike[str],
    tables: Mapping[str, Any],
    *,
    resume: bool = False,
    overwrite: bool = False,
    may_change: Collection[str] = resolved.MAY_CHANGE,
    try_out: Callable[[], None] = lambda: None,
) -> Iterator[pathlib.Path]:
    """The folder of a run, made ready and locked until the end. One process of a run calls it.

    A new folder gets config.toml; with `resume` its config is replaced. A folder that was created
    here is removed again if the run cannot begin, or is interrupted before its first checkpoint.

    Args:
      path: the folder.
      tables: the config as resolved, as TOML has it.
      resume: go on with the run that the folder holds. If there is none, a new one begins, so that
        a job that is started again can always pass it.
      overwrite: remove what a former run wrote, and nothing else.
      may_change: options that may differ between the run and its resumption: "table.option", or
        "table" for all options of one.
      try_out: raises an error if the run could not save what it will make. It is called when the
        folder exists, and before a former run is removed.

    Raises:
      ValueError: the folder holds a run, and neither `resume` nor `overwrite` is given; the config
        differs in what matters; another process trains there; or the folder cannot be written to.
    """
    folder = pathlib.Path(path)
    content = resolved.text(tables).encode()
    if resume and overwrite:
        raise ValueError("--resume and --overwrite exclude each other; leave out one of them")
    with _refused(folder):
        writing.require_name(folder)
        if folder.exists() and not folder.is_dir():
            raise ValueError(f"{folder} is a file; choose another folder for the run")
        missing = [each for each in (folder, *folder.parents) if not each.exists()]
        begun = folder.is_dir() and resolved.of_a_run(folder / resolved.NAME)
    with contextlib.ExitStack() as stack:
        try:
            with _refused(folder):
                folder.mkdir(parents=True, exist_ok=True)
                stack.enter_context(lock.locked(folder))
                _require_allowed(folder, tables, resume, overwrite, may_change)
                place = folder / resolved.NAME
                writing.try_by(place, lambda beside: beside.write_bytes(content))
                try_out()
                if overwrite:
                    _clear(folder)
                writing.write_bytes(place, content)
        except BaseException:
            stack.close()
            _remove(folder, missing)
            raise
        try:
            yield folder
        except Exception:
            raise
        except BaseException:  # Ctrl-C and the like
            if not begun and not checkpoints.steps(folder / CHECKPOINTS):
                _clear(folder)
                place.unlink()
                stack.close()
                _remove(folder, missing)
            raise


def _remove(folder: pathlib.Path, missing: list[pathlib.Path]) -> None:
    """Removes the folders that were created for a run that did not begin."""
    if missing:
        with contextlib.suppress(OSError):  # the folder could not be made
            (folder / lock.NAME).unlink()
    for each in missing:
        with contextlib.suppress(OSError):  # another process uses it
            each.rmdir()


def _require_allowed(
    folder: pathlib.Path,
    tables: Mapping[str, Any],
    resume: bool,
    overwrite: bool,
    may_change: Collection[str],
) -> None:
    """ValueError if a run must not begin or go on in a folder."""
    path = folder / resolved.NAME
    if not resolved.of_a_run(path):
        strays = [each.name for each in _belongings(folder)]
        if path.exists():
            raise ValueError(
                f"{path} was not written by `jlstm train`; choose another folder for the run"
            )
        if strays:
            raise ValueError(
                f"{folder} holds {validation.some(strays)}, but no config.toml of a run; remove "
                "what is not needed, or choose another folder for the run"
            )
        return
    if overwrite:
        return
    found = checkpoints.steps(folder / CHECKPOINTS)
    far = f", saved up to step {found[-1]}" if found else ", with no checkpoint yet"
    with validation.plain_errors(path):
        changed = resolved.differences(resolved.read(folder), tables, may_change)
    if not resume:
        of = "another config" if changed else "this config"
        raise ValueError(
            f"{folder} holds a run of {of} already{far}; add --resume to go on with it, "
            "--overwrite to begin anew, or choose another folder"
        )
    if changed and found:
        raise ValueError(
            f"{folder} holds a run of another config, which cannot go on with this one: "
            f"{'; '.join(changed[:8])}; undo these changes, or choose another folder"
        )


def _belongings(folder: pathlib.Path) -> list[pathlib.Path]:
    """The files and folders of a run that are in a folder, beside its config."""
    named = {CHECKPOINTS, metrics.NAME, curves.NAME, model_file.NAME}
    return sorted(
        each
        for each in folder.iterdir()
        if each.name in named or each.name.startswith(events.PREFIX)
    )


def _clear(folder: pathlib.Path) -> None:
    """Removes what a run wrote to a folder."""
    for each in _belongings(folder):
        if each.name != CHECKPOINTS:
            each.unlink()
            continue
        checkpoints.remove_unfinished(each)
        for step in checkpoints.steps(each):
            shutil.rmtree(each / str(step))
        with contextlib.suppress(OSError):  # holds other files, or is a link to another disk
            each.rmdir()


@contextlib.contextmanager
def _refused(folder: pathlib.Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ValueError(f"cannot write a run to {folder}: {writing.reason(error)}") from None
