"""Calls within `shard_map`, where each device runs its part of a batch or an ensemble."""

import jax
import numpy as np
import pytest
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

import jlstm
from jlstm import Carry, Config, Layer
from tests.examples import mostly_full
from tests.network.eight_devices import ARGS, SPECS, fetched, gradients, loss, mesh, outputs
from tests.networks import assert_close, make_call, require_kernel


@pytest.mark.full
def test_shard_map_runs_the_batch_in_parts():
    """Contract 14, each device by itself."""
    carry = (Carry(P(None, "data"), P(None, "data")), Carry(P("data"), P("data")))
    devices = mesh(AxisType.Auto)
    run = jax.shard_map(outputs, mesh=devices, in_specs=SPECS, out_specs=(carry, P(None, "data")))
    assert_close(fetched(run(*ARGS)), fetched(outputs(*ARGS)), atol=1e-6)

    def total(*args):
        return jax.lax.psum(loss(*args), "data")

    summed = jax.shard_map(total, mesh=devices, in_specs=SPECS, out_specs=P())
    assert_close(fetched(jax.grad(summed, (0, 1))(*ARGS)), fetched(gradients(*ARGS)), atol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"projection_size": 2},
        pytest.param({"layer_norm": "products_and_cell"}, marks=pytest.mark.full),
        pytest.param(
            {"layer_norm": "gates_and_cell", "peepholes": True, "projection_size": 2},
            marks=pytest.mark.full,
        ),
    ],
)
@pytest.mark.parametrize("implementation", mostly_full(["auto", "scan"], default=["scan"]))
def test_gradients_of_variants_within_shard_map(options, implementation):
    config = Config(3, (Layer(4, **options),))
    params = jlstm.init(jax.random.key(0), config)
    xs = jax.random.normal(jax.random.key(1), (5, 8, 3))

    def total(params, xs):
        _, ys = jlstm.apply(config, params, None, xs, implementation=implementation)
        return (ys**3 + ys).sum()

    def over_all(params, xs):
        return jax.lax.psum(total(params, xs), "data")

    specs = P(), P(None, "data")
    summed = jax.shard_map(over_all, mesh=mesh(AxisType.Auto), in_specs=specs, out_specs=P())
    result = jax.jit(jax.grad(summed, (0, 1)))(params, xs)
    assert_close(fetched(result), fetched(jax.grad(total, (0, 1))(params, xs)), atol=1e-4)


def test_vmap_within_shard_map_makes_no_groups_of_its_data():
    """Contract 3."""
    require_kernel()
    call = make_call(Config.stack(5, [4]), 3, (16,), 0)

    def one(params, xs):
        return jlstm.apply(call.config, params, None, xs, implementation="cpu")[1]

    run = jax.jit(
        jax.shard_map(
            jax.vmap(one, (None, 1), 1),
            mesh=mesh(AxisType.Auto),
            in_specs=(P(), P(None, "data")),
            out_specs=P(None, "data"),
        )
    )
    assert "reverse = dense<0> : tensor<1xi64>" in run.lower(call.params, call.xs).as_text()
    assert_close(fetched(run(call.params, call.xs)), fetched(one(call.params, call.xs)), atol=1e-6)


@pytest.mark.parametrize("implementation", ["cpu", "scan"])
def test_members_of_an_ensemble_on_a_device_each(implementation):
    """Contract 8: weights that vary over devices, data that do not."""
    if implementation == "cpu":
        require_kernel()
    call = make_call(Config.stack(5, [4]), 3, (2,), 0)
    members = jax.tree.map(lambda a: np.stack([a * (1 + n) for n in range(8)]), call.params)

    def one(params, xs):
        member = jax.tree.map(lambda a: a[0], params)
        ys = jlstm.apply(call.config, member, None, xs, implementation=implementation)[1]
        return ys[None]

    specs = (P("data"), P())
    run = jax.shard_map(one, mesh=mesh(AxisType.Auto), in_specs=specs, out_specs=P("data"))
    expected = np.stack(
        [one(jax.tree.map(lambda a, n=n: a[n:], members), call.xs)[0] for n in range(8)]
    )
    assert_close(fetched(run(members, call.xs)), expected, atol=1e-6)
