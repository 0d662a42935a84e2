"""MNIST-1D: digits as short signals that are shifted, stretched and noisy."""

import random
from typing import Any

import numpy as np

from jlstm.train.data.split import Data, Meaning, Split
from jlstm.train.data.synthetic import drawing

_TRAIN = 4000


def mnist1d(*, valid: int = 0, seed: int = 42) -> Data:
    """MNIST-1D of Greydanus and Kobak 2020 (arXiv 2011.14439), for the task classify.

    The package mnist1d computes 4,000 signals to train on and 1,000 to test with, without a
    download. Seed 42 gives the published data set. The paper states test accuracies of 32 % for
    logistic regression, 91 % for a GRU and 94 % for a convolutional network.

    xs is float32 [N, 40, 1], with mean 0 and standard deviation 1 over the whole data set, targets
    int32 [N] from 0 to 9.

    Args:
      valid: how many of the training signals, from the end, are the validation part.
      seed: of the random numbers, below 2**32.

    Raises:
      ImportError: mnist1d is not installed.
      TypeError, ValueError: a number is too small, too large or not whole.
    """
    valid, seed = drawing.whole("valid", valid), drawing.whole("seed", seed)
    if valid >= _TRAIN:
        raise ValueError(f"valid is {valid}; expected less than the {_TRAIN} training signals")
    try:
        from mnist1d.data import get_dataset_args, make_dataset
    except ImportError:
        raise ImportError(
            "the data set mnist1d needs the package mnist1d, which is not installed: "
            "pip install mnist1d"
        ) from None
    # The package seeds the global random numbers of Python and NumPy.
    kept = random.getstate(), np.random.get_state()
    try:
        options: Any = get_dataset_args()
        options.seed = seed
        made = make_dataset(options)
    finally:
        random.setstate(kept[0])
        np.random.set_state(kept[1])

    def split(xs: np.ndarray, labels: np.ndarray) -> Split:
        return Split(xs[..., None].astype(np.float32), labels.astype(np.int32))

    until = _TRAIN - valid
    xs, labels = made["x"], made["y"]
    return Data(
        split(xs[:until], labels[:until]),
        split(xs[until:], labels[until:]) if valid else None,
        split(made["x_test"], made["y_test"]),
        Meaning(classes=tuple(map(str, range(10))), inputs=("signal",)),
    )
