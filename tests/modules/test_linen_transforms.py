"""linen.LSTM under Flax's transformations and tools, each against what it gives alone."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from flax import traverse_util

from jlstm import Layer
from jlstm.modules.linen import LSTM
from tests.modules.flax_cells import FEATURES, UNITS, XS, assert_close, linen_variables


class Tagger(nn.Module):
    """A model that many would write."""

    lstm: nn.Module

    @nn.compact
    def __call__(self, xs):
        return nn.Dense(2)(nn.LayerNorm()(self.lstm(xs)))


def loss(model, variables, xs=XS):
    return jnp.mean((model.apply(variables, xs) - 1) ** 2)


def test_every_weight_has_a_path():
    variables = LSTM((UNITS, Layer(2, layer_norm="products_and_cell"))).init(jax.random.key(0), XS)
    paths = traverse_util.flatten_dict(variables["params"], sep="/")
    assert {"layers/0/w_x", "layers/1/b", "layers/1/norms/x/scale"} <= set(paths)
    assert len(paths) == len(jax.tree.leaves(variables)) == 12


def test_masks_by_path_reach_single_weights():
    model = Tagger(LSTM(UNITS))
    variables = linen_variables(model)
    chosen = traverse_util.path_aware_map(lambda path, _: path[-1] == "w_h", variables)
    frozen = jax.tree.map(lambda on: not on, chosen)
    optimizer = optax.chain(optax.sgd(0.1), optax.masked(optax.set_to_zero(), frozen))
    gradients = jax.grad(functools.partial(loss, model))(variables)
    updates, _ = optimizer.update(gradients, optimizer.init(variables), variables)
    moved = {path for path, u in traverse_util.flatten_dict(updates).items() if np.any(u)}
    assert moved == {("params", "lstm", "layers", "0", "w_h")}


def test_training_lowers_the_loss():
    model, optimizer = Tagger(LSTM(UNITS)), optax.adam(0.1)
    variables = linen_variables(model)

    @jax.jit
    def step(variables, state):
        value, gradients = jax.value_and_grad(functools.partial(loss, model))(variables)
        updates, state = optimizer.update(gradients, state)
        return optax.apply_updates(variables, updates), state, value

    state, first = optimizer.init(variables), loss(model, variables)
    for _ in range(10):
        variables, state, last = step(variables, state)
    assert last < 0.5 * first


def test_remat_changes_no_gradient():
    plain, remade = Tagger(LSTM(UNITS)), Tagger(nn.remat(LSTM)(UNITS))
    variables = linen_variables(plain)
    wanted = jax.grad(functools.partial(loss, plain))(variables)
    assert_close(jax.grad(functools.partial(loss, remade))(variables), wanted)


@pytest.mark.parametrize("marked", [False, True])
def test_vmap_makes_an_ensemble(marked):
    init = nn.initializers.lecun_normal()
    given = {"kernel_init": nn.with_partitioning(init, (None, "model"))} if marked else {}
    several = nn.vmap(
        LSTM,
        variable_axes={"params": 0},
        split_rngs={"params": True},
        in_axes=None,
        axis_size=3,
        metadata_params={nn.PARTITION_NAME: "members"},
    )(UNITS, **given)
    variables = several.init(jax.random.key(0), XS)
    assert len(np.unique(nn.meta.unbox(variables)["params"]["layers"]["0"]["w_x"][:, 0, 0])) == 3
    if marked:
        assert variables["params"]["layers"]["0"]["w_x"].names == ("members", None, "model")
    ys = several.apply(variables, XS)
    for n in range(3):
        own = jax.tree.map(lambda a, n=n: a[n], nn.meta.unbox(variables))
        assert_close(ys[n], LSTM(UNITS).apply(own, XS))


def test_scan_over_layers_makes_a_deep_model():
    class Block(nn.Module):
        @nn.compact
        def __call__(self, xs, _):
            return xs + LSTM(FEATURES)(xs), None

    deep = nn.scan(Block, variable_axes={"params": 0}, split_rngs={"params": True}, length=3)()
    variables = linen_variables(FirstOutput(deep))["params"]["inner"]
    ys, _ = deep.apply({"params": variables}, XS, None)
    wanted = XS
    for n in range(3):
        own = {"params": jax.tree.map(lambda a, n=n: a[n], variables["LSTM_0"])}
        wanted = wanted + LSTM(FEATURES).apply(own, wanted)
    assert_close(ys, wanted)


class FirstOutput(nn.Module):
    """The first output of a block of a scan over layers."""

    inner: nn.Module

    def __call__(self, xs):
        return self.inner(xs, None)[0]


def test_scan_over_chunks_of_a_sequence_carries_the_state():
    class Chunks(nn.Module):
        @nn.compact
        def __call__(self, carry, xs):
            return LSTM(UNITS, name="lstm")(xs, initial_carry=carry, return_carry=True)

    scanned = nn.scan(
        Chunks, variable_broadcast="params", split_rngs={"params": False}, in_axes=0, out_axes=0
    )()
    chunks = XS.reshape(len(XS), 3, 2, FEATURES).swapaxes(0, 1)
    start = 2 * (jnp.zeros((len(XS), UNITS)),)
    variables = linen_variables(LSTM(UNITS))
    _, ys = scanned.apply({"params": {"lstm": variables["params"]}}, start, chunks)
    whole = LSTM(UNITS).apply(variables, XS)
    assert_close(ys.swapaxes(0, 1).reshape(whole.shape), whole)


def test_jit_vmap_and_gradients_per_example():
    lstm = LSTM(UNITS)
    variables = linen_variables(lstm)
    wanted = lstm.apply(variables, XS)
    assert_close(jax.jit(lstm.apply)(variables, XS), wanted)
    assert_close(jax.vmap(lambda xs: lstm.apply(variables, xs))(XS), wanted)
    per_example = jax.vmap(jax.grad(functools.partial(loss, lstm)), (None, 0))(variables, XS)
    total = jax.tree.map(lambda a: a.mean(0), per_example)
    assert_close(total, jax.grad(functools.partial(loss, lstm))(variables), 1e-5)


def test_partitioning_marks_are_kept_and_place_the_weights():
    def axes(*names):
        return nn.with_partitioning(nn.initializers.normal(), names)

    lstm = LSTM(
        (Layer(UNITS, bidirectional=True), UNITS),
        kernel_init=axes(None, "model"),
        recurrent_kernel_init=axes(None, "model"),
        bias_init=axes("model"),
    )
    abstract = jax.eval_shape(lstm.init, jax.random.key(0), XS)
    specs = nn.get_partition_spec(abstract)["params"]["layers"]
    spec = jax.sharding.PartitionSpec
    assert specs["0"] == {
        "w_x": spec(None, None, "model"),
        "w_h": spec(None, None, "model"),
        "b": spec(None, "model"),
    }
    assert specs["1"]["w_x"] == spec(None, "model") and specs["1"]["b"] == spec("model")
    mesh = jax.sharding.Mesh(np.asarray(jax.devices()[:2]), ("model",))
    shardings = nn.get_sharding(abstract, mesh)
    variables = jax.jit(lstm.init, out_shardings=shardings)(jax.random.key(0), XS)
    w_x = variables["params"]["layers"]["1"]["w_x"].value
    assert w_x.sharding.spec == spec(None, "model")
    whole = jax.device_get(nn.meta.unbox(variables))
    assert_close(jax.jit(lstm.apply)(variables, XS), lstm.apply(whole, XS))


def test_logical_axes():
    logical = nn.with_logical_partitioning(nn.initializers.normal(), ("features", "gates"))
    variables = LSTM(UNITS, kernel_init=logical).init(jax.random.key(0), XS)
    specs = nn.logical_to_mesh(nn.get_partition_spec(variables), [("gates", "model")])
    expected = jax.sharding.PartitionSpec(None, "model")
    assert specs["params"]["layers"]["0"]["w_x"] == expected


def test_tabulate_lists_the_weights():
    model = Tagger(LSTM((UNITS, 2)))
    table = model.tabulate(
        jax.random.key(0), XS, console_kwargs={"width": 200, "force_terminal": False}
    )
    table = re.sub(r"\x1b\[[\d;]*m", "", table)
    for words in ("LSTM", "w_x: float32[3,16]", "w_h: float32[2,8]", "b: float32[8]"):
        assert words in table


def test_orbax_gives_back_what_it_saved(tmp_path):
    orbax = pytest.importorskip("orbax.checkpoint")
    lstm = LSTM((UNITS, Layer(2, layer_norm="gates_and_cell")))
    variables = linen_variables(lstm)
    with orbax.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "model", variables)
        checkpointer.wait_until_finished()
        back = checkpointer.restore(tmp_path / "model", jax.eval_shape(lambda: variables))
    assert jax.tree.structure(back) == jax.tree.structure(variables)
    np.testing.assert_array_equal(lstm.apply(back, XS), lstm.apply(variables, XS))
