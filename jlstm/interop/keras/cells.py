"""Cells of layers, known by the names of their variables, and the order of those of one layer.

Keras lists the trainable variables of a layer before the frozen ones. So the order in a file is not
that of the directions or cells if some of them are frozen.
"""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from jlstm.interop.keras.hdf5 import numbered
from jlstm.interop.keras.parts import Part

ARRAYS = ("kernel", "recurrent_kernel", "bias")
_CELL = re.compile(r"\w*_cell(_\d+)?")
_CELLS = re.compile(r"stacked_rnn_cells(_\d+)?")


class Cell(NamedTuple):
    """One group of arrays: the layer of the model, the names below it, and the arrays by name."""

    top: str
    names: tuple[str, ...]
    arrays: dict[str, Any]


def by_path(cells: list[Cell], *, known: bool = False) -> dict[str, dict[str, Any]]:
    """The arrays of each group by a path as `weights.leaves` takes it.

    Args:
      cells: the groups, in the order of the file.
      known: whether that is the order of stacked cells. Otherwise their numbers must agree with it;
        cells whose numbers do not are separate layers.
    """
    forward, backward = (
        {
            cell.names[:n]
            for cell in cells
            for n, name in enumerate(cell.names)
            if name[: len(way)] == way
        }
        for way in ("forward_", "backward_")
    )
    both = forward & backward
    numbers: dict[tuple[str, ...], list[tuple[str, int]]] = {}
    for cell in cells:
        numbers.setdefault(cell.names[:-1], []).append(numbered("".join(cell.names[-1:])))
    rising = {
        names: own == sorted(own) and len({name for name, _ in own}) == 1
        for names, own in numbers.items()
    }
    known_cells = {(cell.top, cell.names) for cell in cells}
    above = {
        place
        for cell in cells
        for n in range(len(cell.names))
        if (place := (cell.top, cell.names[:n])) in known_cells
    }
    made: dict[str, dict[str, Any]] = {}
    for n, cell in enumerate(cells):
        names, end = list(cell.names), "cell"
        in_order = known or rising[cell.names[:-1]]
        apart = any(map(_CELLS.fullmatch, names[-2:-1])) and not in_order
        if not apart and names and _CELL.fullmatch(names[-1]):
            names.pop()
        if names and _CELLS.fullmatch(names[-1]):
            names.pop()
            end = f"cell/cells/{n}"
        if names[-1:] != [cell.top] and tuple(names[:-1]) in both:
            end = f"{names.pop().partition('_')[0]}_layer/{end}"
        if cell.top in names:  # the name of the model may stand before
            names = names[names.index(cell.top) + 1 :]
        recurrent = "recurrent_kernel" in cell.arrays
        path = "/".join([cell.top, *names])
        custom = (cell.top, cell.names) in above  # a cell with layers within it
        made[f"{path}/{end}" if recurrent else path] = {} if recurrent and custom else cell.arrays
    return made


def _is_forward(name: str) -> bool:
    return name.startswith("forward_")


def _is_backward(name: str) -> bool:
    return name.startswith("backward_")


def of_part(part: Part, cells: Sequence[Cell]) -> list[Cell]:
    """The cells of one layer in its own order: forward before backward, lower before upper.

    Raises:
      ValueError: the layer is partly frozen, and the names do not tell the order.
    """
    options = part.options
    inner = [options.get("layer"), options.get("backward_layer") or options.get("layer")]
    if part.kind == "RNN":
        listed = Part(options.get("cell"), []).options.get("cells")
        inner = listed if isinstance(listed, list) else []
    elif part.kind != "Bidirectional":
        return list(cells)
    if len(inner) != len(cells) or len(cells) < 2:
        return list(cells)
    shared = set(cells[0].names).intersection(*(cell.names for cell in cells))
    own = [[name for name in cell.names if name not in shared] for cell in cells]
    parts = [Part(layer, []) for layer in inner]
    if part.kind == "RNN":
        wanted = [[layer.name] for layer in parts]
        if len({layer.name for layer in parts}) == len(cells) and sorted(own) == sorted(wanted):
            return [cells[own.index(names)] for names in wanted]
    else:
        forward, backward = (
            [any(name.startswith(way) for name in names) for names in own]
            for way in ("forward_", "backward_")
        )
        known = forward if sum(forward) == 1 else [not own for own in backward]
        if sum(known) == 1:
            return [cells[known.index(True)], cells[known.index(False)]]
    if len({layer.options.get("trainable", True) is True for layer in parts}) > 1:
        raise ValueError(
            f"{part.name} is partly frozen, and the names of its variables do not tell in which "
            "order the file holds them; make it trainable as a whole and save it again, or save "
            "the model as a .keras file"
        )
    return list(cells)
