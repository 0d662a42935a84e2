"""Packs several sequences into each row of a batch, to reduce padding."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from jlstm import arguments, validation


class Place(NamedTuple):
    """Position of a sequence in a packed batch: steps `start` to `end` (exclusive) of a row."""

    row: int
    start: int
    end: int


class Packed(NamedTuple):
    """Sequences packed into rows; pass xs, resets and mask to `apply`.

    Attributes:
      xs: inputs [T, rows, I], zero at padding.
      resets: booleans [T, rows], True at the first step of each sequence.
      mask: booleans [T, rows], False at padding.
      places: position of each sequence, in the order in which they were passed to `pack`.

    >>> packed = pack([np.ones((3, 2)), np.zeros((1, 2))], row_length=5)
    >>> packed.resets[:, 0].tolist()
    [True, False, False, True, False]
    """

    xs: np.ndarray
    resets: np.ndarray
    mask: np.ndarray
    places: tuple[Place, ...]


def pack(sequences: Sequence[Any], row_length: int) -> Packed:
    """Packs sequences into rows of equal length.

    Each sequence, longest first, goes into the fullest row that has room for it (best fit,
    decreasing). A reset starts it from the initial carry, so its outputs are those of `apply` on
    the sequence alone. The last carry of a row is that of the row's last sequence.

    Args:
      sequences: arrays [T_n, I] of one dtype, each with at most `row_length` steps.
      row_length: number of steps in a row.

    Returns:
      A Packed with xs [row_length, rows, I].

    Raises:
      TypeError, ValueError: there are no sequences, their features or dtypes differ, or one is
        longer than a row.

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
            f"sequences[0] has shape {list(arrays[0].shape)}; expected [T, I]. Wrap a single "
            "sequence in a list. An empty sequence still needs its feature axis: [0, I]"
        )
    for n, a in enumerate(arrays):
        if a.ndim != 2 or a.shape[1:] != arrays[0].shape[1:] or a.dtype != arrays[0].dtype:
            raise ValueError(
                f"sequences[{n}] is {a.dtype}{list(a.shape)}; expected [T, I] with the features "
                f"and dtype of the first, {arrays[0].dtype}{list(arrays[0].shape)}"
            )
        if len(a) > row_length:
            raise ValueError(
                f"sequences[{n}] has {len(a)} steps, but a row has {row_length}; split the "
                "sequence, or pass a larger row_length"
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
    """Extracts the part of each sequence from an array over a packed batch.

    Args:
      packed: the result of `pack`.
      ys: array [T, rows, ..] with the steps and rows of `packed`.

    Returns:
      A list of arrays [T_n, ..] of the dtype of ys, in the order in which the sequences were passed
      to `pack`.

    Raises:
      TypeError, ValueError: `packed` is not a Packed, or `ys` has other steps or rows.

    >>> packed = pack([np.ones((3, 2)), np.zeros((2, 2))], row_length=5)
    >>> [a.shape for a in unpack(packed, packed.xs)]
    [(3, 2), (2, 2)]
    """
    if not isinstance(packed, Packed):
        raise TypeError(f"packed is {type(packed).__name__}; expected the result of pack")
    ys = arguments.as_array("ys", ys)
    if tuple(ys.shape[:2]) != packed.mask.shape:
        raise ValueError(
            f"ys has shape {tuple(ys.shape)}; expected {packed.mask.shape} as its first two axes, "
            "the steps and rows of the packed batch (time-major)"
        )
    return [ys[start:end, row] for row, start, end in packed.places]
