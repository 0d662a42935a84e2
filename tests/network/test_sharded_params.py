"""Parameters over eight devices, as in fully sharded data parallelism: contract 14."""

import jax
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import jlstm
from jlstm import Config, Layer
from tests.examples import mostly_full
from tests.network.eight_devices import fetched, mesh
from tests.networks import assert_close, make_call

FSDP = {
    "a stack, both ways": Config(8, (Layer(8, bidirectional=True), Layer(8))),
    "a learned carry": Config(8, (Layer(8),), learn_initial_carry=True),
    "a projection without a bias": Config(8, (Layer(16, projection_size=8, bias=False),)),
}


def over_last_axis(params, mesh, name):
    """Parameters whose last axes are sharded."""

    def place(a):
        return jax.device_put(a, NamedSharding(mesh, P(*[None] * (a.ndim - 1), name)))

    return jax.tree.map(place, params)


@pytest.mark.parametrize("implementation", mostly_full(["auto", "scan"], default=["auto"]))
@pytest.mark.parametrize("name", mostly_full(list(FSDP), ["a learned carry"]))
def test_parameters_sharded_over_the_axis_of_the_batch(name, implementation):
    """Contract 14: fully sharded data parallelism under an explicit mesh."""
    devices = mesh(AxisType.Explicit)
    config = FSDP[name]
    call = make_call(config, 4, (8,), 0)

    def loss(params, xs):
        ys = jlstm.apply(config, params, None, xs, implementation=implementation)[1]
        return (ys**2).sum()

    expected = jax.value_and_grad(loss, (0, 1))(call.params, call.xs)
    with jax.set_mesh(devices):
        params = over_last_axis(call.params, devices, "data")
        xs = jax.device_put(call.xs, NamedSharding(devices, P(None, "data")))
        value, grads = jax.value_and_grad(loss, (0, 1))(params, xs)
        for arg, gradient in zip(*map(jax.tree.leaves, ((params, xs), grads)), strict=True):
            assert jax.typeof(gradient).sharding.spec == jax.typeof(arg).sharding.spec
    assert_close(fetched((value, grads)), fetched(expected), atol=1e-4)


@pytest.mark.parametrize(
    "name", mostly_full([n for n in FSDP if "both" not in n], ["a projection without a bias"])
)
def test_steps_take_parameters_sharded_over_the_axis_of_the_batch(name):
    """Contract 14."""
    devices = mesh(AxisType.Explicit)
    config = FSDP[name]
    call = make_call(config, 1, (8,), 0)

    def of_step(params, x):
        return (jlstm.step(config, params, None, x)[1] ** 2).sum()

    def of_cell(params, x):
        return (jlstm.lstm_cell(params.layers[0], None, x, config.layers[0])[1] ** 2).sum()

    params = over_last_axis(call.params, devices, "data")
    x = jax.device_put(call.xs[0], NamedSharding(devices, P("data")))
    for one in (of_step, of_cell):
        value, grads = jax.jit(jax.value_and_grad(one, (0, 1)))(params, x)
        for arg, gradient in zip(*map(jax.tree.leaves, ((params, x), grads)), strict=True):
            assert jax.typeof(gradient).sharding.spec == jax.typeof(arg).sharding.spec
        expected = jax.value_and_grad(one, (0, 1))(call.params, call.xs[0])
        assert_close(fetched((value, grads)), fetched(expected), atol=1e-4)


def test_an_error_about_sharded_units_names_apply_sharded():
    explicit = jax.make_mesh((2, 4), ("batch", "units"), axis_types=(AxisType.Explicit,) * 2)
    call = make_call(Config(8, (Layer(8),)), 4, (8,), 0)
    with jax.set_mesh(explicit):
        params = over_last_axis(call.params, explicit, "units")
        xs = jax.device_put(call.xs, NamedSharding(explicit, P(None, "batch")))
        message = r"params.layers\[0\].w_x is sharded over the mesh axis units.*apply_sharded"
        for call_of in (
            lambda: jlstm.apply(call.config, params, None, xs),
            lambda: jlstm.step(call.config, params, None, xs[0]),
            lambda: jlstm.lstm(params.layers[0], None, xs),
            lambda: jlstm.lstm_cell(params.layers[0], None, xs[0]),
        ):
            with pytest.raises(
                ValueError, match=message.replace(r"layers\[0\].", r"(layers\[0\].)?")
            ):
                call_of()
