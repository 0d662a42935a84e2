"""The naive forecast that a model is measured beside: the last season of the past, repeated."""

import numpy as np

from jlstm.train.data.split import Split


def repeated(split: Split, column: int, horizon: int, season: int = 1) -> np.ndarray:
    """The last `season` steps of one input, repeated over the horizon.

    Args:
      split: the sequences.
      column: the number of the input.
      horizon: the number of steps to forecast.
      season: the number of steps that are repeated. 1: the last value.

    Returns:
      float64 [N, horizon], in the units of `split.xs`.

    Raises:
      ValueError: a sequence has fewer steps than a season.

    >>> past = np.arange(10.0).reshape(1, 10, 1)
    >>> repeated(Split(past, past), column=0, horizon=5, season=3)
    array([[7., 8., 9., 7., 8.]])
    """
    count, steps = split.xs.shape[:2]
    lengths = np.full(count, steps) if split.lengths is None else split.lengths
    lengths = np.maximum(lengths, 1)  # an empty past counts as one step of padding, which is 0
    if count and season > lengths.min():
        raise ValueError(
            f"season is {season}, but a sequence has {lengths.min()} steps of the past; expected "
            "at most as many"
        )
    at = lengths[:, None] - season + np.arange(horizon) % season
    return split.xs[np.arange(count)[:, None], at, column].astype("float64")
