"""nnx.LSTM under Flax's transformations and tools, each against what it gives alone."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jlstm import Layer
from jlstm.modules import nnx as modules
from tests.modules.flax_cells import FEATURES, UNITS, XS, assert_close


def lstm(features=UNITS, **options):
    return modules.LSTM(FEATURES, features, rngs=nnx.Rngs(0), **options)


class Tagger(nnx.Module):
    """A model that many would write."""

    def __init__(self, rngs, features=UNITS):
        self.lstm = modules.LSTM(FEATURES, features, rngs=rngs)
        self.head = nnx.Linear(UNITS, 2, rngs=rngs)

    def __call__(self, xs):
        return self.head(self.lstm(xs))


def loss(model, xs=XS):
    return jnp.mean((model(xs) - 1) ** 2)


@pytest.mark.parametrize("features", [UNITS, Layer(UNITS, dropout=0.2)])
def test_an_optimizer_trains_it(features):
    model = Tagger(nnx.Rngs(0), features)
    optimizer = nnx.Optimizer(model, optax.adam(0.1), wrt=nnx.Param)

    @nnx.jit
    def step(model, optimizer):
        value, gradients = nnx.value_and_grad(loss)(model)
        optimizer.update(model, gradients)
        return value

    first = step(model, optimizer)
    for _ in range(10):
        last = step(model, optimizer)
    assert last < 0.5 * first


def test_masks_by_path_reach_single_weights():
    model = Tagger(nnx.Rngs(0))
    before = nnx.state(model, nnx.Param)
    chosen = lambda path, _: path[-1] == "w_h"  # noqa: E731
    optimizer = nnx.Optimizer(model, optax.sgd(0.1), wrt=nnx.All(nnx.Param, chosen))
    gradients = nnx.grad(loss, argnums=nnx.DiffState(0, nnx.All(nnx.Param, chosen)))(model)
    before = {path: np.asarray(v[...]) for path, v in nnx.to_flat_state(before)}
    optimizer.update(model, gradients)
    after = {path: v[...] for path, v in nnx.to_flat_state(nnx.state(model, nnx.Param))}
    moved = {path for path in before if not np.array_equal(before[path], after[path])}
    assert moved == {("lstm", "layers", "0", "w_h")}


def test_split_merge_and_jit():
    model = lstm((UNITS, Layer(2, dropout=0.5)))
    model.eval()
    wanted = model(XS)
    graph, params, rest = nnx.split(model, nnx.Param, ...)
    assert len(jax.tree.leaves(params)) == 6 and len(jax.tree.leaves(rest)) == 2
    assert_close(nnx.merge(graph, params, rest)(XS), wanted)
    pure = jax.jit(lambda params, rest, xs: nnx.merge(graph, params, rest)(xs))
    assert_close(pure(params, rest, XS), wanted)
    assert_close(nnx.jit(lambda model, xs: model(xs))(model, XS), wanted)
    same = nnx.split(lstm((UNITS, Layer(2, dropout=0.5)), deterministic=True))[0]
    assert hash(same) == hash(nnx.split(model)[0]) and same == nnx.split(model)[0]


def test_vmap_makes_an_ensemble():
    @nnx.split_rngs(splits=3)
    @nnx.vmap
    def create(rngs):
        return modules.LSTM(FEATURES, UNITS, rngs=rngs)

    several = create(nnx.Rngs(0))
    ys = nnx.vmap(lambda model, xs: model(xs), in_axes=(0, None))(several, XS)
    graph, state = nnx.split(several)
    for n in range(3):
        own = nnx.merge(graph, jax.tree.map(lambda a, n=n: a[n], state))
        assert_close(ys[n], own(XS))
    assert not np.allclose(ys[0], ys[1])


def test_scan_over_layers_makes_a_deep_model():
    @nnx.split_rngs(splits=3)
    @nnx.vmap
    def create(rngs):
        return modules.LSTM(FEATURES, FEATURES, rngs=rngs)

    deep = create(nnx.Rngs(0))
    ys = nnx.scan(lambda xs, layer: xs + layer(xs), in_axes=(nnx.Carry, 0), out_axes=nnx.Carry)(
        jnp.asarray(XS), deep
    )
    graph, state = nnx.split(deep)
    wanted = XS
    for n in range(3):
        own = nnx.merge(graph, jax.tree.map(lambda a, n=n: a[n], state))
        wanted = wanted + own(wanted)
    assert_close(ys, wanted)


def test_remat_changes_no_gradient():
    model = Tagger(nnx.Rngs(0))
    remade = nnx.remat(lambda model, xs: model(xs))
    wanted = nnx.grad(loss)(model)
    found = nnx.grad(lambda model: jnp.mean((remade(model, jnp.asarray(XS)) - 1) ** 2))(model)
    assert_close(jax.tree.leaves(found), jax.tree.leaves(wanted))


def axes(*names):
    return nnx.with_partitioning(nnx.initializers.normal(), names)


def test_sharding_metadata_is_kept_and_places_the_weights():
    options = {
        "kernel_init": axes(None, "model"),
        "recurrent_kernel_init": axes(None, "model"),
        "bias_init": axes("model"),
    }
    spec = jax.sharding.PartitionSpec
    mesh = jax.sharding.Mesh(np.asarray(jax.devices()[:2]), ("model",))

    @nnx.jit
    def create():
        model = lstm((Layer(UNITS, bidirectional=True), UNITS), **options)
        state = nnx.state(model)
        nnx.update(model, jax.lax.with_sharding_constraint(state, nnx.get_partition_spec(state)))
        return model

    with jax.set_mesh(mesh):
        model = create()
    specs = nnx.to_pure_dict(nnx.get_partition_spec(nnx.state(model)))["layers"]
    assert specs["0"]["w_x"] == spec(None, None, "model") and specs["0"]["b"] == spec(None, "model")
    assert specs["1"]["w_h"] == spec(None, "model")
    assert model.layers[1].w_x[...].sharding.spec == spec(None, "model")
    _, whole = modules.network(model)
    alone = lstm((Layer(UNITS, bidirectional=True), UNITS))
    modules.set_params(alone, jax.device_get(whole))
    assert_close(nnx.jit(lambda model, xs: model(xs))(model, XS), alone(XS))


def test_metadata_by_flaxs_arguments():
    model = lstm(
        kernel_metadata={"note": "x"},
        recurrent_kernel_metadata={"note": "h"},
        bias_metadata={"note": "b"},
    )
    layer = model.layers[0]
    assert [layer.w_x.note, layer.w_h.note, layer.b.note] == ["x", "h", "b"]


def test_tabulate_counts_the_weights():
    table = nnx.tabulate(
        Tagger(nnx.Rngs(0)), jnp.asarray(XS), console_kwargs={"width": 200, "force_terminal": False}
    )
    table = re.sub(r"\x1b\[[\d;]*m", "", table)
    assert re.search(r"lstm .* LSTM .* float32\[5,6,4\] .* 128 ", table)


def test_orbax_gives_back_what_it_saved(tmp_path):
    orbax = pytest.importorskip("orbax.checkpoint")
    model = lstm((UNITS, Layer(2, layer_norm="gates_and_cell")))
    graph, state = nnx.split(model)
    with orbax.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "model", state)
        checkpointer.wait_until_finished()
        abstract = nnx.eval_shape(lambda: lstm((UNITS, Layer(2, layer_norm="gates_and_cell"))))
        graph, empty = nnx.split(abstract)
        back = checkpointer.restore(tmp_path / "model", empty)
    np.testing.assert_array_equal(nnx.merge(graph, back)(XS), model(XS))
