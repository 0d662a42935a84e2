"""The stacks that the layers of an ONNX graph form, of which a conversion reads one."""

from collections.abc import Sequence
from typing import Any

from jlstm import validation
from jlstm.interop.onnx import joining
from jlstm.interop.onnx.graph import Graph
from jlstm.interop.onnx.level import Level

_HIGHEST = 1_000  # layers per stack, so that a small file cannot take much memory


def chain_of(graph: Graph, levels: Sequence[Level], node: str | None) -> list[Level]:
    """The layers of one stack, lowest first: of the only stack, or of the one with `node`.

    Raises:
      ValueError: there is no such LSTM, or several stacks match.
    """
    above: dict[int, list[int]] = {}
    for n, level in enumerate(levels):
        if level.below is not None:
            above.setdefault(level.below, []).append(n)
    tops = [n for n in range(len(levels)) if n not in above]
    named = [
        n
        for n, level in enumerate(levels)
        if node is None or node in [lstm.name for lstm in level.lstms]
    ]
    if not named:
        titles = validation.some([lstm.title for lstm in graph.lstms])
        wanted = "" if node is None else f" called {node!r:.80}"
        raise ValueError(f"the model has no LSTM node{wanted}; its LSTMs: {titles}{_nested(graph)}")
    top = named[-1]
    while len(above.get(top, ())) == 1:
        top = above[top][0]
    numbers = [top]
    while (lower := levels[numbers[-1]].below) is not None:
        numbers.append(lower)
    if len(numbers) > _HIGHEST:
        raise ValueError(f"a stack of the model has more than {_HIGHEST} LSTMs")
    if top not in above and set(named) <= set(numbers):
        return [levels[n] for n in reversed(numbers)]
    cuts = "; ".join(level.cut for level in levels if level.cut)
    raise ValueError(
        "the model has several stacks of LSTMs, which end at "
        f"{validation.some([levels[n].title for n in tops])}; choose one by the name of a node "
        f"that no other stack has: node=...{'; ' if cuts else ''}{cuts[:400]}{_nested(graph)}"
    )


def source_of(graph: Graph, level: Level) -> tuple[str, list[str]]:
    """The value that a stack's lowest layer reads, before nodes that only turn it, and its axes."""
    lstm = level.lstms[0]
    name, axes = lstm.inputs["X"], list(lstm.x_axes)
    while name in graph.makers:
        node = graph.nodes[graph.makers[name]]
        if node.op_type not in ("Transpose", "Identity", "Cast", "Dropout"):
            break
        perm = _perm(node)
        if sorted(perm) != [0, 1, 2]:
            break
        for one, other in zip(graph.values(node.input[0]), graph.values(name), strict=True):
            if one.array is None or one.array.ndim != 3 or other.array is None:
                return name, axes
            if not joining.equal(other.array, one.array.transpose(perm)):
                return name, axes
        name, axes = node.input[0], [axes[perm.index(n)] for n in range(3)]
    return name, axes


def _perm(node: Any) -> list[int]:
    """The order of the axes that a node gives a value of three axes."""
    if node.op_type != "Transpose":
        return [0, 1, 2]
    return [n for attribute in node.attribute for n in attribute.ints] or [2, 1, 0]


def _nested(graph: Graph) -> str:
    """Says which LSTMs cannot be read as they stand within other nodes; empty if there are none."""
    if not graph.nested:
        return ""
    return (
        f"; from_onnx reads the LSTMs of the main graph only, not {', '.join(graph.nested)}: "
        "export the part of the model that holds them, or inline its functions with "
        "onnx.inliner.inline_local_functions"
    )
