"""This library."""

import functools
from typing import Any

import jax

from jlstm.bench.peers import Program, UnsupportedError, jax_program
from jlstm.bench.problem import LayerWeights, Problem
from jlstm.config import Config
from jlstm.kernels.choice import implementations
from jlstm.network.stack import apply
from jlstm.network.step import step
from jlstm.params import LayerParams, Params, initial_carry


def requirement(implementation: str, precision: str | None = None) -> str:
    """What this machine lacks; "" if nothing."""
    needed = {
        "tpu": ("tpu", "needs a TPU and jax[tpu]"),
        "cudnn": ("gpu", "needs an NVIDIA GPU and jax[cuda]"),
    }
    backend, what = needed.get(implementation, (None, ""))
    return "" if backend in (None, jax.default_backend()) else what


def params_of(config: Config, layers: tuple[LayerWeights, ...]) -> Params:
    """The weights of a case as parameters."""
    own = []
    for layer, given in zip(config.layers, layers, strict=True):
        arrays = given if layer.bidirectional else (a[0] for a in given)
        own.append(LayerParams(*arrays, initial_carry=None))
    return Params(tuple(own))


def prepare(
    problem: Problem, mode: str, implementation: str, precision: str | None = None
) -> Program:
    """Runs `apply` or `step` on one implementation of the recurrence.

    Args:
      problem: the arrays of the case.
      mode: one of cases.MODES.
      implementation: `implementation` of `apply`.
      precision: precision of products for `jax.default_matmul_precision`; None for JAX's default.
    """
    config = problem.case.config
    rows = implementations(config)
    for name, usable, reason in rows:
        if name == implementation and not usable:
            raise UnsupportedError(reason)
    fastest = next(name for name, usable, _ in rows if usable)
    if mode == "step" and implementation != fastest:
        raise UnsupportedError("`step` is the same for every implementation")

    weights = functools.partial(params_of, config)

    def forward(params: Params, xs: jax.Array, lengths: Any, resets: Any) -> jax.Array:
        times = {"lengths": lengths, "resets": resets}
        return apply(config, params, None, xs, **times, implementation=implementation)[1]

    def one_step(params: Params, carry: Any, x: jax.Array) -> Any:
        return step(config, params, carry, x)

    start = None
    if mode == "step":
        start = initial_carry(config, batch_shape=(problem.case.shape.batch_size,))
    with jax.default_matmul_precision(precision):
        return jax_program.prepare(problem, mode, weights, forward, one_step, start)
