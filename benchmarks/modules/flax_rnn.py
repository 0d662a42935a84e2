"""What the modules of jlstm.modules gain over Flax's RNN, in one process.

    python benchmarks/modules/flax_rnn.py

prints the table of docs/modules.md. Both sides have the same weights, and their outputs and
gradients must agree before anything is timed. In each round, the sides make a few calls in turn.
The ratio is that of the medians over the rounds. A training step is the value and all gradients of
a mean square. It takes a few minutes on 2 cores.
"""

import argparse
import functools
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax import nnx

from jlstm import Layer
from jlstm.modules import linen as ours_linen
from jlstm.modules import nnx as ours_nnx


class Case(NamedTuple):
    """Sizes of a batch: inputs [batch, T, I], H units; with `both`, in two directions."""

    batch: int
    time_steps: int
    inputs: int
    units: int
    both: bool = False


CASES = (
    Case(1, 100, 64, 64),
    Case(32, 100, 64, 128),
    Case(64, 200, 128, 256),
    Case(32, 100, 64, 128, both=True),
)
# Flax's side and ours: programs of (weights, xs), with their weights.
Side = tuple[Callable[..., Any], Any]


def in_linen(case: Case, xs: jax.Array) -> tuple[Side, Side]:
    """nn.RNN over a cell, or nn.Bidirectional of two, and linen.LSTM with the same weights."""
    ways = [nn.RNN(nn.OptimizedLSTMCell(case.units)) for _ in range(1 + case.both)]
    theirs = nn.Bidirectional(*ways) if case.both else ways[0]
    variables = theirs.init(jax.random.key(0), xs)
    ours = ours_linen.LSTM(Layer(case.units, bidirectional=case.both))
    return (theirs.apply, variables), (ours.apply, {"params": ours_linen.params_from(variables)})


def in_nnx(case: Case, xs: jax.Array) -> tuple[Side, Side]:
    """The same in nnx."""
    del xs

    def rnn(seed: int) -> Any:
        return nnx.RNN(nnx.OptimizedLSTMCell(case.inputs, case.units, rngs=nnx.Rngs(seed)))

    theirs = nnx.Bidirectional(rnn(0), rnn(1)) if case.both else rnn(0)
    layer = Layer(case.units, bidirectional=case.both)
    ours = ours_nnx.LSTM(case.inputs, layer, rngs=nnx.Rngs(0))
    ours_nnx.set_params(ours, theirs)

    def side(module: Any) -> Side:
        graph, weights, rest = nnx.split(module, nnx.Param, ...)

        def run(weights: Any, xs: jax.Array) -> jax.Array:
            # nnx.RNN counts its draws, in a copy that belongs to the program.
            return nnx.merge(graph, weights, jax.tree.map(jnp.copy, rest))(xs)

        return run, weights

    return side(theirs), side(ours)


def forward(side: Side) -> Callable[[jax.Array], Any]:
    """The outputs."""
    return functools.partial(jax.jit(side[0]), side[1])


def training(side: Side) -> Callable[[jax.Array], Any]:
    """The loss, and its gradients for inputs and weights."""
    run, weights = side
    step = jax.value_and_grad(lambda weights, xs: jnp.mean(run(weights, xs) ** 2), (1, 0))
    return functools.partial(jax.jit(step), weights)


def agree(theirs: Any, ours: Any) -> None:
    """AssertionError unless the outputs, or loss and gradient for the inputs, are equal."""
    for one, other in zip(jax.tree.leaves(theirs)[:2], jax.tree.leaves(ours)[:2], strict=True):
        if one.shape == other.shape:
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


def medians(programs: list[Callable[[], Any]], rounds: int, seconds: float) -> list[float]:
    """Median seconds of a call of each program, in turn; a round takes about `seconds` each."""
    calls = []
    for program in programs:
        jax.block_until_ready(program())
        began = time.perf_counter()
        jax.block_until_ready(program())
        calls.append(max(1, round(seconds / (time.perf_counter() - began))))
    found: list[list[float]] = [[] for _ in programs]
    for _ in range(rounds):
        for own, program, count in zip(found, programs, calls, strict=True):
            began = time.perf_counter()
            for _ in range(count):
                jax.block_until_ready(program())
            own.append((time.perf_counter() - began) / count)
    return [statistics.median(own) for own in found]


def main(rounds: int, seconds: float, cases: tuple[Case, ...]) -> None:
    """Prints a table with a row for each case."""
    print("| | batch | T | I | H | forward: Flax | LSTM | ratio | training: Flax | LSTM | ratio |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for name, build in (("linen", in_linen), ("nnx", in_nnx)):
        for case in cases:
            shape = (case.batch, case.time_steps, case.inputs)
            xs = jax.random.normal(jax.random.key(1), shape)
            sides = build(case, xs)
            cells = [name, *case[:3], f"{case.units}{' both ways' * case.both}"]
            for what in (forward, training):
                programs = [functools.partial(what(side), xs) for side in sides]
                agree(*(program() for program in programs))
                theirs, ours = medians(programs, rounds, seconds)
                times = (f"{1e3 * theirs:.2f} ms", f"{1e3 * ours:.2f} ms")
                cells += [*times, f"{theirs / ours:.1f}"]
            print("|", " | ".join(map(str, cells)), "|", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15, help="rounds of each case")
    parser.add_argument("--seconds", type=float, default=0.3, help="seconds of a side in a round")
    options = parser.parse_args()
    main(options.rounds, options.seconds, CASES)
