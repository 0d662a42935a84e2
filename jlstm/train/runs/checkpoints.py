"""Checkpoints of a run, which Orbax writes while training continues.

A checkpoint gets its name when it is complete, so a killed process leaves no incomplete one under
such a name. A checkpoint holds a pytree of arrays and a mapping of JSON values.
"""

import contextlib
import json
import os
import pathlib
import re
import shutil
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax

from jlstm import validation
from jlstm.files import writing
from jlstm.train.runs import fingerprints, orbax

_ELSEWHERE = "another process cannot read it"


class Restored(NamedTuple):
    """What `restore` found.

    Attributes:
      step: the step that the checkpoint was saved at.
      state: a pytree as `like`, on its shardings.
      notes: the JSON values that were saved with it.
      said: a line for each newer checkpoint that was damaged and skipped.
    """

    step: int
    state: Any
    notes: dict[str, Any]
    said: tuple[str, ...] = ()


def steps(folder: str | os.PathLike[str]) -> list[int]:
    """The steps of the checkpoints in a folder, oldest first, damaged ones included."""
    with contextlib.suppress(FileNotFoundError):
        names = (each.name for each in pathlib.Path(folder).iterdir())
        return sorted(int(name) for name in names if re.fullmatch(r"0|[1-9][0-9]*", name))
    return []


def restore(folder: str | os.PathLike[str], like: Any) -> Restored | None:
    """The newest whole checkpoint of a folder; None if the folder holds no checkpoint.

    A damaged checkpoint is skipped, and `said` says so. Nothing is changed in the folder.

    Args:
      folder: the folder of the checkpoints.
      like: a pytree of arrays, or of ShapeDtypeStructs, as was saved. Arrays are restored onto its
        shardings, which may be of another number of devices than those that wrote them.

    Raises:
      ValueError: the arrays of the checkpoint are not those of `like`, or no checkpoint is whole.
      ImportError: orbax-checkpoint is missing.
    """
    said: list[str] = []
    for step in reversed(steps(folder)):
        state, notes, why = _read(pathlib.Path(folder), step, like)
        if not why:
            return Restored(step, state, notes, tuple(said))
        said.append(f"the checkpoint of step {step} is damaged, and is skipped: {why}")
    if said:
        raise ValueError(
            f"no checkpoint in {folder} is whole; add --overwrite to begin anew. {said[0]}"
        )
    return None


class Writer:
    """Writes checkpoints. `writer` makes one."""

    def __init__(self, folder: pathlib.Path, manager: Any, last: int | None) -> None:
        self._folder = folder
        self._manager = manager
        self._writing: int | None = None
        self.last = last  # the newest step whose checkpoint is known to be written

    def save(self, step: int, state: Any, notes: Mapping[str, Any] | None = None) -> None:
        """Begins to write a checkpoint, and returns when the arrays are copied.

        The caller may then donate the arrays. This first waits until the previous checkpoint is
        written. A step that is already saved is not saved again.

        Args:
          step: the number of steps that led to `state`.
          state: a pytree of arrays. All processes pass theirs.
          notes: JSON values, such as {"best": 0.3}, the same in all processes.

        Raises:
          OSError: this or the previous checkpoint cannot be written. Older ones stay.
        """
        self.wait()
        if step == self.last:
            return
        content = {"notes": dict(notes or {}), "arrays": fingerprints.described(state)}
        with self._errors(step):
            self._manager.save(step, args=orbax.saved(state, content | {"check": _check(content)}))
        self._writing = step

    def wait(self) -> None:
        """Waits until the last checkpoint is written.

        Raises:
          OSError: the checkpoint that was being written cannot be. Older ones stay.
        """
        if (step := self._writing) is not None:
            self._writing = None
            with self._errors(step):
                self._manager.wait_until_finished()
            self.last = step

    @contextlib.contextmanager
    def _errors(self, step: int) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # Orbax raises errors of many kinds for one full disk
            remove_unfinished(self._folder)
            kept = "" if self.last is None else f"; the checkpoint of step {self.last} stays"
            raise OSError(
                f"cannot write the checkpoint of step {step} to {self._folder}: "
                f"{_reason(error)}{kept}"
            ) from None


