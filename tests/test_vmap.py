"""Batches: contract 3."""

import itertools
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from jax import export

import jlstm
from jlstm import Config, Layer
from tests.examples import examples, mostly_full
from tests.networks import apply, assert_close, calls, loss, make_call, require_kernel


def carry_axes(call):
    """Where each array of a carry has its batch."""
    return tuple(jlstm.Carry(*[int(layer.bidirectional)] * 2) for layer in call.config.layers)


def over_sequences(call):
    """`apply` of one sequence, mapped over the batch."""
    times_axes = {name: 0 if name == "lengths" else 1 for name in call.times}
    axes = carry_axes(call)

    def run(carry, xs, times):
        return apply(call, carry=carry, xs=xs, times=times)

    return jax.vmap(run, (axes, 1, times_axes), (axes, 1))


@given(calls())
def test_sequences_vmap_and_batch_dimensions_agree(call):
    """Contract 3: any batch shape, each as one axis of vmap after the other."""
    if call.xs.ndim == 2:
        one = jax.tree.map(lambda a: a[None], (call.xs, call.times))
        carry = jax.tree.map(lambda a, at: jnp.expand_dims(a, at), call.carry, carry_axes(call))
        times = {n: a if n == "lengths" else np.moveaxis(a, 0, 1) for n, a in one[1].items()}
        batched = apply(call, carry=carry, xs=call.xs[:, None], times=times)
        carry = jax.tree.map(lambda a, at: jnp.squeeze(a, at), batched[0], carry_axes(call))
        assert_close((carry, batched[1][:, 0]), apply(call))
    elif call.xs.ndim == 3:
        mapped = over_sequences(call)(call.carry, call.xs, call.times)
        assert_close(mapped, apply(call))
    else:
        axes = carry_axes(call)
        times_axes = {name: 0 if name == "lengths" else 1 for name in call.times}
        twice = jax.vmap(over_sequences(call), (axes, 1, times_axes), (axes, 1))
        mapped = twice(call.carry, call.xs, call.times)
        assert_close(mapped, apply(call))


@settings(max_examples=examples(8))
@given(calls(given=["lengths", "resets"]))
def test_an_ensemble_is_its_members(call):
    """Contract 3: vmap over params, values and gradients."""
    members = [jax.tree.map(lambda a, n=n: a * (1 + n), call.params) for n in range(3)]
    together = jax.tree.map(lambda *a: np.stack(a), *members)

    def run(params):
        return apply(call, params=params)

    def gradient(params):
        return jax.grad(lambda params: loss(run(params)))(params)

    for function in (run, gradient):
        one_by_one = [function(member) for member in members]
        wanted = jax.tree.map(lambda *a: jnp.stack(a), *one_by_one)
        assert_close(jax.vmap(function)(together), wanted, atol=1e-4)


def foreign_elements(program):
    """Numbers that the foreign calls of a compiled program give back."""
    total = 0
    for line in program.splitlines():
        if 'custom_call_target="jlstm_' in line:
            results = line.split("custom-call(")[0]
            total += sum(
                math.prod(int(size) for size in shape.split(",") if size)
                for shape in re.findall(r"f32\[([\d,]*)\]", results)
            )
    return total


ONE_WAY, BOTH_WAYS = Layer(16), Layer(16, bidirectional=True)


@pytest.mark.parametrize(
    ("layer", "of"),
    mostly_full(
        list(itertools.product((ONE_WAY, BOTH_WAYS), ("values", "gradients"))),
        default=[(BOTH_WAYS, "gradients")],
    ),
)
@pytest.mark.parametrize("implementation", mostly_full(["scan", "cpu"], default=["cpu"]))
def test_vmap_does_the_work_of_a_batch_dimension(layer, of, implementation):
    """Contract 3: as many floating-point operations, and as much memory within a tenth.

    XLA does not see into the kernel, whose work follows from how often and on what it is called.
    """
    if implementation == "cpu":
        require_kernel()
    config = Config(8, (layer,))
    call = make_call(config, 20, (32,), 0, ["resets"])

    def function(run):
        def summed(params, xs):
            return (run(params, xs) ** 2).sum()

        return run if of == "values" else jax.grad(summed, (0, 1))

    def leading(params, xs):
        return jlstm.apply(config, params, None, xs, **call.times, implementation=implementation)[1]

    def mapped(params, xs):
        def one(xs, resets):
            return jlstm.apply(
                config, params, None, xs, resets=resets, implementation=implementation
            )[1]

        return jax.vmap(one, 1, 1)(xs, call.times["resets"])

    ys_size = 20 * 32 * config.output_size
    costs = []
    for run in (leading, mapped):
        compiled = jax.jit(function(run)).lower(call.params, call.xs).compile()
        memory = compiled.memory_analysis().temp_size_in_bytes
        if implementation == "cpu":
            work = foreign_elements(compiled.as_text())
            assert work > 0
        else:
            work = compiled.cost_analysis()["flops"]
        costs.append((work, memory))
    (work, memory), (work_mapped, memory_mapped) = costs
    assert work_mapped <= 1.02 * work
    # JAX moves a mapped axis to the front to add an axis for the kernel's groups, and back.
    copies = 4 * (call.xs.size + ys_size) if implementation == "cpu" else 0
    assert memory_mapped <= 1.1 * memory + copies


@pytest.mark.parametrize("shape", [(0, 2, 3), (4, 0, 3)])
def test_an_ensemble_over_nothing(shape):
    config = Config.stack(3, [4])
    keys = jax.random.split(jax.random.key(0), 3)
    members = jax.vmap(lambda key: jlstm.init(key, config))(keys)
    _, ys = jax.vmap(lambda params: jlstm.apply(config, params, None, jnp.zeros(shape)))(members)
    assert ys.shape == (3, *shape[:2], 4)


def test_an_ensemble_of_symbolic_size_can_be_exported():
    """Contract 3."""
    config = Config(3, (Layer(4, bidirectional=True), Layer(4)))
    call = make_call(config, 4, (2,), 0)
    outputs = jax.jit(jax.vmap(lambda params: jlstm.apply(config, params, None, call.xs)[1]))
    (size,) = export.symbolic_shape("members")
    types = jax.tree.map(lambda a: jax.ShapeDtypeStruct((size, *a.shape), a.dtype), call.params)
    program = export.export(outputs, platforms=["cpu", "tpu"])(types)
    members = jax.tree.map(lambda a: jnp.stack([a, -a, 2 * a]), call.params)
    assert_close(program.call(members), outputs(members), atol=1e-5)
