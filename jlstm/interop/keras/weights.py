"""The layers of files that hold only weights, known by the names and shapes of the arrays."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from jlstm.interop.keras.hdf5 import LISTS, numbered
from jlstm.interop.keras.tree import Leaf
from jlstm.interop.report import Report

CELL = re.compile(
    r"(?P<layer>.*?)/(?:(?P<way>forward|backward)_layer/)?cell(?:/(?P<cells>cells)/[^/]+)?"
)
_KINDS = {4: "LSTM", 3: "GRU", 1: "SimpleRNN"}  # by the number of gates


def leaves(
    cells: Mapping[str, Sequence[Any]],
    read: Callable[[Any], np.ndarray],
    others: Collection[str] = (),
    labels: Mapping[str, str] | None = None,
) -> list[Leaf]:
    """The layers of a file, in the order of `cells`.

    Args:
      cells: the arrays of each group by its path, each array with a shape. An LSTM has its arrays
        in "LAYER/cell", a Bidirectional in "LAYER/forward_layer/cell" and so on, and stacked cells
        in "LAYER/cell/cells/0" and so on.
      read: reads one of these arrays.
      others: further names of layers, which have no arrays.
      labels: names of layers by path, as far as they are known.
    """
    layers: dict[str, dict[str, Sequence[Any]]] = {}
    odd: set[str] = set()  # layers with a cell that is none of Keras's
    above = {
        path[:at]
        for path in cells
        for at, sign in enumerate(path)
        if sign == "/" and path[:at] in cells
    }
    for path in cells:
        inner = CELL.fullmatch(path)
        layer = inner["layer"] if inner else path
        layers.setdefault(layer, {})[path] = cells[path]
        if not _gates(cells[path]) or path in above:
            odd.add(layer)
    layers |= {layer: {} for layer in odd}
    made = []
    for path, cell in layers.items():
        own = {name: cell[name] for name in sorted(cell, key=_backward)}
        name = _name(path, labels or {})
        arrays = [array for path in own for array in own[path]]
        made.append(
            Leaf(
                name,
                _serialized(path, name, own),
                lambda arrays=arrays: [read(array) for array in arrays],
                alias=_plain(path),
            )
        )
    return made + [
        Leaf(name, {"class_name": "layer", "config": {"name": name}}, list) for name in others
    ]


def assumed(
    found: list[Leaf], report: Report, source: str, *, in_order: bool, chosen: bool
) -> list[Leaf]:
    """The leaves, as a stack if they are all LSTMs, their order is known and none is `chosen`.

    The report says what is assumed of a file without options.
    """
    report.add(
        f"{source} does not say which activations, merges and directions its network has; "
        "assumed: tanh and sigmoid, concatenated, forward"
    )
    sizes = [leaf.serialized.get("build_config", {}) for leaf in found]
    fit = all(lower.get("output") == upper.get("input") for lower, upper in pairwise(sizes))
    if chosen or not in_order or len(found) < 2 or not fit or not all(sizes):
        return found
    report.add(
        f"{source} does not say how its layers are connected; assumed: a stack of "
        + ", ".join(leaf.name for leaf in found)
    )
    return [leaf._replace(below=n - 1 if n else None) for n, leaf in enumerate(found)]


def _backward(path: str) -> bool:
    inner = CELL.fullmatch(path)
    return inner is not None and inner["way"] == "backward"


def _gates(arrays: Sequence[Any]) -> int | None:
    """The number of gates of a recurrent cell with these arrays; None if they are not of one."""
    shapes = [tuple(array.shape) for array in arrays]
    if len(shapes) not in (2, 3) or len(shapes[0]) != 2 or len(shapes[1]) != 2:
        return None
    units, wide = shapes[1]
    biases = [(wide,), (2, wide)] if wide == 3 * units else [(wide,)]
    fits = shapes[0][1] == wide and all(shape in biases for shape in shapes[2:])
    return wide // units if fits and units and wide % units == 0 else None


def _serialized(path: str, name: str, cells: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """The serialised form of a layer of which only the arrays are known."""
    if not cells:
        base = numbered(path.rpartition("/")[2])[0]
        listed = path.rpartition("/")[0].rpartition("/")[2] in LISTS
        kind = "".join(part.title() for part in base.split("_")) if listed else "layer"
        return {"class_name": kind, "config": {"name": name}}
    inner = CELL.fullmatch(next(iter(cells)))
    forms = [
        {
            "class_name": _KINDS.get(_gates(arrays) or 0, "layer"),
            "config": {
                "units": arrays[1].shape[0],
                "name": name,
                "return_sequences": True,
                "use_bias": len(arrays) == 3,
            },
        }
        for arrays in cells.values()
    ]
    for form in forms:
        if form["class_name"] != "LSTM":
            return form
    inputs, units = next(iter(cells.values()))[0].shape[0], forms[-1]["config"]["units"]
    if inner and inner["way"]:
        units *= 2
        options = {"name": name, "layer": forms[0], "backward_layer": forms[-1]}
        form = {"class_name": "Bidirectional", "config": options}
    elif inner and inner["cells"]:
        cell = {"class_name": "StackedRNNCells", "config": {"cells": forms}}
        options = {"name": name, "cell": cell, "return_sequences": True}
        form = {"class_name": "RNN", "config": options}
    else:
        form = forms[0]
    return form | {"build_config": {"input": inputs, "output": units}}


def _name(path: str, labels: Mapping[str, str]) -> str:
    """A layer's path with the names of Keras, if the file has them all, or else of its groups."""
    parts, made = path.split("/"), []
    for n, part in enumerate(parts):
        if part not in LISTS:
            made.append(labels.get("/".join(parts[: n + 1]), part))
    return "/".join(made) or path


def _plain(path: str) -> str:
    return "/".join(part for part in path.split("/") if part not in LISTS)
