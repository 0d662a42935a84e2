"""Finds LSTM cells among the variable names of TensorFlow 1, and how the cells are stacked.

Scopes of a cell: "rnn" in dynamic_rnn; "bidirectional_rnn/fw" and "bidirectional_rnn/bw" in
bidirectional_dynamic_rnn; "multi_rnn_cell/cell_0", "multi_rnn_cell/cell_1" and so on in
MultiRNNCell, lowest layer first.
"""

import re
from collections.abc import Collection
from typing import Any, NamedTuple

PEEPHOLES = ("w_i_diag", "w_f_diag", "w_o_diag")
_VARIABLES = ("kernel", "bias", *PEEPHOLES, "projection/kernel", "projection/bias")
_EARLIER = {"weights": "kernel", "biases": "bias"}  # before TensorFlow 1.2
_CELL = re.compile(r"lstm|cell", re.IGNORECASE)
_OTHER = re.compile(
    r"gru|layer_?norm|conv_|phased|time_freq|grid|glstm|coupled|intersection|(?<!lstm_)rnn_?cell"
    r"|nas_?cell",
    re.IGNORECASE,
)


class Cell(NamedTuple):
    """One cell: its scope, stack, layer and direction, and the full names of its variables."""

    prefix: str
    stack: str
    layer: int
    way: str
    variables: dict[str, str]


def scopes(scope: Any) -> list[str]:
    """One scope or several as a list.

    Raises:
      TypeError, ValueError: a scope is not a string, or the list is empty.
    """
    found = list(scope) if isinstance(scope, (list, tuple)) else [scope]
    for own in found:
        if not isinstance(own, str):
            raise TypeError(
                f"scope holds {own!r:.80}; expected the scope of the cells, such as 'encoder/rnn', "
                "or a list of scopes, lowest layer first"
            )
    if not found:
        raise ValueError("scope is an empty list; pass at least one scope, or leave scope out")
    return found


def layers(names: Collection[str], scope: str) -> list[list[Cell]]:
    """The cells of each layer, lowest first, forward before backward.

    Args:
      names: the names of all variables.
      scope: variable scope of the cells, in whole path components; "" for every scope.

    Raises:
      ValueError: there is no LSTM cell, a cell of another kind, or several networks.
    """
    cells = _cells(names, scope)
    where = f" below {scope!r}" if scope else ""
    if not cells:
        raise ValueError(
            f"no LSTM cell (a name like rnn/lstm_cell/kernel) among {sorted(names)[:8]}{where}"
        )
    stacks = sorted({cell.stack for cell in cells})
    found = sorted({(cell.layer, cell.way) for cell in cells})
    if len(stacks) > 1 or len(found) < len(cells):
        raise ValueError(
            f"several LSTMs{where}, {[cell.prefix for cell in cells][:8]}; choose one: "
            f'scope="{cells[0].prefix}"; if several form one stack, pass a list of their scopes, '
            "lowest layer first"
        )
    numbers = sorted({cell.layer for cell in cells})
    if numbers != list(range(len(numbers))):
        raise ValueError(f"{stacks[0]} has the cells {numbers}; expected 0, 1, 2, ... without gaps")
    made = []
    for layer in numbers:
        own = sorted((cell for cell in cells if cell.layer == layer), key=lambda cell: cell.way)
        made.append(own[::-1])  # fw before bw
    return made


def _cells(names: Collection[str], scope: str) -> list[Cell]:
    scope = scope.strip("/")
    known = {name.removesuffix(":0") for name in names}
    found: dict[str, dict[str, str]] = {}
    for name in names:
        path = name.removesuffix(":0")
        prefix, _, last = path.rpartition("/")
        if prefix in known:
            continue  # an optimiser's variable, named below the one that it belongs to
        last = _EARLIER.get(last, last)
        if prefix.rpartition("/")[2] == "projection":
            prefix, last = prefix.rpartition("/")[0], f"projection/{last}"
        if not scope or prefix == scope or prefix.startswith(f"{scope}/"):
            found.setdefault(prefix, {})[last] = name
    return [
        _cell(prefix, own, scope)
        for prefix, own in sorted(found.items())
        if "kernel" in own and (prefix == scope or _CELL.search(prefix.rpartition("/")[2]))
    ]


def _cell(prefix: str, variables: dict[str, str], scope: str) -> Cell:
    kind = prefix.rpartition("/")[2]
    if "recurrent_kernel" in variables:
        raise ValueError(
            f"{prefix} has a recurrent_kernel, so it is a layer of Keras, not a cell of TensorFlow "
            "1; load its weights into a Keras layer and use from_keras"
        )
    if _OTHER.search(kind):
        raise ValueError(
            f"{prefix} is not an LSTM cell by its name; choose LSTM cells with scope=..."
        )
    if unknown := sorted(set(variables) - set(_VARIABLES)):
        raise ValueError(
            f"{prefix} has {', '.join(unknown)}, which no LSTM cell has; expected some of "
            f"{', '.join(_VARIABLES)}"
        )
    if "bias" not in variables:
        raise ValueError(
            f"{prefix} has no bias; expected one, as all LSTM cells of TensorFlow 1 have"
        )
    parts = prefix.removeprefix(scope).strip("/").split("/")[:-1]  # the path below scope
    ways = [n for n, part in enumerate(parts) if part in ("fw", "bw")]
    numbers = [n for n, part in enumerate(parts) if re.fullmatch(r"cell_\d+", part)]
    if len(ways) > 1 or len(numbers) > 1:
        raise ValueError(f"{prefix} is in a stack within a stack; choose one stack: scope=...")
    if ways and numbers and ways[0] < numbers[0]:
        raise ValueError(
            f"{prefix} is in a stack of one direction, whose layers do not read the other; convert "
            f'each direction: scope="{prefix.partition(f"/{parts[numbers[0]]}/")[0]}"'
        )
    apart = parts[: numbers[0]] if numbers else [*parts[: (*ways, None)[0]], kind]
    return Cell(
        prefix,
        "/".join(apart),
        int(parts[numbers[0]].removeprefix("cell_")) if numbers else 0,
        parts[ways[0]] if ways else "fw",
        variables,
    )
