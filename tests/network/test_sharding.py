"""Batches over eight devices: contract 14."""

import re

import jax
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import jlstm
from jlstm import Carry, Config, Layer
from tests.examples import mostly_full
from tests.networks import assert_close, make_call, require_kernel

CONFIG = Config(5, (Layer(6, bidirectional=True), Layer(4)), learn_initial_carry=True)
CALL = make_call(CONFIG, 7, (16,), 0, ("lengths", "resets"))
COLLECTIVES = r"\b(all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter)(?:-start)?\("
SPECS = (P(), P(None, "data"), P("data"), P(None, "data"))

KINDS = pytest.mark.parametrize(
    "kind", [AxisType.Auto, AxisType.Explicit], ids=lambda kind: kind.name
)


def outputs(params, xs, lengths, resets):
    return jlstm.apply(CONFIG, params, None, xs, lengths=lengths, resets=resets)


def loss(*args):
    return (outputs(*args)[1] ** 2).sum()


gradients = jax.grad(loss, (0, 1))
ARGS = (CALL.params, CALL.xs, CALL.times["lengths"], CALL.times["resets"])


def mesh(kind):
    if jax.device_count() < 8:
        pytest.skip("needs eight devices: run with jax_num_cpu_devices=8")
    return jax.make_mesh((8,), ("data",), axis_types=(kind,))


def spread(mesh):
    return [
        jax.device_put(arg, NamedSharding(mesh, spec))
        for arg, spec in zip(ARGS, SPECS, strict=True)
    ]


def collectives(function, args):
    return re.findall(COLLECTIVES, jax.jit(function).lower(*args).compile().as_text())


def fetched(tree):
    return jax.tree.map(np.asarray, tree)


@KINDS
def test_a_sharded_forward_pass_communicates_nothing(kind):
    """Contract 14."""
    args = spread(mesh(kind))
    assert collectives(outputs, args) == []
    carry, ys = jax.jit(outputs)(*args)
    assert tuple(ys.sharding.spec)[:2] == (None, "data")
    assert_close(fetched((carry, ys)), fetched(outputs(*ARGS)), atol=1e-6)


@KINDS
def test_a_sharded_backward_pass_adds_up_parameter_gradients_and_nothing_else(kind):
    """Contract 14."""
    args = spread(mesh(kind))
    seen = collectives(gradients, args)
    assert set(seen) == {"all-reduce"}
    assert len(seen) <= len(jax.tree.leaves(CALL.params))
    assert set(collectives(jax.grad(loss, 0), args)) == {"all-reduce"}
    assert collectives(jax.grad(loss, 1), args) == []
    of_params, of_xs = jax.jit(gradients)(*args)
    assert tuple(of_xs.sharding.spec)[:2] == (None, "data")
    assert_close(fetched((of_params, of_xs)), fetched(gradients(*ARGS)), atol=1e-5)


