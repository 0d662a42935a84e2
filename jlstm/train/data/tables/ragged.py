"""Sequences of different lengths: padding them to one array, and drawing parts of them."""

from collections.abc import Sequence

import numpy as np

from jlstm import sizes, validation
from jlstm.train.data.tables import options

_LITTLE = 1 << 22  # padded steps that any file may have
_LARGEST_RATIO = 64  # of padded steps to rows, above _LITTLE


def padded(
    values: np.ndarray, bounds: np.ndarray, chosen: np.ndarray, fill: int = 0
) -> tuple[np.ndarray, np.ndarray | None]:
    """Sequences of rows as one array, padded to the longest.

    Args:
      values: [rows, ...], the rows of all sequences.
      bounds: int64 [sequences + 1], where the rows of each sequence begin.
      chosen: int64 [N], the sequences to take.
      fill: what stands after the end of a sequence.

    Returns:
      The array [N, T, ...], where T is the length of the longest, and lengths int32 [N], or None if
      all have T steps.

    >>> padded(np.array([1, 2, 3]), np.array([0, 1, 3]), np.array([1, 0]))
    (array([[2, 3],
           [1, 0]]), array([2, 1], dtype=int32))
    """
    lengths = np.diff(bounds)[chosen]
    inside = np.arange(lengths.max(initial=0)) < lengths[:, None]
    out = np.full((*inside.shape, *values.shape[1:]), fill, values.dtype)
    before = np.cumsum(lengths) - lengths
    out[inside] = values[np.arange(lengths.sum()) + np.repeat(bounds[chosen] - before, lengths)]
    return out, lengths.astype("int32") if not inside.all() else None


def require_alike(bounds: np.ndarray, names: Sequence[str], bytes_a_step: int) -> None:
    """ValueError if padding to the longest sequence would take far more memory than the rows."""
    lengths = np.diff(bounds)
    longest = int(lengths.argmax())
    steps = len(lengths) * int(lengths[longest])
    if steps > max(_LITTLE, _LARGEST_RATIO * int(lengths.sum())):
        raise ValueError(
            f"sequence {validation.shown(names[longest])} has {lengths[longest]} rows, but the "
            f"{len(lengths)} sequences have {lengths.mean():.3g} on average, and all are padded to "
            "the longest; split it into several sequences, or shorten it"
        )
    sizes.require_memory("padding all sequences to the longest", steps * bytes_a_step)


def parts(
    sequences: int, valid: float | int, test: float | int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The numbers of the training, validation and test sequences, drawn at random, each ascending.

    Args:
      sequences: how many there are.
      valid, test: a fraction of them, or a number.
      seed: seed of the drawing.

    Raises:
      ValueError: training has no sequence, or another part has none although its share is not 0.
    """
    counts = [options.count(share, sequences) for share in (test, valid)]
    for part, share, n in (("test", test, counts[0]), ("valid", valid, counts[1])):
        if share and not n:
            raise ValueError(
                f"{part} = {share} leaves none of the {sequences} sequences; set it to a number "
                "of sequences, such as 1, or to 0 to do without"
            )
    if sum(counts) >= sequences:
        raise ValueError(
            f"valid = {valid} and test = {test} leave none of the {sequences} sequences to train "
            "on; set smaller ones"
        )
    drawn = np.random.default_rng(seed).permutation(sequences)
    ends = [counts[0], sum(counts)]
    drawn_test, drawn_valid, train = np.split(drawn, ends)
    return np.sort(train), np.sort(drawn_valid), np.sort(drawn_test)
