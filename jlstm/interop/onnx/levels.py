"""The layers that the LSTM nodes of a graph make, and which reads which."""

from collections.abc import Sequence

from jlstm.interop.onnx import joining
from jlstm.interop.onnx.evaluation import Value
from jlstm.interop.onnx.graph import Graph
from jlstm.interop.onnx.joining import Joined
from jlstm.interop.onnx.level import Level, input_of, outputs_of
from jlstm.interop.onnx.node import Lstm
from jlstm.interop.onnx.outputs import output_of, partner_of


def levels_of(graph: Graph) -> list[Level]:
    """The layers of the graph, lower ones first."""
    levels: list[Level] = []
    places: dict[int, int] = {}  # the level of each LSTM, by its number
    for lstms in _groups(graph):
        places |= dict.fromkeys((graph.numbers[id(lstm)] for lstm in lstms), len(levels))
        output, gives = output_of(graph, lstms)
        level = Level(lstms, root=len(levels), output=output, gives=gives)
        levels.append(_placed(graph, level, levels, places))
    return levels


def _groups(graph: Graph) -> list[tuple[Lstm, ...]]:
    """The nodes of each layer: one, or a forward and a reverse node, at the place of the later."""
    groups: dict[int, tuple[Lstm, ...]] = {id(lstm): (lstm,) for lstm in graph.lstms}
    for lstm in graph.lstms:
        other = partner_of(graph, lstm)
        if other and len(groups.get(id(other), ())) == 1:
            later = max(lstm, other, key=lambda own: graph.numbers[id(own)])
            del groups[id(lstm)], groups[id(other)]
            groups[id(later)] = (other, lstm)
    return [groups[id(lstm)] for lstm in graph.lstms if id(lstm) in groups]


def _placed(graph: Graph, level: Level, levels: Sequence[Level], places: dict[int, int]) -> Level:
    """The level with the level below and how its output is read, or why it is in no stack."""
    lstm = level.lstms[0]
    values = graph.values(lstm.inputs["X"])
    if not values[0].sources:
        return level
    top = values[0].sources[0]
    lower = levels[places[top]]
    found = _readings(graph, lstm, values, lower, levels[lower.root])
    if found[0][0] and all(own == found[0] for own in found):
        return level._replace(below=places[top], root=lower.root, reads=found[0][0])
    title, through = graph.lstms[top].title, ", ".join(values[0].path)
    how = f"through {through}" if through else "as it is"
    if values[0].array is None:
        how += ", in a shape that is not known or too large to follow"
    if orders := [order for _, order in found if order not in ("", "TBF")]:
        names = [lstm.x_axes["TBF".index(axis)] for axis in orders[0]]
        how += f", with axes {', '.join(names)} where it expects {', '.join(lstm.x_axes)}"
    return level._replace(cut=f"{level.title} reads {title} {how}")


def _readings(
    graph: Graph, lstm: Lstm, values: list[Value], lower: Level, root: Level
) -> list[tuple[Joined | None, str]]:
    """For each choice of sizes, how `lstm` reads the level below, and in which order of axes."""
    made = []
    for evaluation, value in zip(graph.evaluations, values, strict=True):
        read = input_of(evaluation, lstm) if value.computed else None
        ys, xs = outputs_of(evaluation, lower.lstms), input_of(evaluation, lower.lstms[0])
        base = input_of(evaluation, root.lstms[0])
        if read is None or ys is None or xs is None or base is None:
            made.append((None, ""))
            continue
        orders = ((name, joining.joined(a, ys, xs, base)) for name, a in joining.orders(read))
        order, own = next((pair for pair in orders if pair[1]), ("", None))
        made.append((own if order == "TBF" else None, order))
    return made
