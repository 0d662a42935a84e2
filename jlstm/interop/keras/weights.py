"""Reads Keras's .weights.h5 files, which hold only arrays, grouped by layer."""

import os

import numpy as np

from jlstm.interop import needs
from jlstm.interop.keras.hdf5 import Reader, numbered
from jlstm.interop.keras.parts import Part
from jlstm.interop.report import Report

_LISTED = "pass the LSTM layers themselves: from_keras([layer, ...])"


def read(path: str | os.PathLike, report: Report) -> list[Part]:
    """The LSTMs of a file, in the order of their numbers.

    Raises:
      ValueError: the file holds other layers, or LSTMs in an unknown order.
    """
    h5py = needs.module("h5py")
    with h5py.File(path, "r") as file:
        if "layers" not in file:
            raise ValueError(f"{path} holds no layers; expected a .weights.h5 file of Keras 3")
        reader = Reader(np.memmap(path, np.uint8, "r"))
        layers = reader.inner(file, "layers")
        groups = {name: reader.inner(layers, name) for name in reader.names(layers)}
        arrays = {name: reader.arrays(group) for name, group in groups.items()}
        arrays = {name: own for name, own in arrays.items() if own}
        elsewhere = [name for name in reader.names(file) if name not in ("layers", "optimizer")]
        for name in elsewhere:
            if reader.arrays(reader.inner(file, name)):
                raise ValueError(
                    f"{path} has weights outside its layers, in {name!a}, and does not say in "
                    f"which order layers run; {_LISTED}"
                )
        _require_one_kind(path, list(arrays))
        report.add(
            f"{path} does not say which activations, merges and directions its network has; "
            "assumed: tanh and sigmoid, concatenated, forward"
        )
        if len(arrays) > 1:
            names = ", ".join(arrays)
            report.add(
                f"{path} does not say how its layers are connected; assumed: a stack of {names}"
            )
        ways = {name: "forward_layer" in reader.names(groups[name]) for name in arrays}
        return [_plain(name, ways[name], own) for name, own in arrays.items()]


def _require_one_kind(path: str | os.PathLike, names: list[str]) -> None:
    kinds = {numbered(name)[0] for name in names}
    if len(kinds) > 1:
        raise ValueError(
            f"{path} has layers of several kinds, {sorted(kinds)}, and does not say in which "
            "order they run; save the whole model with model.save('name.keras')"
        )
    if [numbered(name)[1] for name in names] != list(range(len(names))):
        raise ValueError(
            f"{path} has the layers {', '.join(names)}; expected numbers from 0 on, so layers are "
            f"missing or stored elsewhere; {_LISTED}"
        )


def _plain(name: str, both: bool, weights: list[np.ndarray]) -> Part:
    """The part of an LSTM or a Bidirectional of which only the arrays are known."""
    shapes = [list(a.shape) for a in weights]
    if len(weights) not in ((4, 6) if both else (2, 3)) or weights[1].ndim != 2:
        raise ValueError(
            f"{name} has arrays {shapes}, which are not those of a single LSTM; save the whole "
            "model with model.save('name.keras')"
        )
    for kind, count in (("GRU", 3), ("SimpleRNN", 1)):
        if weights[1].shape[1] == count * weights[1].shape[0]:
            raise ValueError(f"{name} has arrays {shapes}: a {kind}'s, not an LSTM's")
    found = {"units": weights[1].shape[0], "name": name, "return_sequences": True}
    found["use_bias"] = len(weights) % 3 == 0
    inner = {"class_name": "LSTM", "config": found}
    if not both:
        return Part(inner, weights)
    backward = {"class_name": "LSTM", "config": dict(found)}
    options = {"layer": inner, "backward_layer": backward, "name": name}
    return Part({"class_name": "Bidirectional", "config": options}, weights)
