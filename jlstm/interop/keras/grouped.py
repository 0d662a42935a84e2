"""Arrays in groups that Keras names after the classes of layers: "layers/lstm_1/cell/vars/0"."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from jlstm.interop.keras import weights
from jlstm.interop.keras.hdf5 import LISTS, Reader, numbered, ordered
from jlstm.interop.keras.parts import Part
from jlstm.interop.keras.tree import Leaf
from jlstm.interop.report import Report


class Grouped:
    """The place of a layer's arrays: below a path in the file."""

    def __init__(
        self, reader: Reader, datasets: dict[str, Any], path: str = "", name: str | None = None
    ) -> None:
        self.reader, self.datasets, self.path, self.name = reader, datasets, path, name

    def arrays(self) -> list[np.ndarray]:
        """The arrays of the layer.

        Raises:
          ValueError: the file says that they are those of another layer.
        """
        label = self.reader.labels.get(self.path)
        if self.name is not None and label not in (None, self.name):
            raise ValueError(
                f"the weights of {self.name} were expected in {self.path}, but those are of "
                f"{label}; save the weights alone with model.save_weights('name.weights.h5')"
            )
        start = f"{self.path}/" if self.path else ""
        found = [path.removeprefix(start) for path in self.datasets if path.startswith(start)]
        return [self.reader.array(self.datasets[start + path]) for path in ordered(found)]

    def inside(self, layers: Sequence[Any]) -> list["Grouped"]:
        """The places of a model's layers.

        Keras numbers groups by class: "lstm", "lstm_1". Keras 2.13 and earlier number a layer with
        weights twice: "lstm", "lstm_2".
        """
        start = f"{self.path}/" if self.path else ""
        later, earlier = (start + name for name in LISTS)
        skips = earlier in self.reader.groups
        groups = self._numbers(earlier)
        seen: dict[str, int] = {}
        made = []
        for layer in layers:
            part = Part(layer, [])
            name = _snake_case(part.kind)
            nth = seen.get(name, 0)
            number = groups.get(name, [])[nth : nth + 1] if skips else [nth]
            seen[name] = nth + 1
            own = name + (f"_{number[0]}" if number and number[0] else "")
            path = f"{earlier if skips else later}/{own}"
            made.append(Grouped(self.reader, self.datasets if number else {}, path, part.name))
        return made

    def wrapped(self) -> "Grouped":
        """The place of the layer that this layer wraps."""
        return Grouped(self.reader, self.datasets, f"{self.path}/layer")

    def _numbers(self, container: str) -> dict[str, list[int]]:
        """The numbers of a container's groups by the name before them, in rising order."""
        start = f"{container}/"
        found = {
            path.removeprefix(start)
            for path in self.reader.groups
            if path.startswith(start) and "/" not in path.removeprefix(start)
        }
        made: dict[str, list[int]] = {}
        for name, number in sorted(map(numbered, found)):
            made.setdefault(name, []).append(number)
        return made


def _snake_case(name: str) -> str:
    """The name of a class as Keras writes it in the names of groups."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def leaves(place: Grouped, report: Report, source: str, *, chosen: bool) -> list[Leaf]:
    """The layers of a file whose options are not known. If none is `chosen`, they may be a stack.

    Each group "vars" holds the arrays of one layer or cell.
    """
    cells: dict[str, list[Any]] = {}
    for path in ordered(place.datasets):
        group = path.rpartition("/")[0]
        cells.setdefault(group.removesuffix("vars").rstrip("/"), []).append(place.datasets[path])
    found = weights.leaves(cells, place.reader.array, labels=place.reader.labels)
    # Only layers of one class have an order, and only if none of them is outside the list.
    numbers = [numbered(leaf.alias) for leaf in found]
    skips = LISTS[1] in place.reader.groups
    in_order = len({name for name, _ in numbers}) == 1 and (
        skips or [number for _, number in numbers] == list(range(len(numbers)))
    )
    return weights.assumed(found, report, source, in_order=in_order, chosen=chosen)
