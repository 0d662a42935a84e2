"""Several sequences in one row, so that little of a batch is padding."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from jlstm import arguments, validation


class Place(NamedTuple):
    """Where a sequence lies in a packed batch: its row, and its first step and the one after it."""

    row: int
    start: int
    end: int


class Packed(NamedTuple):
    """Sequences side by side in rows, as `apply` takes them.

    Attributes:
      xs: inputs [T, rows, I], zero where nothing lies.
      resets: booleans [T, rows], True where a sequence begins.
      mask: booleans [T, rows], False where nothing lies.
      places: where each sequence lies, in the order they were given in.
    """

    xs: np.ndarray
    resets: np.ndarray
    mask: np.ndarray
    places: tuple[Place, ...]


def pack(sequences: Sequence[Any], row_length: int) -> Packed:
    """Puts sequences into rows of equal length, each where it leaves the least room.

    A reset starts each sequence from the initial carry, so that `apply` gives of each what it gives
    of the sequence alone; only the last carry of a row is that of its last sequence. Longest first,
    into the fullest row that has room (best fit, decreasing).

    Args:
      sequences: arrays [T_n, I] of one dtype, each with at most `row_length` steps.
      row_length: steps of a row.

    Raises:
      TypeError, ValueError: no sequences, of different features or dtypes, or one that is too long.

    >>> packed = pack([np.ones((3, 2)), np.ones((5, 2)), np.ones((2, 2))], row_length=5)
    >>> packed.xs.shape, [place.row for place in packed.places]
    ((5, 2, 2), [1, 0, 1])
    """
    row_length = validation.positive_int("row_length", row_length)
    if not isinstance(sequences, Iterable):
        raise TypeError(f"sequences is {sequences!r}; expected arrays [T, I], one a sequence")
    arrays = [np.asarray(a) for a in sequences]
    if not arrays:
        raise ValueError("sequences is empty; expected at least one array [T, I]")
    if arrays[0].ndim != 2:
        raise ValueError(
            f"sequences[0] has shape {list(arrays[0].shape)}; expected [T, I]. One sequence by "
            "itself goes into a list, and features are there for no steps too: [0, I]"
        )
    for n, a in enumerate(arrays):
        if a.ndim != 2 or a.shape[1:] != arrays[0].shape[1:] or a.dtype != arrays[0].dtype:
            raise ValueError(
                f"sequences[{n}] is {a.dtype}{list(a.shape)}; expected [T, I] with the features "
                f"and dtype of the first, {arrays[0].dtype}{list(arrays[0].shape)}"
            )
        if len(a) > row_length:
            raise ValueError(
                f"sequences[{n}] has {len(a)} steps, a row {row_length}; cut the sequence, or give "
                "a larger row_length"
            )
    places: list[Place] = [Place(0, 0, 0)] * len(arrays)
    filled: list[int] = []
    for n in sorted(range(len(arrays)), key=lambda n: -len(arrays[n])):
        size = len(arrays[n])
        fitting = [row for row, used in enumerate(filled) if used + size <= row_length]
        row = max(fitting, key=lambda row: filled[row]) if fitting else len(filled)
        if row == len(filled):
            filled.append(0)
        places[n] = Place(row, filled[row], filled[row] + size)
        filled[row] += size
    shape = (row_length, len(filled))
    xs = np.zeros((*shape, arrays[0].shape[1]), arrays[0].dtype)
    resets, mask = np.zeros(shape, bool), np.zeros(shape, bool)
    for a, (row, start, end) in zip(arrays, places, strict=True):
        xs[start:end, row], mask[start:end, row] = a, True
        if end > start:
            resets[start, row] = True
    return Packed(xs, resets, mask, tuple(places))


def unpack(packed: Packed, ys: Any) -> list[Any]:
    """What belongs to each sequence of `packed` in an array [T, rows, ..], in the order given.

    Raises:
      TypeError, ValueError: not what `pack` gives, or an array without its steps and rows.

    >>> packed = pack([np.ones((3, 2)), np.zeros((2, 2))], row_length=5)
    >>> [a.shape for a in unpack(packed, packed.xs)]
    [(3, 2), (2, 2)]
    """
    if not isinstance(packed, Packed):
        raise TypeError(f"packed is {type(packed).__name__}; expected what pack gives")
    ys = arguments.as_array("ys", ys)
    if tuple(ys.shape[:2]) != packed.mask.shape:
        raise ValueError(
            f"ys has shape {tuple(ys.shape)}; expected {packed.mask.shape} as its first two axes, "
            "the steps and rows of the packed batch (time-major)"
        )
    return [ys[start:end, row] for row, start, end in packed.places]
