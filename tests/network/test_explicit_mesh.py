"""Batches and ensembles whose shardings are part of their types: contract 14."""

import jax
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import jlstm
from jlstm import Config, Layer
from tests.examples import mostly_full
from tests.network.eight_devices import ARGS, fetched, gradients, mesh, outputs, sharded_args
from tests.networks import assert_close, make_call


@pytest.mark.parametrize("jitted", mostly_full([False, True], default=[True]))
def test_the_sharding_of_the_batch_is_kept(jitted):
    """Contract 14, with shardings in the types."""
    explicit = mesh(AxisType.Explicit)
    with jax.set_mesh(explicit):
        args = sharded_args(explicit)
        run, run_gradients = (jax.jit(f) if jitted else f for f in (outputs, gradients))
        carry, ys = run(*args)
        assert jax.typeof(ys).sharding.spec[1] == "data"
        assert_close(fetched((carry, ys)), fetched(outputs(*ARGS)), atol=1e-6)
        assert_close(fetched(run_gradients(*args)), fetched(gradients(*ARGS)), atol=1e-5)


@pytest.mark.parametrize("implementation", mostly_full(["auto", "scan"], default=["auto"]))
def test_the_last_carry_may_have_no_part_in_gradients(implementation):
    """Contract 14; its gradient is a zero that JAX makes, which must be sharded as the batch is."""
    call = make_call(Config.stack(5, [4, 3]), 3, (8,), 0, ("lengths",))
    explicit = mesh(AxisType.Explicit)

    def total(params, xs, lengths=None):
        _, ys = jlstm.apply(
            call.config, params, None, xs, lengths=lengths, implementation=implementation
        )
        return (ys * ys).sum()

    call_args = call.params, call.xs, call.times["lengths"]
    specs = P(), P(None, "data"), P("data")
    args = [
        jax.tree.map(lambda a, spec=spec: jax.device_put(a, NamedSharding(explicit, spec)), arg)
        for arg, spec in zip(call_args, specs, strict=True)
    ]
    result = jax.jit(jax.grad(total, (0, 1)))(*args)
    assert_close(fetched(result), fetched(jax.grad(total, (0, 1))(*call_args)), atol=1e-5)
    for n in (2, 3):  # of the parameters alone, without lengths and with them
        result = jax.jit(jax.grad(total))(*args[:n])
        assert_close(fetched(result), fetched(jax.grad(total)(*call_args[:n])), atol=1e-5)


def test_vmap_over_a_sharded_axis():
    """Contracts 3 and 14: the data are mapped, the weights are not repeated."""
    call = make_call(Config.stack(5, [4]), 3, (8,), 0)
    devices = mesh(AxisType.Explicit)

    def one(xs):
        return jlstm.apply(call.config, call.params, None, xs)[1]

    expected = one(call.xs)
    with jax.set_mesh(devices):
        xs = jax.device_put(call.xs, NamedSharding(devices, P(None, "data")))
        assert_close(fetched(jax.vmap(one, 1, 1)(xs)), fetched(expected), atol=1e-6)


BATCH_AXES = {
    "two batch axes, the second sharded": P(None, None, "data"),
    "the first sharded": P(None, "data"),
}


@pytest.mark.parametrize("bidirectional", mostly_full([False, True], default=[True]))
@pytest.mark.parametrize("over", mostly_full(list(BATCH_AXES), ["the first sharded"]))
def test_several_batch_axes_may_be_sharded(over, bidirectional):
    """Contract 14: reshapes of sharded axes are not allowed under an explicit mesh."""
    devices = mesh(AxisType.Explicit)
    config = Config(3, (Layer(4, bidirectional=bidirectional),))
    call = make_call(config, 4, (8, 8), 0)
    whole = jax.grad(lambda xs: (jlstm.apply(config, call.params, None, xs)[1] ** 2).sum())
    expected = whole(call.xs)
    with jax.set_mesh(devices):
        xs = jax.device_put(call.xs, NamedSharding(devices, BATCH_AXES[over]))
        result = whole(xs)
        assert jax.typeof(result).sharding.spec == jax.typeof(xs).sharding.spec
    assert_close(fetched(result), fetched(expected), atol=1e-5)


def test_an_ensemble_sharded_over_its_members():
    """Contract 14, with a bidirectional layer."""
    devices = mesh(AxisType.Explicit)
    config = Config(3, (Layer(4, bidirectional=True),))
    call = make_call(config, 4, (2,), 0)
    members = jax.tree.map(lambda a: np.stack([np.asarray(a) * n for n in range(8)]), call.params)
    outputs = jax.vmap(lambda params: jlstm.apply(config, params, None, call.xs)[1])
    expected = outputs(members)
    with jax.set_mesh(devices):
        sharded = jax.device_put(members, NamedSharding(devices, P("data")))
        assert_close(fetched(outputs(sharded)), fetched(expected), atol=1e-6)
