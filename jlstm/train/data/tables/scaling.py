"""Normalisation of columns: fitted on the training part, applied to all parts."""

from typing import NamedTuple

import numpy as np

from jlstm.train.data.split import Meaning


class Scaling(NamedTuple):
    """Normalised values are (raw - mean) / scale.

    Attributes:
      mean, scale: float64 [columns].
    """

    mean: np.ndarray
    scale: np.ndarray

    def chosen(self, columns: list[int]) -> "Scaling":
        """The scaling of some columns."""
        return Scaling(self.mean[columns], self.scale[columns])


def of_inputs(meaning: Meaning) -> Scaling | None:
    """The scaling of the inputs of a data set. None: they are raw."""
    return _scaling(meaning.input_mean, meaning.input_scale)


def of_targets(meaning: Meaning) -> Scaling | None:
    """The scaling of the values to predict. None: they are raw."""
    return _scaling(meaning.target_mean, meaning.target_scale)


def with_scaling(
    meaning: Meaning, *, inputs: Scaling | None = None, targets: Scaling | None = None
) -> Meaning:
    """A meaning with the scaling of inputs and of values to predict. None: as it was.

    >>> fitted = Scaling(np.array([2.0]), np.array([0.5]))
    >>> meaning = with_scaling(Meaning(), targets=fitted)
    >>> meaning.target_scale, meaning.input_scale, of_targets(meaning).mean
    ((0.5,), (), array([2.]))
    """
    for name, scaling in (("input", inputs), ("target", targets)):
        if scaling is not None:
            mean, scale = (tuple(each.tolist()) for each in scaling)
            meaning = meaning._replace(**{f"{name}_mean": mean, f"{name}_scale": scale})
    return meaning


def fit(values: np.ndarray) -> Scaling:
    """The mean and standard deviation of each column of values [rows, columns].

    A constant column has the scale 1.

    >>> fit(np.array([[1.0, 5.0], [3.0, 5.0]]))
    Scaling(mean=array([2., 5.]), scale=array([1., 1.]))
    """
    low, high = values.min(0), values.max(0)
    # Sums of values near the largest float64 would overflow.
    unit = np.maximum(np.maximum(np.abs(low), np.abs(high)), np.finfo("float64").tiny)
    mean = (values / unit).mean(0) * unit
    scale = (values / unit).std(0) * unit
    constant = (low == high) | (scale == 0)
    return Scaling(np.where(low == high, low, mean), np.where(constant, 1.0, scale))


def apply(scaling: Scaling, values: np.ndarray) -> np.ndarray:
    """Normalised values float32 [..., columns]. What float32 cannot hold becomes infinite."""
    with np.errstate(over="ignore"):
        return ((values - scaling.mean) / scaling.scale).astype("float32")


def undo(scaling: Scaling, values: np.ndarray) -> np.ndarray:
    """Raw values float64 [..., columns] of normalised ones."""
    return np.asarray(values, "float64") * scaling.scale + scaling.mean


def _scaling(mean: tuple[float, ...], scale: tuple[float, ...]) -> Scaling | None:
    return Scaling(np.array(mean), np.array(scale)) if mean else None
