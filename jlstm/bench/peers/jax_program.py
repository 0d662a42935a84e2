"""Code shared by all contenders in JAX: compiling, its timing, and gradients in one form."""

import contextlib
import gc
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.compilation_cache import compilation_cache

from jlstm.bench.peers import Program, UnsupportedError
from jlstm.bench.problem import COMPARED_STEPS, LayerWeights, Problem, Seen, named

Weights = Any
Layers = tuple[LayerWeights, ...]


def prepare(
    problem: Problem,
    mode: str,
    weights: Callable[[Layers], Weights],
    forward: Callable[[Weights, jax.Array, Any, Any], jax.Array],
    step: Callable[[Weights, Any, jax.Array], tuple[Any, jax.Array]] | None = None,
    start: Any = None,
    time_major: bool = True,
) -> Program:
    """Compiles a contender for one mode.

    Args:
      problem: the arrays of the case.
      mode: one of cases.MODES.
      weights: converts the neutral weights to the framework's. It must be linear.
      forward: (weights, xs, lengths, resets) -> outputs.
      step: (weights, carry, x [B, I]) -> (carry, output); None if the framework has no single step.
      start: the first carry for `step`.
      time_major: whether `forward` takes and returns [T, B, ...] or [B, T, ...].
    """
    dtype = problem.case.config.dtype
    kept = "float64" if dtype == "float64" else "float32"
    neutral = tuple(
        LayerWeights(*(jnp.asarray(a, kept) for a in layer)) for layer in problem.layers
    )
    own = jax.block_until_ready(jax.jit(weights)(neutral))
    # Shapes replace the arrays, which would count as memory that the contender needs.
    like_neutral = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), neutral)
    xs = jnp.asarray(problem.xs, dtype)
    xs = jax.block_until_ready(xs if time_major else xs.swapaxes(0, 1).copy())
    null = jax.jit(lambda weights, xs: xs[-1, -1, -1:] + 1)

    def loss(own: Weights, xs: jax.Array, *rest: Any) -> tuple[jax.Array, jax.Array]:
        ys = forward(own, xs, *rest)
        return (ys.astype(jnp.promote_types(ys.dtype, "float32")) ** 2).mean(), ys

    training = jax.value_and_grad(loss, (0, 1), has_aux=True)
    # Move the arguments to the device before any call is timed.
    arguments = (own, xs, *jax.device_put((problem.lengths, problem.resets)))
    if mode == "step":
        if step is None:
            raise UnsupportedError("it has no single step")
        arguments = (own, start, xs[0])
    program = {"forward": forward, "step": step}.get(mode, training)
    compiled, lower_s, compile_s = compile_uncached(program, *arguments)

    def outputs(ys: jax.Array) -> np.ndarray:
        return np.asarray(ys if time_major else ys.swapaxes(0, 1), kept)

    def results() -> Seen:
        if mode == "forward":
            return {"outputs": outputs(compiled(*arguments))}
        if mode == "step":
            carry, ys = start, []
            for x in xs[:COMPARED_STEPS]:
                carry, y = compiled(own, carry, x)
                ys.append(np.asarray(y, kept))
            return {"outputs": np.stack(ys)}
        (_, ys), (of_own, of_xs) = compiled(*arguments)
        zeros = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), like_neutral)
        (of_neutral,) = jax.vjp(weights, zeros)[1](of_own)
        return {
            "outputs": outputs(ys),
            "gradients for the input": outputs(of_xs),
            **named(of_neutral),
        }

    state = [start]

    def call() -> None:
        if mode == "compile":
            compile_uncached(program, *arguments)
        elif mode == "step":
            state[0], y = compiled(own, state[0], arguments[2])
            jax.block_until_ready(y)
        else:
            jax.block_until_ready(compiled(*arguments))

    def run_null() -> None:
        jax.block_until_ready(null(own, xs))

    return Program(call, results, run_null, lower_s, compile_s, lambda: _device_bytes(compiled))


def _device_bytes(compiled: Any) -> int | None:
    """The memory that XLA plans for a call. The allocator's peak would also count autotuning."""
    planned = None if jax.default_backend() == "cpu" else compiled.memory_analysis()
    if planned is None:
        return None
    parts = planned.argument_size_in_bytes + planned.output_size_in_bytes
    return parts + planned.temp_size_in_bytes - planned.alias_size_in_bytes


def compile_uncached(function: Callable[..., Any], *arguments: Any) -> tuple[Any, float, float]:
    """Returns (compiled program, seconds of lowering, seconds of compiling)."""
    with _uncached():
        start = time.perf_counter()
        lowered = jax.jit(function).lower(*arguments)
        lowering = time.perf_counter()
        compiled = lowered.compile()
        compiling = time.perf_counter()
    return compiled, lowering - start, compiling - lowering


@contextlib.contextmanager
def _uncached() -> Iterator[None]:
    """Clears all traced and compiled functions, and disables the cache on disk."""
    on_disk = jax.config.jax_enable_compilation_cache  # type: ignore[attr-defined]
    jax.config.update("jax_enable_compilation_cache", False)
    compilation_cache.reset_cache()  # otherwise JAX remembers whether the disk cache is enabled
    jax.clear_caches()
    gc.collect()  # so that it does not run while timing
    try:
        yield
    finally:
        jax.config.update("jax_enable_compilation_cache", on_disk)
        compilation_cache.reset_cache()
