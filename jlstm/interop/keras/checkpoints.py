"""Keras's LSTMs in checkpoints of TensorFlow 2, which save_weights and SavedModels write too."""

import os
import pathlib
import re
from collections.abc import Collection

from jlstm.interop.keras import weights
from jlstm.interop.keras.cells import ARRAYS, Cell, by_path
from jlstm.interop.keras.tree import Leaf
from jlstm.interop.report import Report
from jlstm.interop.tensorflow import checkpoint

_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
_LISTED = re.compile(r"(?:.*/)?variables/\d+")  # variables that a SavedModel holds in a list
_DIGITS = re.compile(r"0*([0-9]+)")
_ASIDE_LISTS = re.compile(r"(?:.*/)?\w+_variables/\d+")  # of some of them, in any order
_ASIDE = {"optimizer", "training", "save_counter", "seed_generator"}
_DEEPEST = 24  # objects within each other; Keras writes some ten
_MOST = 10_000  # layers and cells
_RECURRENT = "recurrent_kernel"  # which every recurrent layer of Keras has
_DEEPEST, _MOST = 32, 2000  # names in a variable's name, and recurrent cells


def is_checkpoint(path: str | os.PathLike) -> bool:
    """Whether a path is that of a checkpoint or a SavedModel, not of a file of Keras."""
    own = pathlib.Path(path)
    beside = pathlib.Path(f"{own}.index")
    return own.is_dir() or beside.is_file() or own.suffix == ".index" or ".data-" in own.name


def leaves(path: str | os.PathLike, report: Report, *, chosen: bool) -> list[Leaf]:
    """The layers of a checkpoint. Their connections are not known.

    Raises:
      ValueError: it is damaged or not a checkpoint.
    """
    names: dict[str, str] = {}  # each variable's name in its program, by its name in the checkpoint
    groups: dict[str, dict[str, str]] = {}
    labels: dict[str, str] = {}

    def choose(held: Collection[str]) -> list[str]:
        found, named = _groups(held, names, str(path))
        groups.update(found)
        labels.update(named)
        cells = [own for own in groups.values() if _is_cell(own)]
        return [own[name] for own in cells for name in ARRAYS if name in own]

    arrays = checkpoint.read(path, choose, names.update)
    cells = {
        group: [arrays[own[name]] for name in ARRAYS if name in own] if _is_cell(own) else []
        for group, own in groups.items()
    }
    found = [
        leaf._replace(name=labels.get(leaf.name, leaf.name), alias=leaf.name)
        for leaf in weights.leaves(cells, lambda array: array)
    ]
    return weights.assumed(found, report, str(path), in_order=False, chosen=chosen)


def _is_cell(arrays: Collection[str]) -> bool:
    """Whether a group with arrays of these names may be a cell; a custom cell may have others."""
    return _RECURRENT in arrays and set(arrays) <= set(ARRAYS)


def _groups(
    held: Collection[str], names: dict[str, str], source: str
) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
    """The variables of each group by a path as `weights.leaves` takes it, and the layers' names.

    Attributes of objects lead to most variables: "layer_with_weights-0/cell/kernel". Those in a
    list of a SavedModel are known only by their names in the program: "lstm/lstm_cell/kernel".
    """
    reached: dict[str, Cell] = {}
    listed: dict[str, Cell] = {}
    nameless: list[str] = []
    twice: set[str] = set()  # groups that several layers have, so that their arrays are mixed
    for name in sorted(held, key=_natural):
        path = name.removesuffix(_VALUE)
        if max(path.count("/"), names.get(name, "").count("/")) > _DEEPEST:
            raise ValueError(f"{source}: {name} is nested more than {_DEEPEST} deep")
        aside = {*path.split("/"), names.get(name, "").partition("/")[0]} & _ASIDE
        if aside or "/." in path or _ASIDE_LISTS.fullmatch(path) or (names and name not in names):
            continue
        if len(reached) + len(listed) > _MOST:
            raise ValueError(f"{source} has more than {_MOST} layers; expected those of one model")
        by_list = not names or _LISTED.fullmatch(path)
        above, _, last = names.get(name, path).rpartition("/")
        if max(above.count("/"), path.count("/")) > _DEEPEST:
            raise ValueError(f"{source}: a variable is more than {_DEEPEST} objects deep")
        group = above if by_list else path.rpartition("/")[0]
        if by_list and not above:
            nameless.append(name)
            continue
        cell = Cell(above.partition("/")[0], tuple(above.split("/")), {})
        cell = (listed if by_list else reached).setdefault(group, cell)
        own = last if by_list else path.rpartition("/")[2]
        if by_list and own in cell.arrays:
            twice.add(group)
        cell.arrays.setdefault(own, name)
    if len(nameless) > 1 and not listed:
        raise ValueError(
            f"{source}: its variables, such as {nameless[0]}, have no names, as if Keras ran on "
            "JAX or torch; save the whole model with model.save('name.keras')"
        )
    recurrent = sum(_RECURRENT in cell.arrays for cell in (*reached.values(), *listed.values()))
    if recurrent > _MOST:
        raise ValueError(f"{source} has {recurrent} recurrent cells; expected at most {_MOST}")
    mixed = sorted(group for group in twice if _RECURRENT in listed[group].arrays)
    if mixed:
        raise ValueError(
            f"{source}: several layers have the name {mixed[0]}, so their weights cannot be told "
            "apart; save the model with model.save('name.keras')"
        )
    found = {group: cell.arrays for group, cell in reached.items()}
    named = by_path(list(reached.values()), known=True)
    labels = dict(zip(map(_layer, found), map(_layer, named), strict=False))
    if len(named) < len(found) or len(set(labels.values())) < len(labels):
        labels = {}  # two layers have the same name in the program
    return found | by_path(list(listed.values())), labels


def _layer(path: str) -> str:
    """The path of a group's layer."""
    cell = weights.CELL.fullmatch(path)
    return cell["layer"] if cell else path


def _natural(name: str) -> str:
    """A key that sorts names by the numbers in them: before a number stands how long it is."""
    return _DIGITS.sub(lambda digits: chr(len(digits[1])) + digits[1], name)