@KINDS
@pytest.mark.parametrize(
    "options",
    mostly_full(
        [
            {},
            {"layer_norm": "gates_and_cell", "peepholes": True, "projection_size": 5},
            {"layer_norm": "products_and_cell", "bidirectional": True, "merge": "sum"},
            {"highway": True, "zoneout_c": 0.1},
        ],
        default=[{}],
    ),
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
    for outputs in (of_sequence, of_layer) + (of_step, of_cell) * streams:

        def loss(params, xs, outputs=outputs):
            return (outputs(params, xs) ** 2).sum()

        for of in (0, (0, 1)):
            assert set(collectives(jax.grad(loss, of), (params, xs))) == {"all-reduce"}


@pytest.mark.parametrize("jitted", [False, True])
def test_an_explicit_mesh_keeps_the_batch_where_it_lies(jitted):
    """Contract 14, with shardings in the types."""
    explicit = mesh(AxisType.Explicit)
    with jax.set_mesh(explicit):
        args = spread(explicit)
        run, slope = (jax.jit(f) if jitted else f for f in (outputs, gradients))
        carry, ys = run(*args)
        assert jax.typeof(ys).sharding.spec[1] == "data"
        assert_close(fetched((carry, ys)), fetched(outputs(*ARGS)), atol=1e-6)
        assert_close(fetched(slope(*args)), fetched(gradients(*ARGS)), atol=1e-5)


@pytest.mark.parametrize("implementation", ["auto", "scan"])
def test_the_last_carry_may_have_no_part_in_gradients_under_an_explicit_mesh(implementation):
    """Contract 14; its gradient is a zero of JAX's own, which has to lie where the batch does."""
    call = make_call(Config.stack(5, [4, 3]), 3, (8,), 0, ("lengths",))
    explicit = mesh(AxisType.Explicit)

    def total(params, xs, lengths=None):
        _, ys = jlstm.apply(
            call.config, params, None, xs, lengths=lengths, implementation=implementation
        )
        return (ys * ys).sum()

    given = call.params, call.xs, call.times["lengths"]
    specs = P(), P(None, "data"), P("data")
    args = [
        jax.tree.map(lambda a, spec=spec: jax.device_put(a, NamedSharding(explicit, spec)), own)
        for own, spec in zip(given, specs, strict=True)
    ]
    seen = jax.jit(jax.grad(total, (0, 1)))(*args)
    assert_close(fetched(seen), fetched(jax.grad(total, (0, 1))(*given)), atol=1e-5)
    for n in (2, 3):  # of the parameters alone, without lengths and with them
        seen = jax.jit(jax.grad(total))(*args[:n])
        assert_close(fetched(seen), fetched(jax.grad(total)(*given[:n])), atol=1e-5)


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
        pytest.param({"projection_size": 2}, marks=pytest.mark.full),
        pytest.param({"layer_norm": "products_and_cell"}, marks=pytest.mark.full),
        {"layer_norm": "gates_and_cell", "peepholes": True, "projection_size": 2},
    ],
)
@pytest.mark.parametrize("implementation", ["auto", "scan"])
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
    seen = jax.jit(jax.grad(summed, (0, 1)))(params, xs)
    assert_close(fetched(seen), fetched(jax.grad(total, (0, 1))(params, xs)), atol=1e-4)


def test_vmap_over_a_divided_axis_of_an_explicit_mesh():
    """Contracts 3 and 14: the data are mapped, the weights are not repeated."""
    call = make_call(Config.stack(5, [4]), 3, (8,), 0)
    devices = mesh(AxisType.Explicit)

    def one(xs):
        return jlstm.apply(call.config, call.params, None, xs)[1]

    wanted = one(call.xs)
    with jax.set_mesh(devices):
        xs = jax.device_put(call.xs, NamedSharding(devices, P(None, "data")))
        assert_close(fetched(jax.vmap(one, 1, 1)(xs)), fetched(wanted), atol=1e-6)


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
        own = jax.tree.map(lambda a: a[0], params)
        ys = jlstm.apply(call.config, own, None, xs, implementation=implementation)[1]
        return ys[None]

    specs = (P("data"), P())
    run = jax.shard_map(one, mesh=mesh(AxisType.Auto), in_specs=specs, out_specs=P("data"))
    wanted = np.stack(
        [one(jax.tree.map(lambda a, n=n: a[n:], members), call.xs)[0] for n in range(8)]
    )
    assert_close(fetched(run(members, call.xs)), wanted, atol=1e-6)


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


UNITS = Config(5, (Layer(8, bidirectional=True), Layer(4)), learn_initial_carry=True)
DIVIDED = make_call(UNITS, 7, (6,), 0, ("lengths", "mask", "resets"))


def over_units(params, xs, mesh, batch="batch", **options):
    return jlstm.apply_sharded(UNITS, params, None, xs, mesh, batch=batch, **options)


def squares(function):
    return jax.grad(lambda params, xs: (function(params, xs)[1] ** 2).sum(), (0, 1))


@pytest.fixture
def two_by_four():
    if jax.device_count() < 8:
        pytest.skip("needs eight devices: run with jax_num_cpu_devices=8")
    return jax.make_mesh((2, 4), ("batch", "units"), axis_types=(AxisType.Auto,) * 2)


