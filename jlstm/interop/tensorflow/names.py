"""Which variables of TensorFlow 1 are those of LSTM cells, and how the cells are stacked.

dynamic_rnn puts a cell below "rnn", bidirectional_dynamic_rnn below "bidirectional_rnn/fw" and
"bw", MultiRNNCell below "multi_rnn_cell/cell_0" and so on, from the lowest layer.
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
    """One cell: where it stands, in which layer and direction, and its variables' whole names."""

    prefix: str
    stack: str
    layer: int
    way: str
    variables: dict[str, str]


def scopes(scope: Any) -> list[str]:
    """The scopes that one scope or several are.

    Raises:
      TypeError, ValueError: they are no text, or none.
    """
    found = list(scope) if isinstance(scope, (list, tuple)) else [scope]
    for own in found:
        if not isinstance(own, str):
            raise TypeError(
                f"scope holds {own!r:.80}; expected where the cells stand, such as 'encoder/rnn', "
                "or a list of these, lowest layer first"
            )
    if not found:
        raise ValueError("scope is an empty list; expected one at least, or leave it out")
    return found


def layers(names: Collection[str], scope: str) -> list[list[Cell]]:
    """The cells of each layer, lowest first, forward before backward.

    Args:
      names: of all variables.
      scope: what the cells stand below, whole parts of the path; "" for anything.

    Raises:
      ValueError: there is no LSTM cell, another kind of cell, or several networks.
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
            f'scope="{cells[0].prefix}", or a list of such scopes for those that form one stack, '
            "lowest first"
        )
    numbers = sorted({cell.layer for cell in cells})
    if numbers != list(range(len(numbers))):
        raise ValueError(f"{stacks[0]} has the cells {numbers}; expected all, from 0 on")
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
            continue  # an optimiser's, kept below the variable that it belongs to
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
            "1; load its weights into the layer and use from_keras"
        )
    if _OTHER.search(kind):
        raise ValueError(f"{prefix} is by its name no LSTM cell; choose others with scope=...")
    if unknown := sorted(set(variables) - set(_VARIABLES)):
        raise ValueError(
            f"{prefix} has {', '.join(unknown)}, which an LSTM cell lacks; known are "
            f"{', '.join(_VARIABLES)}"
        )
    if "bias" not in variables:
        raise ValueError(f"{prefix} has no bias, which all of TensorFlow 1's LSTM cells have")
    parts = prefix.removeprefix(scope).strip("/").split("/")[:-1]  # what is left to tell apart
    ways = [n for n, part in enumerate(parts) if part in ("fw", "bw")]
    numbers = [n for n, part in enumerate(parts) if re.fullmatch(r"cell_\d+", part)]
    if len(ways) > 1 or len(numbers) > 1:
        raise ValueError(f"{prefix} stands in a stack of stacks; choose one: scope=...")
    if ways and numbers and ways[0] < numbers[0]:
        raise ValueError(
            f"{prefix} stands in a stack of one direction, whose layers do not see the other; "
            f'convert each: scope="{prefix.partition(f"/{parts[numbers[0]]}/")[0]}"'
        )
    apart = parts[: numbers[0]] if numbers else [*parts[: (*ways, None)[0]], kind]
    return Cell(
        prefix,
        "/".join(apart),
        int(parts[numbers[0]].removeprefix("cell_")) if numbers else 0,
        parts[ways[0]] if ways else "fw",
        variables,
    )
