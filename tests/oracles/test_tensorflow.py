"""Variants beside TensorFlow's raw operations and its first version's cells."""

import jax
import numpy as np
import pytest

import jlstm
from jlstm import Layer
from tests.examples import mostly_full
from tests.networks import apply, assert_close, loss
from tests.oracles.calls import H, T, call_of, permuted

pytestmark = pytest.mark.filterwarnings("ignore")

BLOCK = {
    "plain": Layer(H),
    "peepholes": Layer(H, peepholes=True),
    "cell_clip": Layer(H, cell_clip=0.3),
    "peepholes, cell_clip": Layer(H, peepholes=True, cell_clip=0.3),
}


@pytest.mark.parametrize("row", mostly_full(BLOCK, default=["peepholes, cell_clip"]))
@pytest.mark.parametrize("version", ["BlockLSTM", "BlockLSTMV2"])
def test_tensorflow_block(row, version):
    """The raw operations: order i, g, f, o in the first version and i, f, g, o in the second."""
    tf = pytest.importorskip("tensorflow")
    call = call_of(BLOCK[row])
    layer, params = call.config.layers[0], call.params.layers[0]
    order = {"BlockLSTM": "igfo", "BlockLSTMV2": "ifgo"}[version]
    peepholes = np.zeros((3, H), "float32") if params.peepholes is None else params.peepholes
    options = {"forget_bias": 0.0} if version == "BlockLSTM" else {}
    with tf.GradientTape() as tape:
        xs = tf.constant(call.xs)
        tape.watch(xs)
        made = getattr(tf.raw_ops, version)(
            seq_len_max=T,
            x=xs,
            cs_prev=call.carry[0].c,
            h_prev=call.carry[0].h,
            w=permuted(np.concatenate([params.w_x, params.w_h]), order),
            wci=peepholes[0],
            wcf=peepholes[1],
            wco=peepholes[2],
            b=permuted(params.b, order),
            # Zero or less means no bound in the second version; the first has -1 for that.
            cell_clip=-1.0 if layer.cell_clip is None else layer.cell_clip,
            use_peephole=layer.peepholes,
            **options,
        )
        weights = np.cos(np.arange(made.h.numpy().size, dtype="float32")).reshape(made.h.shape)
        total = tf.reduce_sum(made.h * weights)
    carry = jlstm.Carry(made.cs[-1].numpy(), made.h[-1].numpy())
    assert_close(apply(call), ((carry,), made.h.numpy()), atol=1e-5)
    # Its gradient goes through the clip as if there were none; that of the second version on a CPU
    # disagrees with its own finite differences.
    if layer.cell_clip is None and version == "BlockLSTM":
        slope = jax.grad(lambda xs: loss(apply(call, xs=xs)[1]))(call.xs)
        assert_close(slope, tape.gradient(total, xs).numpy(), atol=1e-4)


TF1 = {
    "peepholes": (Layer(H, peepholes=True), {"use_peepholes": True}),
    "cell_clip": (Layer(H, cell_clip=0.3), {"cell_clip": 0.3}),
    "projection": (Layer(H, projection_size=3), {"num_proj": 3}),
    "proj_clip": (
        Layer(H, projection_size=3, projection_clip=0.1),
        {"num_proj": 3, "proj_clip": 0.1},
    ),
    "all of them": (
        Layer(H, projection_size=3, projection_clip=0.1, peepholes=True, cell_clip=0.3),
        {"num_proj": 3, "proj_clip": 0.1, "use_peepholes": True, "cell_clip": 0.3},
    ),
}


@pytest.mark.parametrize(
    "row", mostly_full(TF1, default=["peepholes", "projection", "all of them"])
)
def test_tensorflow_1_lstm_cell(row):
    tf = pytest.importorskip("tensorflow")
    pytest.importorskip("tf_keras")
    layer, options = TF1[row]
    call = call_of(layer)
    params, tf1 = call.params.layers[0], tf.compat.v1
    values = {
        "kernel": permuted(np.concatenate([params.w_x, params.w_h]), "igfo"),
        "bias": permuted(params.b, "igfo"),
        "projection": params.projection,
        **dict(
            zip(
                ("w_i_diag", "w_f_diag", "w_o_diag"),
                (params.peepholes if layer.peepholes else ()),
                strict=False,
            )
        ),
    }
    parts = ("projection", "kernel", "bias", "w_i_diag", "w_f_diag", "w_o_diag")
    with tf.Graph().as_default(), tf1.Session() as session:
        cell = tf1.nn.rnn_cell.LSTMCell(H, forget_bias=0.0, **options)
        state = tf1.nn.rnn_cell.LSTMStateTuple(*map(tf.constant, call.carry[0]))
        ys, last = tf1.nn.dynamic_rnn(
            cell, tf.constant(call.xs), initial_state=state, time_major=True
        )
        weights = np.cos(np.arange(ys.shape.num_elements(), dtype="float32")).reshape(ys.shape)
        variables = tf1.trainable_variables()
        slopes = tf1.gradients(tf.reduce_sum(ys * weights), variables)
        names = [next(part for part in parts if part in v.name) for v in variables]
        for variable, name in zip(variables, names, strict=True):
            variable.load(np.asarray(values[name]), session)
        ys, last, slopes = session.run((ys, last, slopes))
    assert_close(apply(call), ((jlstm.Carry(*last),), ys), atol=1e-5)
    if layer.cell_clip or layer.projection_clip:
        return  # TensorFlow cuts gradients where the bound is met exactly, JAX halves them
    own = jax.grad(lambda p: loss(apply(call, params=p)[1]))(call.params).layers[0]
    wanted = dict(zip(names, slopes, strict=True))
    kernel = permuted(np.concatenate([own.w_x, own.w_h]), "igfo")
    np.testing.assert_allclose(kernel, wanted["kernel"], atol=1e-4)
    if layer.peepholes:
        np.testing.assert_allclose(
            own.peepholes, [wanted[f"w_{gate}_diag"] for gate in "ifo"], atol=1e-4
        )
    if layer.projection_size:
        np.testing.assert_allclose(own.projection, wanted["projection"], atol=1e-4)