@pytest.mark.parametrize("batch", [None, "batch"])
def test_units_over_devices_give_what_one_device_does(two_by_four, batch):
    def one(params, xs):
        return jlstm.apply(UNITS, params, None, xs, **DIVIDED.times)

    def many(params, xs):
        return over_units(params, xs, two_by_four, batch, **DIVIDED.times)

    args = DIVIDED.params, DIVIDED.xs
    assert_close(fetched(many(*args)), fetched(one(*args)))
    assert_close(fetched(squares(many)(*args)), fetched(squares(one)(*args)), atol=1e-4)


def test_units_over_devices_move_h_once_a_step(two_by_four):
    def forward(params, xs):
        return over_units(params, xs, two_by_four)

    args = DIVIDED.params, DIVIDED.xs
    one_a_loop = ["all-gather"] * 3  # two directions, and a layer
    assert in_loops(forward, args) == one_a_loop
    assert in_loops(squares(forward), args) == one_a_loop + ["reduce-scatter"] * 3


def in_loops(function, args):
    """The collectives that stand in loops of a compiled program."""
    text = jax.jit(function).lower(*args).compile().as_text()
    bodies = set(re.findall(r"body=%([\w.\-]+)", text))
    parts = re.split(r"\n(?=(?:ENTRY )?%)", text)
    inside = [
        part
        for part in parts
        if re.match(r"%([\w.\-]+)", part) and part[1:].split(" ")[0] in bodies
    ]
    return sorted(name for part in inside for name in re.findall(COLLECTIVES, part))


def test_units_keep_the_layout_of_what_apply_takes(two_by_four):
    xs = np.swapaxes(DIVIDED.xs, 0, 1)
    _, ys = over_units(DIVIDED.params, xs, two_by_four, time_major=False)
    _, wanted = jlstm.apply(UNITS, DIVIDED.params, None, xs, time_major=False)
    assert_close(fetched(ys), fetched(wanted))
    _, alone = jlstm.apply_sharded(UNITS, DIVIDED.params, None, xs[0], two_by_four)
    assert_close(fetched(alone), fetched(wanted[0]))


def test_units_of_a_network_that_drops_in_training_are_divided(two_by_four):
    """Without a key nothing is dropped, and nested lists are arrays too."""
    config = Config(5, (Layer(4, dropout=0.5, recurrent_dropout=0.5),))
    params = jlstm.init(jax.random.key(0), config)
    xs = np.ones((3, 2, 5), "float32")
    _, ys = jlstm.apply_sharded(config, params, None, xs.tolist(), two_by_four)
    assert_close(fetched(ys), fetched(jlstm.apply(config, params, None, xs)[1]))


def test_meshes_and_batches_that_do_not_fit_say_what_would(two_by_four):
    explicit = jax.make_mesh((2, 4), ("batch", "units"), axis_types=(AxisType.Explicit,) * 2)
    args = UNITS, DIVIDED.params, None
    with pytest.raises(ValueError, match="has axes batch Explicit, units Explicit; expected Auto"):
        jlstm.apply_sharded(*args, DIVIDED.xs, explicit)
    with pytest.raises(ValueError, match="2 devices along 'batch' cannot share axis 1 evenly"):
        jlstm.apply_sharded(*args, DIVIDED.xs[:, :5], two_by_four, batch="batch")
    with pytest.raises(ValueError, match="without a batch to divide"):
        jlstm.apply_sharded(*args, DIVIDED.xs[:, 0], two_by_four, batch="batch")


@pytest.mark.parametrize(
    ("layer", "options", "message"),
    [
        (Layer(6), {}, "layer 0 has 6 units, which 4 devices along 'units' cannot share evenly"),
        (
            Layer(8, projection_size=4),
            {},
            "layer 0 has projection_size=4; only units of plain layers",
        ),
        (Layer(8), {"units": "unit"}, "did you mean 'units'"),
        (Layer(8), {"batch": "units"}, "batch and units are both 'units'"),
    ],
)
def test_units_that_cannot_be_divided_are_refused(two_by_four, layer, options, message):
    config = Config(5, (layer,))
    params = jlstm.init(jax.random.key(0), config)
    with pytest.raises(ValueError, match=message):
        jlstm.apply_sharded(
            config, params, None, np.zeros((3, 2, 5), "float32"), two_by_four, **options
        )


