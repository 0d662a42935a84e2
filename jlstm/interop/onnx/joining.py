"""Which options of a layer turn an LSTM's outputs into a value, found by comparing numbers."""

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

MERGES = {
    "concat": lambda ys: ys.reshape(*ys.shape[:2], -1),
    "sum": lambda ys: ys[:, :, 0] + ys[:, :, 1],
    "average": lambda ys: (ys[:, :, 0] + ys[:, :, 1]) / 2,
    "mul": lambda ys: ys[:, :, 0] * ys[:, :, 1],
}


class Joined(NamedTuple):
    """How a layer's directions are merged, and whether inputs are added and concatenated.

    `merge` is None for a layer of one direction.
    """

    merge: str | None = None
    residual: bool = False
    skip: bool = False


def joined(read: np.ndarray, ys: np.ndarray, xs: np.ndarray, root: np.ndarray) -> Joined | None:
    """The options with which a layer's outputs `ys` give `read`; None if there are none.

    Args:
      read: [T, B, F], the value.
      ys: [T, B, D, H], the outputs of both directions, or of one.
      xs: [T, B, I], what the layer reads.
      root: [T, B, I0], what the lowest layer of its stack reads.
    """
    if read.ndim != 3 or read.shape[:2] != ys.shape[:2]:
        return None
    merges = {None: ys[:, :, 0]} if ys.shape[2] == 1 else {k: f(ys) for k, f in MERGES.items()}
    for (merge, merged), residual in itertools.product(merges.items(), (False, True)):
        if residual and merged.shape != xs.shape:
            continue
        own = merged + xs if residual else merged
        if own.shape == read.shape and equal(read, own):
            return Joined(merge, residual)
        width = own.shape[2] + root.shape[2]
        fits = width == read.shape[2] and own.shape[:2] == root.shape[:2]
        if fits and equal(read, np.concatenate([own, root], 2)):
            return Joined(merge, residual, skip=True)
    return None


def complete(value: np.ndarray, ys: np.ndarray, xs: np.ndarray) -> Joined | None:
    """The options with which a value is a layer's whole output, its axes in any order.

    The arguments are those of `joined`. Both directions apart, [.., D, H], are complete as well.
    """
    if value.ndim == 4 and ys.shape[2] == 2:
        apart = any(equal(value, ys.transpose(perm)) for perm in ((0, 1, 2, 3), (1, 0, 2, 3)))
        return Joined("none") if apart else None
    found = (joined(moved, ys, xs, xs[:, :, :0]) for _, moved in orders(value))
    return next((own for own in found if own and not own.skip), None)


def orders(value: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """A value of three axes as [T, B, F], for each order that its axes may have."""
    for names in itertools.permutations("TBF") if value.ndim == 3 else ():
        yield "".join(names), value.transpose([names.index(name) for name in "TBF"])


def equal(value: np.ndarray, wanted: np.ndarray) -> bool:
    """Whether a value has the shape and, to the precision of `wanted`, the numbers of `wanted`."""
    if value.shape != wanted.shape:
        return False
    if "f" not in value.dtype.kind + wanted.dtype.kind:
        return np.array_equal(value, wanted)
    # Adding, multiplying and averaging numbers from 0.5 to 1.5 rounds by less than this.
    coarsest = np.finfo(wanted.dtype).eps if wanted.dtype.kind == "f" else 0.0
    return bool(np.abs(value.astype("f8") - wanted.astype("f8")).max(initial=0) <= 2 * coarsest)