@contextlib.contextmanager
def writer(
    folder: str | os.PathLike[str], *, keep: int = 3, after: int | None = None
) -> Iterator[Writer]:
    """A `Writer` for a folder, which is created. At the end, waits for what is being written.

    Checkpoints that processes left unfinished are removed.

    Args:
      folder: the folder of the checkpoints. No other run may write to it; all processes of this run
        name the same one, on a file system that they share.
      keep: how many of the newest checkpoints stay.
      after: the step that training goes on from. Checkpoints of later steps, which are damaged or
        which the run is going to write again, are removed. None for a new run.

    Raises:
      OSError: as for `Writer.save`.
      ImportError: orbax-checkpoint is missing.
    """
    folder = pathlib.Path(os.path.abspath(folder))
    if jax.process_index() == 0:
        folder.mkdir(parents=True, exist_ok=True)
        remove_unfinished(folder)
        for step in steps(folder):
            if after is None or step > after:
                shutil.rmtree(folder / str(step))
    orbax.agree(True)  # no process looks for checkpoints before the first has removed some
    with orbax.quiet(), orbax.manager(folder, keep) as manager:
        made = Writer(folder, manager, after)
        try:
            yield made
        except BaseException:
            with contextlib.suppress(OSError):  # the first error says more
                made.wait()
            raise
        made.wait()


def remove_unfinished(folder: pathlib.Path) -> None:
    """Removes what killed or failed processes left of checkpoints, to free the disk."""
    if jax.process_index() == 0:
        for each in folder.glob("*.orbax-checkpoint-tmp*"):
            shutil.rmtree(each, ignore_errors=True)


def _read(folder: pathlib.Path, step: int, like: Any) -> tuple[Any, dict[str, Any], str]:
    """The state and the notes of a checkpoint, and why it cannot be used, or ''.

    Processes agree after each part, as all of them take part in the next one.
    """
    with orbax.quiet():
        content, why = _attempt(lambda: orbax.restored_about(folder, step))
        if not why and (
            not isinstance(content, dict) or content.pop("check", 0) != _check(content)
        ):
            why = "its notes are not those that were saved"
        if not orbax.agree(not why):
            return None, {}, why or _ELSEWHERE
        _require_same_form(folder / str(step), content["arrays"], like)
        state, why = _attempt(lambda: orbax.restored_state(folder, step, like))
        if not orbax.agree(not why):
            return None, {}, why or _ELSEWHERE
        found = fingerprints.described(state)
        wrong = [path for path, told in content["arrays"].items() if found[path] != told]
        if not orbax.agree(not wrong):
            return None, {}, f"the arrays are not those that were saved: {validation.some(wrong)}"
    return state, content["notes"], ""


def _attempt(read: Callable[[], Any]) -> tuple[Any, str]:
    """What a call of Orbax reads, and why it cannot, or ''."""
    try:
        return read(), ""
    except Exception as error:  # errors of many kinds, for damaged files
        return None, f"its files cannot be read ({_reason(error)})"


def _require_same_form(path: pathlib.Path, arrays: Mapping[str, Any], like: Any) -> None:
    """ValueError if a checkpoint holds other arrays than `like`."""
    saved = {name: tuple(each[:2]) for name, each in arrays.items()}
    wanted = fingerprints.form(like)
    for name in sorted(saved.keys() | wanted.keys()):
        had, needs = (
            "none" if each is None else f"{each[0]}{each[1]}"
            for each in (saved.get(name), wanted.get(name))
        )
        if had != needs:
            raise ValueError(
                f"{path} is the checkpoint of another model or optimiser: {name} is {had} there, "
                f"but {needs} in this run; resume with the config of that run"
            )


def _check(content: Mapping[str, Any]) -> int:
    """A checksum of JSON values."""
    return zlib.crc32(json.dumps(content, sort_keys=True).encode())


def _reason(error: Exception) -> str:
    """What an error of Orbax comes down to."""
    if code := re.search(r"os_error_code='(\d+)'", str(error)):
        return os.strerror(int(code[1]))
    if isinstance(error, OSError) and error.strerror:
        return writing.reason(error)
    first = (str(error) or type(error).__name__).splitlines()[0]
    return validation.shortened(validation.printable(first), 100)
