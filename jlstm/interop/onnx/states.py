"""Initial states and sequence lengths of the LSTM nodes of a stack."""

import dataclasses
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from jlstm.config import Config
from jlstm.interop.onnx.node import Lstm, shown
from jlstm.interop.report import Report
from jlstm.params import Carry, Params


def with_states(
    config: Config, params: Params, chain: Sequence[Lstm], report: Report
) -> tuple[Config, Params]:
    """The network with constant initial states as its learned initial carry.

    Raises:
      ValueError: a constant differs between sequences or has the wrong shape or dtype, or an
        initial state comes from another LSTM of the stack.
    """
    carries = []
    for lstm, layer in zip(chain, config.layers, strict=True):
        for name, other in lstm.starts.items():
            if other in chain:
                raise ValueError(
                    f"{lstm.title}: {name} comes from {other.title}, an LSTM of the same stack; "
                    "expected a constant or an input of the model, because apply takes the carry "
                    "of all layers before any of them runs"
                )
        pair = [_start(lstm, name, report) for name in ("initial_c", "initial_h")]
        kept = pair if layer.bidirectional else [a[0] for a in pair]
        carries.append(Carry(*(jnp.asarray(a, config.param_dtype) for a in kept)))
    if not any(np.any(np.asarray(a)) for carry in carries for a in carry):
        return config, params
    report.add("constant initial states became a learned initial carry")
    layers = tuple(
        own._replace(initial_carry=carry) for own, carry in zip(params.layers, carries, strict=True)
    )
    return dataclasses.replace(config, learn_initial_carry=True), Params(layers)


def require_same_lengths(chain: Sequence[Lstm], report: Report) -> None:
    """ValueError unless all LSTMs of the stack have the same sequence_lens, or none have any."""
    given = {lstm.inputs["sequence_lens"]: lstm.title for lstm in chain}
    if len(given) > 1:
        said = [f"{title} {shown(name) or 'none'}" for name, title in given.items()]
        raise ValueError(
            f"the LSTMs of the stack have different sequence_lens, {', '.join(said[:9])}; expected "
            "the same for all, because apply has one `lengths`"
        )
    if any(given):
        report.add("the model takes sequence_lens: pass them as `lengths` to apply")


def _start(lstm: Lstm, name: str, report: Report) -> np.ndarray:
    """A node's initial state [D, H]. Zeros if it has none, or if it is not constant."""
    zeros = np.zeros((2 if lstm.both else 1, lstm.units))
    if not lstm.inputs[name]:
        return zeros
    found = lstm.state(name)
    if found is None:
        whence = "an input of the model or computed by it"
        if name in lstm.starts:
            whence = f"computed from the output of {lstm.starts[name].title}"
        report.add(
            f"{name} of {lstm.title} is {whence}: unless it is zero, pass it in the carry of apply"
        )
        return zeros
    if found.dtype != lstm.required("W").dtype:
        raise ValueError(
            f"{lstm.title}: {name} is {found.dtype}; expected {lstm.required('W').dtype}, as W is"
        )
    if (found != found[:, :1]).any():
        raise ValueError(
            f"{lstm.title}: {name} is a constant that differs between sequences; make it an "
            "input of the model, and pass it in the carry of apply"
        )
    return found[:, 0]