EXPLICIT = {
    "two axes of batch, the second divided": P(None, None, "data"),
    "the first divided": P(None, "data"),
}


@pytest.mark.parametrize("bidirectional", mostly_full([False, True], default=[True]))
@pytest.mark.parametrize("over", EXPLICIT)
def test_several_axes_of_batch_may_be_divided_by_type(over, bidirectional):
    """Contract 14: reshapes of sharded axes are not allowed under an explicit mesh."""
    devices = mesh(AxisType.Explicit)
    config = Config(3, (Layer(4, bidirectional=bidirectional),))
    call = make_call(config, 4, (8, 8), 0)
    whole = jax.grad(lambda xs: (jlstm.apply(config, call.params, None, xs)[1] ** 2).sum())
    wanted = whole(call.xs)
    with jax.set_mesh(devices):
        xs = jax.device_put(call.xs, NamedSharding(devices, EXPLICIT[over]))
        found = whole(xs)
        assert jax.typeof(found).sharding.spec == jax.typeof(xs).sharding.spec
    assert_close(fetched(found), fetched(wanted), atol=1e-5)


def test_members_divided_by_type_of_a_bidirectional_layer():
    """Contract 14: an ensemble over an explicit mesh."""
    devices = mesh(AxisType.Explicit)
    config = Config(3, (Layer(4, bidirectional=True),))
    call = make_call(config, 4, (2,), 0)
    members = jax.tree.map(lambda a: np.stack([np.asarray(a) * n for n in range(8)]), call.params)
    outputs = jax.vmap(lambda params: jlstm.apply(config, params, None, call.xs)[1])
    wanted = outputs(members)
    with jax.set_mesh(devices):
        spread = jax.device_put(members, NamedSharding(devices, P("data")))
        assert_close(fetched(outputs(spread)), fetched(wanted), atol=1e-6)


def transposed(xs, params):
    """The transpose of a gradient: a Jacobian times a vector, as solvers ask for it."""
    ys, back = jax.vjp(lambda xs: jlstm.apply(CONFIG, params, None, xs)[1], xs)
    return jax.linear_transpose(lambda ct: back(ct)[0], ys)(xs)[0]


@pytest.mark.parametrize("kind", ["explicit", "shard_map"])
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
@pytest.mark.parametrize("name", FSDP)
def test_parameters_sharded_over_the_axis_of_the_batch(name, implementation):
    """Contract 14: fully sharded data parallelism under an explicit mesh."""
    devices = mesh(AxisType.Explicit)
    config = FSDP[name]
    call = make_call(config, 4, (8,), 0)

    def loss(params, xs):
        ys = jlstm.apply(config, params, None, xs, implementation=implementation)[1]
        return (ys**2).sum()

    wanted = jax.value_and_grad(loss, (0, 1))(call.params, call.xs)
    with jax.set_mesh(devices):
        params = over_last_axis(call.params, devices, "data")
        xs = jax.device_put(call.xs, NamedSharding(devices, P(None, "data")))
        value, found = jax.value_and_grad(loss, (0, 1))(params, xs)
        for own, gradient in zip(*map(jax.tree.leaves, ((params, xs), found)), strict=True):
            assert jax.typeof(gradient).sharding.spec == jax.typeof(own).sharding.spec
    assert_close(fetched((value, found)), fetched(wanted), atol=1e-4)


@pytest.mark.parametrize("name", [n for n in FSDP if "both" not in n])
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
        value, found = jax.jit(jax.value_and_grad(one, (0, 1)))(params, x)
        for own, gradient in zip(*map(jax.tree.leaves, ((params, x), found)), strict=True):
            assert jax.typeof(gradient).sharding.spec == jax.typeof(own).sharding.spec
        wanted = jax.value_and_grad(one, (0, 1))(call.params, call.xs[0])
        assert_close(fetched((value, found)), fetched(wanted), atol=1e-4)


def test_units_sharded_over_an_axis_of_their_own_are_told_of_apply_sharded():
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
