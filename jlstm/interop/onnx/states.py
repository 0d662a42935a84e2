"""Initial states and sequence lengths of the LSTM nodes of a stack."""

import dataclasses
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from jlstm.config import Config
from jlstm.interop.onnx.evaluation import Value
from jlstm.interop.onnx.generality import OF_NUMBERS
from jlstm.interop.onnx.graph import Graph
from jlstm.interop.onnx.level import Level, input_of
from jlstm.interop.onnx.node import Lstm, shown
from jlstm.interop.report import Report
from jlstm.params import Carry, Params


def with_states(
    config: Config, params: Params, chain: Sequence[Level], graph: Graph, report: Report
) -> tuple[Config, Params]:
    """The network with constant initial states as its learned initial carry.

    Raises:
      ValueError: a constant differs between sequences or has the wrong shape or dtype, or an
        initial state comes from another LSTM of the stack.
    """
    own = [lstm for level in chain for lstm in level.lstms]
    carries = []
    for level in chain:
        states = {}
        for name in ("initial_h", "initial_c"):
            rows = [_start(lstm, name, graph, own, report) for lstm in level.lstms]
            row = np.concatenate(rows) if level.both else rows[0][0]
            states[name] = jnp.asarray(row, config.param_dtype)
        carries.append(Carry(states["initial_c"], states["initial_h"]))
    if not any(np.any(np.asarray(a)) for carry in carries for a in carry):
        return config, params
    report.add("constant initial states became a learned initial carry")
    layers = tuple(
        own._replace(initial_carry=carry) for own, carry in zip(params.layers, carries, strict=True)
    )
    return dataclasses.replace(config, learn_initial_carry=True), Params(layers)


def require_same_lengths(chain: Sequence[Level], graph: Graph, report: Report) -> None:
    """ValueError unless all LSTMs of the stack have the same sequence_lens, or none have any.

    Lengths that equal the number of steps for all sequences count as none.
    """
    given = {_lengths(lstm, graph): lstm.title for level in chain for lstm in level.lstms}
    if len(given) > 1:
        said = [f"{title} {shown(name) or 'none'}" for name, title in given.items()]
        raise ValueError(
            f"the LSTMs of the stack have different sequence_lens, {', '.join(said[:9])}; expected "
            "the same for all, because apply has one `lengths`"
        )
    (name,) = given
    if name in graph.makers or name in graph.constants:
        report.add(f"the model computes sequence_lens, {shown(name)}: pass them as `lengths`")
    elif name:
        report.add("the model takes sequence_lens: pass them as `lengths` to apply")


def _lengths(lstm: Lstm, graph: Graph) -> str:
    """The value that a node's sequence_lens come from unchanged; "" if all steps count."""
    name = lstm.inputs["sequence_lens"]
    if not name:
        return ""
    values = graph.values(name)
    inputs = [input_of(evaluation, lstm) for evaluation in graph.evaluations]
    if all(_counts_all(*pair) for pair in zip(values, inputs, strict=True)):
        return ""
    while name in graph.makers:
        read = [n for n in graph.nodes[graph.makers[name]].input if n]
        same = [n for n in read if _equal(graph.values(n), values)]
        if not same or not all(value.computed for value in values):
            break
        name = same[0]
    return name


def _counts_all(value: Value, xs: np.ndarray | None) -> bool:
    """Whether lengths are the number of steps of `xs` for every sequence of any numbers."""
    if value.depends == OF_NUMBERS or value.array is None or xs is None:
        return False
    return value.array.shape == (xs.shape[1],) and bool((value.array == len(xs)).all())


def _equal(one: Sequence[Value], other: Sequence[Value]) -> bool:
    return all(
        a.array is not None and b.array is not None and np.array_equal(a.array, b.array)
        for a, b in zip(one, other, strict=True)
    )


def _start(lstm: Lstm, name: str, graph: Graph, own: Sequence[Lstm], report: Report) -> np.ndarray:
    """A node's initial state [D, H]. Zeros if it has none, or if it depends on the model's inputs.

    `own` are the LSTMs of the stack.
    """
    zeros = np.zeros((2 if lstm.both else 1, lstm.units))
    if not lstm.inputs[name]:
        return zeros
    values = graph.values(lstm.inputs[name])
    if any(value.depends == OF_NUMBERS for value in values):
        whence = "an input of the model or computed by it"
        if values[0].sources:
            other = graph.lstms[values[0].sources[0]]
            whence = f"computed from the output of {other.title}"
            if other in own:
                raise ValueError(
                    f"{lstm.title}: {name} comes from {other.title}, an LSTM of the same stack; "
                    "expected a constant or an input of the model, because apply takes the carry "
                    "of all layers before any of them runs"
                )
        report.add(
            f"{name} of {lstm.title} is {whence}: unless it is zero, pass it in the carry of apply"
        )
        return zeros
    rows = [_row(lstm, name, value.array) for value in values]
    if any((row != rows[0]).any() for row in rows):
        raise ValueError(
            f"{lstm.title}: {name} depends on the sizes of the input; make it an input of the "
            "model, and pass it in the carry of apply"
        )
    return rows[0]


def _row(lstm: Lstm, name: str, found: np.ndarray | None) -> np.ndarray:
    """The state [D, H] that a node's constant initial state holds for every sequence."""
    lead, dtype = 2 if lstm.both else 1, lstm.required("W").dtype
    if found is not None and found.ndim == 3 and lstm.batch_first:
        found = found.swapaxes(0, 1)
    if (
        found is None
        or found.ndim != 3
        or found.shape[::2] != (lead, lstm.units)
        or 0 in found.shape
    ):
        raise ValueError(
            f"{lstm.title}: {name} is {None if found is None else list(found.shape)}"
            f"{' with its first two axes swapped' if lstm.batch_first else ''}; expected "
            f"[{lead}, B, {lstm.units}] with a B of at least 1"
        )
    if found.dtype != dtype:
        raise ValueError(f"{lstm.title}: {name} is {found.dtype}; expected {dtype}, as W is")
    if (found != found[:, :1]).any():
        raise ValueError(
            f"{lstm.title}: {name} is a constant that differs between sequences; make it an "
            "input of the model, and pass it in the carry of apply"
        )
    return found[:, 0]
