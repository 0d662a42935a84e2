"""Scans that take several steps a turn of the loop, as they do on GPUs and TPUs."""

import functools

import jax
import jax.numpy as jnp
import pytest
from hypothesis import given, settings
from jax import export

import jlstm
from jlstm import Config, Layer
from jlstm.kernels import fused_as_scans, scan, unrolled
from jlstm.network import stack
from tests.examples import mostly_full
from tests.networks import EXAMPLES, assert_close, loss, make_call, run, variant_calls
from tests.operands import BOTH, MIXED, backward, forward

WAYS = {"forward": (False,), "backward": (True,), "both": BOTH, "mixed": MIXED}


@pytest.mark.parametrize("way", mostly_full(WAYS, default=["both"]))
def test_plain_layers_give_what_they_do_in_single_steps(way):
    """With a number of steps that is no multiple of a turn's."""
    reverse = WAYS[way]
    given = forward(reverse, 19, 3, 2, 4, ("valid", "resets"))
    options = {"keep": True}
    made = fused_as_scans.run(given, reverse, **options)
    back = backward(given, made)
    for operands, wanted in ((given, made), (back, fused_as_scans.backward(back, reverse))):
        own = options if operands is given else {}
        seen = unrolled.lowering(None, operands, reverse, **own)(operands)
        assert_close(seen, wanted)


@settings(max_examples=1 + EXAMPLES // 4)  # each compiles four loops
@given(variant_calls(given=("mask", "resets")))
def test_variants_give_what_they_do_in_single_steps(call):
    """With numbers of steps that are no multiple of a turn's."""

    def total(args, unroll):
        several = functools.partial(scan.run, unroll=unroll)
        times = {"lengths": None, "mask": None, "resets": None, "time_major": True, **call.times}
        out = stack.apply_with(several, call.config, *args, **times)
        return loss(out), out

    def both(unroll):
        args = call.params, call.carry, call.xs
        return jax.grad(total, has_aux=True)(args, unroll)

    slopes, out = both(3)
    wanted_slopes, wanted = both(1)
    assert_close(out, wanted, atol=1e-5)
    assert_close(slopes, wanted_slopes, atol=1e-3)


@pytest.mark.parametrize(
    ("platform", "expected"), [("cpu", 88), ("cuda", 11), ("rocm", 11), ("tpu", 11)]
)
def test_loops_are_unrolled_on_gpus_and_tpus_alone(platform, expected):
    config = Config(3, (Layer(4, peepholes=True),))
    params = jax.eval_shape(lambda: jlstm.init(jax.random.key(0), config))
    outputs = jax.jit(lambda params, xs: jlstm.apply(config, params, None, xs))
    xs = jax.ShapeDtypeStruct((88, 2, 3), jnp.float32)
    program = export.export(outputs, platforms=[platform])(params, xs).mlir_module()
    found = [n for n in (88, 11) if f"dense<{n}> : tensor<i32>" in program]
    assert found == [expected]


@pytest.mark.parametrize("platform", ["cuda", "rocm"])
def test_an_unknown_number_of_steps_is_not_divided(platform):
    call = make_call(Config(3, (Layer(4),)), 4, (3,), 0)._replace(carry=None)
    xs = jax.ShapeDtypeStruct((*export.symbolic_shape("t, b"), 3), jnp.float32)
    slopes = jax.jit(jax.grad(lambda xs: run(call, "auto", xs=xs)[1].sum()))
    assert export.export(slopes, platforms=[platform])(xs).platforms == (platform,)
