"""Takes validation sequences from the training part of a data set."""

import numpy as np

from jlstm import validation
from jlstm.train.data.split import Split, chosen


def held_out(train: Split, valid: int, seed: int = 0) -> tuple[Split, Split | None]:
    """Divides a training part of classified sequences into training and validation sequences.

    Every class has the same share of both parts, as nearly as whole numbers allow. Within a class,
    the sequences are drawn at random. Both parts keep the order of `train`.

    Args:
      train: sequences with int32 targets [N].
      valid: the number of sequences to validate with. With 0, the second part is None.
      seed: of the random choice.

    Raises:
      TypeError: valid or seed is not a whole number.
      ValueError: valid is negative or leaves no sequence to train on, or seed is negative.

    >>> train = Split(np.zeros((6, 2, 1), "float32"), np.array([0, 0, 0, 0, 1, 1], "int32"))
    >>> kept, apart = held_out(train, 3)
    >>> kept.targets, apart.targets
    (array([0, 0, 1], dtype=int32), array([0, 0, 1], dtype=int32))
    """
    n = len(train.targets)
    valid, seed = validation.integer("valid", valid), validation.integer("seed", seed)
    if not 0 <= valid < n:
        raise ValueError(
            f"valid is {valid}; expected a whole number from 0 to {n - 1}, because the data set "
            f"has {n} sequences to train and to validate with"
        )
    validation.number("seed", seed, low=0)
    if not valid:
        return train, None
    order = np.random.default_rng(seed).permutation(n)
    share = np.empty(n)
    for label in np.unique(train.targets):
        of_class = order[train.targets[order] == label]
        share[of_class] = (np.arange(len(of_class)) + 0.5) / len(of_class)
    apart = np.zeros(n, bool)
    apart[order[np.argsort(share[order], kind="stable")[:valid]]] = True
    return chosen(train, ~apart), chosen(train, apart)
