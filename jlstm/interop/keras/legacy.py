"""The older .h5 files: groups under the names of layers, arrays under the names of variables.

A file of a whole model has the group "model_weights" and the attribute "model_config". A file of
weights has the same groups at its top. In "lstm/lstm/lstm_cell/kernel:0", the first name is the
layer's, and the others are the variable's.
"""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from jlstm.interop.keras import options, tree, weights
from jlstm.interop.keras.cells import ARRAYS, Cell, by_path, of_part
from jlstm.interop.keras.hdf5 import Reader
from jlstm.interop.keras.parts import Part
from jlstm.interop.keras.tree import Leaf
from jlstm.interop.report import Report

_WITHOUT_WEIGHTS = re.compile(r"(input|dropout)(_layer)?(_\d+)?|top_level_model_weights")


class _Named:
    """The place of a layer's arrays, by the names of the layer and of the models that hold it."""

    def __init__(
        self, reader: Reader, cells: list[Cell], layer: Any, path: tuple[str, ...] = ()
    ) -> None:
        self.reader, self.cells, self.layer, self.path = reader, cells, layer, path

    def arrays(self) -> list[np.ndarray]:
        """The arrays of the layer."""
        first, *inner = self.path or ("",)
        own = [
            cell
            for cell in self.cells
            if cell.top == first and (not inner or inner[-1] in cell.names)
        ]
        own = of_part(Part(self.layer, []), own)
        return [self.reader.array(array) for cell in own for array in cell.arrays.values()]

    def inside(self, layers: Sequence[Any]) -> "list[_Named]":
        """The places of a model's layers."""
        return [
            _Named(self.reader, self.cells, layer, (*self.path, Part(layer, []).name))
            for layer in layers
        ]

    def wrapped(self) -> "_Named":
        """The place of the layer that this layer wraps, whose name the variables may lack."""
        inner = Part(self.layer, []).options.get("layer")
        return _Named(self.reader, self.cells, inner, self.path)


def is_legacy(file: Any, reader: Reader) -> bool:
    """Whether an HDF5 file has this layout."""
    return "model_weights" in file or bool(_texts(reader, file, "layer_names"))


def leaves(file: Any, reader: Reader, report: Report, source: str, *, chosen: bool) -> list[Leaf]:
    """The layers of a file. If it holds only weights and none is `chosen`, they may be a stack.

    Raises:
      ValueError: the file is of a version of Keras that is not known, or its options are not valid.
    """
    whole = "model_weights" in file
    root = reader.inner(file, "model_weights") if whole else file
    datasets = reader.datasets(root, without=("optimizer_weights",))
    tops = _texts(reader, root, "layer_names")
    if len(set(tops)) < len(tops):
        raise ValueError(f"{source} lists a layer twice in its layer_names")
    below: dict[str, list[str]] = {}
    for path in datasets:
        names = path.split("/")
        for n in range(1, len(names)):
            below.setdefault("/".join(names[:n]), []).append(path)
    cells = [
        cell for top in tops for cell in _cells(reader, root, datasets, top, below.get(top, []))
    ]
    version = next(
        (
            found
            for own in (file, root)
            if (found := reader.attribute(own, "keras_version")) is not None
        ),
        "2",
    )
    major = options.major(_text(version), source)
    if (config := reader.attribute(file, "model_config")) is not None:
        text = _text(config)
        serialized = options.loaded(text, f"{source}: its model_config", major)
        return tree.leaves(serialized, _Named(reader, cells, serialized))
    held = {cell.top for cell in cells}
    others = [top for top in tops if top not in held and not _WITHOUT_WEIGHTS.fullmatch(top)]
    arrays = {path: list(own.values()) for path, own in by_path(cells).items()}
    found = weights.leaves(arrays, reader.array, others)
    if re.match(r"2\.[0-2]\b", _text(version)):
        report.add(
            f"{source} is of Keras {_text(version)[:20]!a}. Before 2.3 the default recurrent "
            "activation was hard_sigmoid: if the model used it, set recurrent_activation to "
            '"hard_sigmoid(0.2, 0.5)" in the layers of the config'
        )
    # Several layers within one nested model may be in another order if some of them are frozen.
    in_order = len({leaf.alias for leaf in found}) == len(held) + len(others)
    return weights.assumed(found, report, source, in_order=in_order, chosen=chosen)


def _cells(
    reader: Reader, root: Any, datasets: dict[str, Any], top: str, held: list[str]
) -> list[Cell]:
    """The groups of the arrays `held` of one layer, in the order of its variables."""
    made: dict[tuple[str, ...], dict[str, Any]] = {}
    start = f"{top}/"
    order = (
        {name: n for n, name in enumerate(_texts(reader, root[top], "weight_names"))}
        if held
        else {}
    )
    for path in sorted(held, key=lambda path: order.get(path.removeprefix(start), len(order))):
        *names, last = path.removeprefix(start).split("/")
        made.setdefault(tuple(names), {})[last.partition(":")[0]] = datasets[path]
    return [
        Cell(top, names, {name: own[name] for name in sorted(own, key=_place)})
        for names, own in made.items()
    ]


def _place(name: str) -> int:
    return ARRAYS.index(name) if name in ARRAYS else len(ARRAYS)


def _texts(reader: Reader, group: Any, name: str) -> list[str]:
    """An attribute of texts. Keras writes a long one in parts, such as "layer_names0"."""
    parts = [reader.attribute(group, name)]
    if parts[0] is None:
        parts = []
        while (part := reader.attribute(group, f"{name}{len(parts)}")) is not None:
            parts.append(part)
    return [_text(text) for part in parts for text in np.ravel(part)]


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
