"""Batches over eight devices, on meshes of both kinds: contract 14."""

import jax
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import jlstm
from jlstm import Config, Layer
from tests.examples import mostly_full
from tests.network.eight_devices import (
    ARGS,
    AUTO_MESH,
    CALL,
    CONFIG,
    KINDS,
    collectives,
    fetched,
    gradients,
    loss,
    mesh,
    outputs,
    sharded_args,
)
from tests.networks import assert_close, make_call


@KINDS
def test_a_sharded_forward_pass_communicates_nothing(kind):
    """Contract 14."""
    args = sharded_args(mesh(kind))
    assert collectives(outputs, args) == []
    carry, ys = jax.jit(outputs)(*args)
    assert tuple(ys.sharding.spec)[:2] == (None, "data")
    assert_close(fetched((carry, ys)), fetched(outputs(*ARGS)), atol=1e-6)


@AUTO_MESH
def test_a_sharded_backward_pass_adds_up_parameter_gradients_and_nothing_else(kind):
    """Contract 14."""
    args = sharded_args(mesh(kind))
    seen = collectives(gradients, args)
    assert set(seen) == {"all-reduce"}
    assert len(seen) <= len(jax.tree.leaves(CALL.params))
    assert set(collectives(jax.grad(loss, 0), args)) == {"all-reduce"}
    assert collectives(jax.grad(loss, 1), args) == []
    of_params, of_xs = jax.jit(gradients)(*args)
    assert tuple(of_xs.sharding.spec)[:2] == (None, "data")
    assert_close(fetched((of_params, of_xs)), fetched(gradients(*ARGS)), atol=1e-5)


@pytest.mark.full
@KINDS
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"layer_norm": "gates_and_cell", "peepholes": True, "projection_size": 5},
        {"layer_norm": "products_and_cell", "bidirectional": True, "merge": "sum"},
        {"highway": True, "zoneout_c": 0.1},
    ],
    ids=str,
)
def test_gradients_of_every_parameter_are_added_up_where_they_are(options, kind):
    """Contract 14: no other collective, in the scan, with its variants, and in single steps."""
    call = make_call(Config(5, (Layer(5, **options),), learn_initial_carry=True), 3, (16,), 0)
    devices = mesh(kind)

    def of_sequence(params, xs):
        return jlstm.apply(call.config, params, None, xs, implementation="scan")[1]

    def of_layer(params, xs):
        return jlstm.lstm(params.layers[0], None, xs, call.config.layers[0])[1]

    def of_step(params, xs):
        return jlstm.step(call.config, params, None, xs[0])[1]

    def of_cell(params, xs):
        return jlstm.lstm_cell(params.layers[0], None, xs[0], call.config.layers[0])[1]

    params = jax.device_put(call.params, NamedSharding(devices, P()))
    xs = jax.device_put(call.xs, NamedSharding(devices, P(None, "data")))
    streams = call.config.layers[0].streams
    for function in (of_sequence, of_layer) + (of_step, of_cell) * streams:

        def loss(params, xs, function=function):
            return (function(params, xs) ** 2).sum()

        for of in (0, (0, 1)):
            assert set(collectives(jax.grad(loss, of), (params, xs))) == {"all-reduce"}


@KINDS
def test_steps_keep_a_sharded_batch(kind):
    """Contract 14."""
    call = make_call(Config.stack(5, [4]), 3, (16,), 0)
    devices = mesh(kind)
    xs = jax.device_put(call.xs, NamedSharding(devices, P(None, "data")))
    params = jax.device_put(call.params, NamedSharding(devices, P()))

    def step(params, x):
        return jlstm.step(call.config, params, None, x)

    assert collectives(step, (params, xs[0])) == []
    assert_close(fetched(jax.jit(step)(params, xs[0])), fetched(step(call.params, call.xs[0])))


def transposed(xs, params):
    """The transpose of a gradient: a Jacobian times a vector, as solvers ask for it."""
    ys, back = jax.vjp(lambda xs: jlstm.apply(CONFIG, params, None, xs)[1], xs)
    return jax.linear_transpose(lambda ct: back(ct)[0], ys)(xs)[0]


@pytest.mark.parametrize("kind", mostly_full(["explicit", "shard_map"], ["explicit"]))
def test_gradients_of_sharded_arrays_can_be_transposed(kind):
    """Contracts 8 and 14."""
    devices = mesh(AxisType.Explicit if kind == "explicit" else AxisType.Auto)
    wanted = transposed(jax.numpy.asarray(CALL.xs), CALL.params)
    if kind == "explicit":
        with jax.set_mesh(devices):
            xs = jax.device_put(CALL.xs, NamedSharding(devices, P(None, "data")))
            found = transposed(xs, CALL.params)
    else:
        over = P(None, "data")
        found = jax.shard_map(
            lambda xs: transposed(xs, CALL.params), mesh=devices, in_specs=over, out_specs=over
        )(CALL.xs)
    assert_close(fetched(found), fetched(wanted), atol=1e-5)
