"""Arrays of sequences in .npz files: which there may be, and what they may hold."""

import os
from collections.abc import Collection
from typing import NoReturn

import numpy as np

from jlstm import validation
from jlstm.files import npz

_PARTS = ("", "_valid", "_test")
_KNOWN = [f"{name}{part}" for part in _PARTS for name in ("xs", "targets", "lengths")]
_KNOWN += ["classes", "vocabulary"]


def read(path: str | os.PathLike[str], required: Collection[str]) -> dict[str, np.ndarray]:
    """All arrays of a file.

    Raises:
      ValueError: the file cannot be read, lacks a required array, or has one that is not known.
    """

    def choose(names: Collection[str]) -> Collection[str]:
        for name in required:
            if name not in names:
                hint = validation.nearest(name, names) if names else "it has none"
                raise ValueError(f"{path} has no array {name!r}; {hint}")
        for name in names:
            if name not in _KNOWN:
                raise ValueError(
                    f"{path} has an array {validation.shown(name)}, which is not known; "
                    f"{validation.nearest(name, _KNOWN)}"
                )
        return names

    return npz.read(path, choose)


def texts(arrays: dict[str, np.ndarray], name: str) -> tuple[str, ...]:
    """An array of different texts; empty if there is none."""
    array = arrays.get(name)
    if array is None:
        return ()
    if array.dtype.kind != "U" or array.ndim != 1:
        _refuse_kind(name, array, "texts [count]")
    if len(set(array.tolist())) < len(array):
        raise ValueError(f"{name} has a text twice; expected different ones")
    return tuple(array.tolist())


def inputs(arrays: dict[str, np.ndarray], part: str) -> tuple[np.ndarray, np.ndarray | None]:
    """The inputs of a part, 0 after the end of each sequence, and lengths int32 [N] or None.

    Inputs are floats [N, T, features], or tokens int32 [N, T]. Those within the lengths are
    finite, and not negative.
    """
    name = f"xs{part}"
    xs = arrays[name]
    tokens = xs.dtype.kind in "iu" and xs.ndim == 2
    if not tokens and (xs.dtype.kind not in "fiub" or xs.ndim != 3):
        _refuse_kind(
            name, xs, "numbers [sequences, steps, features] or whole numbers [sequences, steps]"
        )
    if not xs.size:
        raise ValueError(f"{name} has the shape {list(xs.shape)}; expected at least one of each")
    lengths = arrays.get(f"lengths{part}")
    if lengths is not None:
        _require_lengths(f"lengths{part}", lengths, xs)
        lengths = lengths.astype("int32")
        beyond = np.arange(xs.shape[1]) >= lengths[:, None]
        xs = np.where(beyond.reshape(*beyond.shape, *[1] * (xs.ndim - 2)), xs.dtype.type(0), xs)
        lengths = lengths if beyond.any() else None
    if tokens:
        require_range(name, xs, 0, 2**31)
        return xs.astype("int32"), lengths
    _require_finite(name, xs)
    return xs, lengths


def targets(arrays: dict[str, np.ndarray], part: str) -> np.ndarray:
    """The targets of a part: classes int32 [N] or [N, T], or floats [N, values] or [N, T, values].

    -1 among the classes of steps means that a step does not count.
    """
    name = f"targets{part}"
    found = arrays[name]
    if found.dtype.kind in "iu" and found.ndim in (1, 2):
        require_range(name, found, 1 - found.ndim, 2**31)
        found = found.astype("int32")
    elif found.dtype.kind == "f" and found.ndim in (1, 2, 3):
        _require_finite(name, found)
        found = found[:, None] if found.ndim == 1 else found
    else:
        _refuse_kind(
            name, found, "classes, whole numbers [sequences] or [sequences, steps], or values, "
            "floats [sequences, values] or [sequences, horizon, values]",
        )  # fmt: skip
    sequences = len(arrays[f"xs{part}"])
    if len(found) != sequences:
        raise ValueError(
            f"{name} has {len(found)} sequences, but xs{part} has {sequences}; expected as many"
        )
    if not found.size:
        raise ValueError(f"{name} has the shape {list(found.shape)}; expected at least one of each")
    return found


def require_range(name: str, array: np.ndarray, low: int, below: int, why: str = "") -> None:
    """ValueError with the first element that is not within [low, below)."""
    strays = np.argwhere((array < low) | (array >= below))
    if len(strays):
        at = tuple(strays[0].tolist())
        raise ValueError(
            f"{name}{list(at)} is {array[at]}; expected a whole number from {low} to "
            f"{below - 1}{why}"
        )


def _require_lengths(name: str, lengths: np.ndarray, xs: np.ndarray) -> None:
    if lengths.dtype.kind not in "iu" or lengths.ndim != 1 or len(lengths) != len(xs):
        _refuse_kind(name, lengths, f"whole numbers [{len(xs)}]")
    require_range(name, lengths, 1, xs.shape[1] + 1, ", the steps that xs has")


def _require_finite(name: str, array: np.ndarray) -> None:
    strays = np.argwhere(~np.isfinite(array))
    if len(strays):
        at = tuple(strays[0].tolist())
        raise ValueError(
            f"{name}{list(at)} is {array[at]}; replace it by a finite number, or end the sequence "
            "before it by lengths"
        )


def _refuse_kind(name: str, array: np.ndarray, expected: str) -> NoReturn:
    raise ValueError(
        f"{name} has the dtype {array.dtype} and the shape {list(array.shape)}; expected {expected}"
    )
