"""Compiled and exported programs with int8 weights."""

import jax

import jlstm
from jlstm import Config
from tests.networks import apply, assert_close
from tests.quantize.made import CONFIG, quantized_call


def test_one_program_serves_new_weights():
    """Contract 8: a call retraces only when shapes or dtypes change; equal trees, equal types."""
    traces = []

    @jax.jit
    def run(params, xs):
        traces.append(1)
        return jlstm.apply(CONFIG, params, None, xs)

    call, _ = quantized_call(CONFIG)
    other, _ = quantized_call(CONFIG, seed=1)
    assert_close(run(call.params, call.xs), apply(call, carry=None))
    assert_close(run(other.params, call.xs), apply(other, xs=call.xs, carry=None))
    assert len(traces) == 1


def test_exported_programs_hold_int8():
    config = Config.stack(32, [64])
    call, exact = quantized_call(config)
    sizes = {}
    for name, c in (("int8", call), ("float32", exact)):
        program = jlstm.export(config, c.params, platforms=["cpu"])
        sizes[name] = len(program.serialize())
        _, ys = program.call(tuple(map(tuple, c.carry)), c.xs)
        assert_close(ys, apply(exact)[1])
    weights = (32 + 64) * 256
    assert sizes["int8"] < 2.5 * weights and sizes["float32"] > 4 * weights


def test_params_are_arguments_of_serialised_programs():
    call, _ = quantized_call(CONFIG)
    run = jax.jit(lambda params, xs: jlstm.apply(CONFIG, params, None, xs)[1])
    stored = jax.export.export(run)(call.params, call.xs).serialize()
    again = jax.export.deserialize(stored).call(call.params, call.xs)
    assert_close(again, apply(call, carry=None)[1])
