"""Batches of a data set. Each is a function of the seed and of the step number alone.

A run that is resumed at a step therefore gets the batches that it would have had.
"""

import itertools
from collections.abc import Iterator

import numpy as np

from jlstm import validation
from jlstm.train.data.split import Split, Stream, chosen
from jlstm.train.model import Batch


def training(
    split: Split | Stream,
    batch_size: int,
    *,
    seed: int = 0,
    start: int = 0,
    unroll: int | None = None,
    share: tuple[int, int] = (0, 1),
) -> Iterator[Batch]:
    """An infinite iterator of batches to train on, in NumPy arrays.

    The sequences of a split come in a random order, each once, then in another random order, and
    so on. A stream is cut into `batch_size` rows of equal length. Each batch is the next `unroll`
    steps of every row. After the last one, the first follows, with `starts` true.

    Args:
      split: the sequences, or the stream.
      batch_size: sequences in a batch.
      seed: the seed of the order.
      start: the number of the first batch, from 0.
      unroll: the steps of each batch of a stream.
      share: (index, count) divides the rows of each batch into `count` equal blocks, one for each
        process, and yields block `index`. Only its rows are read.

    Returns:
      An iterator of Batch. Its arrays have `batch_size` rows, divided among the processes.

    Raises:
      ValueError: there is too little data for one batch, `unroll` does not fit the data, or the
        processes cannot share a batch evenly.

    >>> split = Split(np.zeros((5, 7, 2), "float32"), np.arange(5))
    >>> batch = next(training(split, 4))
    >>> batch.xs.shape, len(set(batch.targets.tolist()))
    ((4, 7, 2), 4)
    """
    own = _rows(batch_size, share)
    if isinstance(split, Stream):
        return _parts(split, batch_size, start, _required(unroll), own)
    if unroll is not None:
        raise ValueError(
            f"unroll is {unroll}, but these data are sequences, which are not divided; leave out "
            "unroll, which is for the text of a language model"
        )
    if not len(split.xs):
        raise ValueError("there are no sequences to train on")
    return _shuffled(split, batch_size, seed, start, own)


def _shuffled(
    split: Split, batch_size: int, seed: int, start: int, share: slice
) -> Iterator[Batch]:
    count = len(split.xs)
    place, turn, order = start * batch_size, -1, np.arange(0)
    while True:
        parts: list[np.ndarray] = []  # a batch may end one order and begin the next
        while (missing := batch_size - sum(map(len, parts))) > 0:
            if place // count != turn:
                turn = place // count
                order = np.random.default_rng([seed, turn]).permutation(count)
            own = order[place % count :][:missing]
            parts.append(own)
            place += len(own)
        yield Batch(*chosen(split, np.concatenate(parts)[share]))


def _parts(
    split: Stream, batch_size: int, start: int, unroll: int, share: slice
) -> Iterator[Batch]:
    tokens = split.tokens
    each = (len(tokens) - 1) // batch_size  # tokens of a row that have a successor
    turns = each // unroll
    if turns < 1:
        raise ValueError(
            f"the text has {len(tokens)} tokens, but one batch of {batch_size} rows of {unroll} "
            f"needs {batch_size * unroll + 1}; use a smaller batch_size or unroll"
        )
    rows = np.arange(batch_size)[share, None] * each + np.arange(unroll)
    step = start
    while True:
        places = rows + (step % turns) * unroll
        starts = np.full(len(rows), step % turns == 0)
        yield Batch(_int32(tokens[places]), _int32(tokens[places + 1]), starts=starts)
        step += 1


def evaluation(
    split: Split | Stream,
    batch_size: int,
    *,
    unroll: int | None = None,
    share: tuple[int, int] = (0, 1),
) -> Iterator[Batch]:
    """Batches that hold every sequence, or every token of a stream, once and in order.

    All batches have one shape: the last one is filled up with sequences of weight 0. A stream is
    cut into `batch_size` rows, and `lengths` end the shorter rows.

    Args:
      split: the sequences, or the stream.
      batch_size: sequences in a batch.
      unroll: the steps of each batch of a stream.
      share: as for `training`.

    Returns:
      An iterator of Batch, in NumPy arrays with `batch_size` rows, divided among the processes.

    Raises:
      ValueError: a stream without `unroll`, or the processes cannot share a batch evenly.

    >>> made = list(evaluation(Split(np.zeros((5, 7, 2), "float32"), np.arange(5)), 4))
    >>> [batch.weights.tolist() for batch in made]
    [[1.0, 1.0, 1.0, 1.0], [1.0, 0.0, 0.0, 0.0]]
    """
    own = _rows(batch_size, share)
    if isinstance(split, Stream):
        yield from _all_parts(split, batch_size, _required(unroll), own)
        return
    count = len(split.xs)
    for first in range(0, count, batch_size):
        rows = np.arange(first, first + batch_size)[own]
        weights = (rows < count).astype("float32")
        yield Batch(*chosen(split, np.minimum(rows, count - 1)), weights)


def _all_parts(split: Stream, batch_size: int, unroll: int, share: slice) -> Iterator[Batch]:
    tokens, last = split.tokens, len(split.tokens) - 1
    each = -(-max(last, 0) // batch_size)
    begins = np.arange(batch_size)[share] * each
    ends = np.minimum(begins + each, last)
    for done in range(0, each, unroll):
        places = begins[:, None] + done + np.arange(unroll)
        lengths = np.clip(ends - begins - done, 0, unroll).astype("int32")
        xs, targets = (_int32(tokens[np.minimum(places + n, last)]) for n in (0, 1))
        yield Batch(xs, targets, lengths, starts=np.full(len(begins), done == 0))


def stacked(batches: Iterator[Batch], count: int) -> Batch:
    """The next `count` batches as one, with arrays [count, ...], for a scan over them.

    Raises:
      ValueError: there are fewer batches, or their shapes differ.
    """
    made = list(itertools.islice(batches, count))
    if len(made) < count:
        raise ValueError(
            f"the batches ended after {len(made)} of the next {count}; repeat them without an end, "
            "or make fewer steps"
        )
    shapes = [[np.shape(a) for a in batch if a is not None] for batch in made]
    if odd := [each for each in shapes if each != shapes[0]]:
        raise ValueError(
            f"one batch has the shapes {shapes[0]}, and another one {odd[0]}; give all batches one "
            "shape: leave out the last one if it is smaller, and pad sequences to one length"
        )
    return Batch(*(None if a[0] is None else np.stack(a) for a in zip(*made, strict=True)))


def _rows(batch_size: int, share: tuple[int, int]) -> slice:
    """The rows of a batch that are the share of one process."""
    index, count = share
    if batch_size % count:
        raise ValueError(
            f"{count} processes cannot share batches of {batch_size} sequences evenly; choose a "
            f"batch_size that {count} divides"
        )
    each = batch_size // count
    return slice(index * each, (index + 1) * each)


def _required(unroll: int | None) -> int:
    if unroll is None:
        raise ValueError("a stream needs unroll, the steps of each batch; such as unroll = 64")
    return validation.size("unroll", unroll)


def _int32(tokens: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(tokens, "int32")
