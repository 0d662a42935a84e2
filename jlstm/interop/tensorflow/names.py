"""Finds LSTM cells among the variable names of TensorFlow 1, and how the cells are stacked.

Scopes of a cell: "rnn" in dynamic_rnn; "bidirectional_rnn/fw" and "bidirectional_rnn/bw" in
bidirectional_dynamic_rnn; "multi_rnn_cell/cell_0", "multi_rnn_cell/cell_1" and so on in
MultiRNNCell, lowest layer first.
"""

import bisect
import itertools
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from jlstm import validation

PEEPHOLES = ("w_i_diag", "w_f_diag", "w_o_diag")
_VARIABLES = ("kernel", "bias", *PEEPHOLES, "projection/kernel", "projection/bias")
_EARLIER = {"weights": "kernel", "biases": "bias"}  # before TensorFlow 1.2; also of dense layers
_EARLIER_CELL = re.compile(r"(basic_)?lstm_cell(_\d+)?")
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
      ValueError: there is no LSTM cell, a cell of another kind, or several networks, or variables
        below a cell may change what it computes.
    """
    cells = _cells(names, scope)
    where = f" below {scope!r}" if scope else ""
    if not cells:
        _require_no_cudnn_vector(names)
        raise ValueError(
            f"no LSTM cell (a name like rnn/lstm_cell/kernel) among {sorted(names)[:8]}{where}"
        )
    stacks = sorted({cell.stack for cell in cells})
    found = sorted({(cell.layer, cell.way) for cell in cells})
    if len(stacks) > 1 or len(found) < len(cells):
        prefixes = [cell.prefix for cell in cells]
        inner = [a for a in prefixes if not _has_below(prefixes, f"{a}/")]
        inner.sort(key=lambda prefix: not prefix.endswith("lstm_cell"))
        raise ValueError(
            f'several LSTMs{where}, {prefixes[:8]}; choose one: scope="{inner[0]}"; if several '
            "form one stack, pass a list of their scopes, lowest layer first"
        )
    _require_nothing_below(cells, names)
    numbers = sorted({cell.layer for cell in cells})
    if numbers != list(range(len(numbers))):
        raise ValueError(f"{stacks[0]} has the cells {numbers}; expected 0, 1, 2, ... without gaps")
    made = []
    for layer in numbers:
        own = sorted((cell for cell in cells if cell.layer == layer), key=lambda cell: cell.way)
        made.append(own[::-1])  # fw before bw
    return made


def _has_below(prefixes: Sequence[str], start: str) -> bool:
    """Whether one of the sorted prefixes begins with `start`."""
    at = bisect.bisect_left(prefixes, start)
    return at < len(prefixes) and prefixes[at].startswith(start)


def _require_nothing_below(cells: Sequence[Cell], names: Collection[str]) -> None:
    """ValueError if a cell's scope holds variables besides its own and their optimiser's."""
    paths = sorted(name.removesuffix(":0") for name in names)
    for cell in cells:
        start = f"{cell.prefix}/" if cell.prefix else ""
        own = {name.removesuffix(":0") for name in cell.variables.values()}
        slots = tuple(f"{path}/" for path in own)
        held = map(paths.__getitem__, range(bisect.bisect_left(paths, start), len(paths)))
        within = itertools.takewhile(lambda path, start=start: path.startswith(start), held)
        if odd := [path for path in within if path not in own and not path.startswith(slots)]:
            raise ValueError(
                f"{cell.prefix or 'the cell'} also holds {validation.some(odd)}, which no LSTM "
                "cell has; these may change what it computes, as layer normalisation does. If they "
                "do not, pass a mapping of the other arrays by name"
            )


def _cells(names: Collection[str], scope: str) -> list[Cell]:
    scope = scope.strip("/")
    known = {name.removesuffix(":0") for name in names}
    found: dict[str, dict[str, list[str]]] = {}
    earlier = set()
    for name in names:
        path = name.removesuffix(":0")
        prefix, _, last = path.rpartition("/")
        if prefix in known:
            continue  # an optimiser's variable, named below the one that it belongs to
        if last in _EARLIER and not _EARLIER_CELL.fullmatch(prefix.rpartition("/")[2]):
            earlier.add(prefix)
        last = _EARLIER.get(last, last)
        if prefix.rpartition("/")[2] == "projection":
            prefix, last = prefix.rpartition("/")[0], f"projection/{last}"
        if not scope or prefix == scope or prefix.startswith(f"{scope}/"):
            found.setdefault(prefix, {}).setdefault(last, []).append(name)
    cells = {
        prefix: own
        for prefix, own in sorted(found.items())
        if "kernel" in own and (prefix == scope or _CELL.search(prefix.rpartition("/")[2]))
    }
    # Beside cells, the weights and biases of a scope such as "lstm_output" are a dense layer's.
    sure = {prefix: own for prefix, own in cells.items() if prefix not in earlier}
    return [_cell(prefix, own, scope) for prefix, own in (sure or cells).items()]


def _require_no_cudnn_vector(names: Collection[str]) -> None:
    for name in sorted(names):
        if name.removesuffix(":0").rpartition("/")[2] == "opaque_kernel":
            raise ValueError(
                f"{name} is the vector in which cuDNN holds all weights of a CudnnLSTM; its sizes "
                "cannot be told from it. If you know them, read the vector, for example by "
                "tf.train.load_variable(path, name), and convert it with jlstm.interop.from_cudnn("
                "vector, input_size, hidden_size, num_layers, bidirectional). Or save the model by "
                "tf.train.Saver() without a list of variables, which writes the weights of each "
                "layer as cudnn_compatible_lstm_cell/kernel and bias"
            )


def _cell(prefix: str, named: Mapping[str, Sequence[str]], scope: str) -> Cell:
    kind = prefix.rpartition("/")[2]
    for last, same in named.items():
        if len(same) > 1:
            raise ValueError(
                f"{' and '.join(same)} are both the {last} of {prefix or 'the cell'}; expected one"
            )
    variables = {last: same[0] for last, same in named.items()}
    if "recurrent_kernel" in variables:
        raise ValueError(
            f"{prefix} has a recurrent_kernel, so it is a layer of Keras, not a cell of TensorFlow "
            "1; use from_keras, which reads checkpoints too: from_keras(path)"
        )
    if _OTHER.search(kind):
        raise ValueError(
            f"{prefix} is not an LSTM cell by its name; choose LSTM cells with scope=..."
        )
    if unknown := sorted(set(variables) - set(_VARIABLES)):
        raise ValueError(
            f"{prefix} has {', '.join(unknown)}, which no LSTM cell has; expected some of "
            f"{', '.join(_VARIABLES)}; if it is no LSTM cell, choose the cells by their scope=..."
        )
    if "bias" not in variables:
        raise ValueError(
            f"{prefix} has no bias; expected one, as all LSTM cells of TensorFlow 1 have; if it is "
            "no LSTM cell, choose the cells by their scope=..."
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
