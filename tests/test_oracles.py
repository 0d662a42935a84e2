"""Every variant beside a live LSTM of somebody else's, with random distinct weights.

Each row of a table is one variant of one framework: outputs and last states to 1e-5, gradients to
1e-4 where the framework has them.
"""

import jax
import numpy as np
import pytest

import jlstm
from jlstm import Config, Layer
from tests.networks import apply, assert_close, loss, make_call

pytestmark = pytest.mark.filterwarnings("ignore")

T, B, INPUTS, H = 7, 3, 5, 4
LENGTHS = {"lengths": np.array([7, 4, 1], "int32")}


def call_of(layer, times=None, size=INPUTS, steps=T, batch=B):
    """A call with distinct weights, halved so that gates do not saturate."""
    call = make_call(Config(size, (layer,)), steps, (batch,), 0)
    return call._replace(params=jax.tree.map(lambda a: a / 2, call.params), times=dict(times or {}))


def permuted(a, order, axis=-1):
    """Blocks of the gates i, f, g, o in another order."""
    blocks = dict(zip("ifgo", np.split(np.asarray(a), 4, axis), strict=True))
    return np.concatenate([blocks[gate] for gate in order], axis)


def sides(tree, layer):
    """The directions of a layer's parameters or carry, as a list."""
    if not layer.bidirectional:
        return [tree]
    return [jax.tree.map(lambda a, d=d: a[d], tree) for d in range(2)]


# ONNX Runtime ------------------------------------------------------------------------------------

ONNX = {
    "plain": (Layer(H), {}),
    "reverse": (Layer(H, reverse=True), {}),
    "both ways": (Layer(H, bidirectional=True), {}),
    "lengths": (Layer(H), LENGTHS),
    "lengths, both ways": (Layer(H, bidirectional=True), LENGTHS),
    "peepholes": (Layer(H, peepholes=True), {}),
    "peepholes, both ways, lengths": (Layer(H, bidirectional=True, peepholes=True), LENGTHS),
    "clip": (Layer(H, gate_clip=0.4), {}),
    "clip, peepholes": (Layer(H, gate_clip=0.4, peepholes=True), {}),
    "input_forget": (Layer(H, coupled_gates="forget", forget_bias=0.0), {}),
    "input_forget, peepholes, clip": (
        Layer(H, coupled_gates="forget", forget_bias=0.0, peepholes=True, gate_clip=0.5),
        {},
    ),
    "hard sigmoid, relu, softsign": (
        Layer(
            H,
            recurrent_activation="hard_sigmoid(0.2, 0.5)",
            activation="relu",
            cell_activation="softsign",
        ),
        {},
    ),
    "affine, leaky relu, elu": (
        Layer(
            H,
            recurrent_activation="affine(0.3, 0.4)",
            activation="leaky_relu(0.2)",
            cell_activation="elu(0.7)",
        ),
        {},
    ),
    "scaled tanh, softplus, thresholded relu": (
        Layer(
            H,
            recurrent_activation="scaled_tanh(0.6, 0.8)",
            activation="softplus",
            cell_activation="thresholded_relu(0.1)",
        ),
        {},
    ),
}
ONNX_NAMES = {
    "sigmoid": "Sigmoid", "tanh": "Tanh", "relu": "Relu", "softsign": "Softsign",
    "softplus": "Softplus", "hard_sigmoid": "HardSigmoid", "affine": "Affine",
    "leaky_relu": "LeakyRelu", "elu": "Elu", "scaled_tanh": "ScaledTanh",
    "thresholded_relu": "ThresholdedRelu",
}  # fmt: skip


def onnx_activations(layer):
    names, alphas, betas = [], [], []
    for name in (layer.recurrent_activation, layer.activation, layer.cell_activation):
        plain, _, constants = name.partition("(")
        numbers = [float(part) for part in constants.rstrip(")").split(",") if part]
        names.append(ONNX_NAMES[plain])
        alphas += numbers[:1]
        betas += numbers[1:]
    times = 2 if layer.bidirectional else 1
    return {
        "activations": names * times,
        "activation_alpha": alphas * times,
        "activation_beta": betas * times,
    }


def in_onnx(call):
    """Outputs [T, B, P] and last states, as jlstm lays them out."""
    onnx = pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    layer = call.config.layers[0]
    params, carry = sides(call.params.layers[0], layer), sides(call.carry[0], layer)
    feeds = {
        "X": call.xs,
        "W": np.stack([permuted(p.w_x, "iofg").T for p in params]),
        "R": np.stack([permuted(p.w_h, "iofg").T for p in params]),
        "B": np.stack([np.concatenate([permuted(p.b, "iofg"), np.zeros(4 * H)]) for p in params]),
        "lens": call.times.get("lengths", np.full(B, T, "int32")),
        "h0": np.stack([s.h for s in carry]),
        "c0": np.stack([s.c for s in carry]),
    }
    if layer.peepholes:
        feeds["P"] = np.stack([np.concatenate([p.peepholes[n] for n in (0, 2, 1)]) for p in params])
    feeds = {k: np.asarray(v, "int32" if k == "lens" else "float32") for k, v in feeds.items()}
    direction = "bidirectional" if layer.bidirectional else ["forward", "reverse"][layer.reverse]
    attributes = {
        "hidden_size": H,
        "direction": direction,
        "input_forget": int(layer.coupled_gates == "forget"),
        **{k: v for k, v in onnx_activations(layer).items() if v},
    }
    if layer.gate_clip is not None:
        attributes["clip"] = layer.gate_clip
    node = onnx.helper.make_node(
        "LSTM",
        ["X", "W", "R", "B", "lens", "h0", "c0", "P" if layer.peepholes else ""],
        ["Y", "Y_h", "Y_c"],
        **attributes,
    )
    kinds = {np.dtype("float32"): 1, np.dtype("int32"): 6}
    graph = onnx.helper.make_graph(
        [node],
        "lstm",
        [onnx.helper.make_tensor_value_info(k, kinds[v.dtype], v.shape) for k, v in feeds.items()],
        [onnx.helper.make_tensor_value_info(name, 1, None) for name in ("Y", "Y_h", "Y_c")],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 14)])
    model.ir_version = 8
    session = runtime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    ys, h, c = session.run(None, feeds)
    if layer.bidirectional:
        return (jlstm.Carry(c, h),), np.concatenate([ys[:, 0], ys[:, 1]], -1)
    return (jlstm.Carry(c[0], h[0]),), ys[:, 0]


@pytest.mark.parametrize("row", ONNX)
def test_onnx_runtime(row):
    call = call_of(*ONNX[row])
    assert_close(apply(call), in_onnx(call), atol=1e-5)


# PyTorch -----------------------------------------------------------------------------------------

TORCH = {
    "plain": (Layer(H), {}),
    "both ways": (Layer(H, bidirectional=True), {}),
    "projection": (Layer(H, projection_size=3), {}),
    "projection, both ways": (Layer(H, projection_size=2, bidirectional=True), {}),
    "packed": (Layer(H), LENGTHS),
    "packed, projection, both ways": (Layer(H, projection_size=3, bidirectional=True), LENGTHS),
}


def torch_module(torch, call):
    layer = call.config.layers[0]
    module = torch.nn.LSTM(
        INPUTS, H, bidirectional=layer.bidirectional, proj_size=layer.projection_size or 0
    )
    for params, suffix in zip(sides(call.params.layers[0], layer), ("", "_reverse"), strict=False):
        values = {"weight_ih": params.w_x.T, "weight_hh": params.w_h.T, "bias_ih": params.b}
        values["bias_hh"] = np.zeros(4 * H)
        if layer.projection_size:
            values["weight_hr"] = params.projection.T
        for name, value in values.items():
            getattr(module, f"{name}_l0{suffix}").data = torch.tensor(np.array(value)).float()
    return module


def in_torch(call):
    """Outputs and last states, and the gradient of `loss` of the outputs for the input."""
    torch = pytest.importorskip("torch")
    layer = call.config.layers[0]
    xs = torch.tensor(call.xs, requires_grad=True)
    state = [np.stack([getattr(s, k) for s in sides(call.carry[0], layer)]) for k in ("h", "c")]
    given = xs
    if "lengths" in call.times:
        lengths = torch.tensor(call.times["lengths"]).long()
        given = torch.nn.utils.rnn.pack_padded_sequence(xs, lengths, enforce_sorted=False)
    ys, (h, c) = torch_module(torch, call)(given, tuple(torch.tensor(a) for a in state))
    if "lengths" in call.times:
        ys, _ = torch.nn.utils.rnn.pad_packed_sequence(ys, total_length=T)
    weights = np.cos(np.arange(ys.numel(), dtype="float32")).reshape(ys.shape)
    (ys * torch.tensor(weights)).sum().backward()
    h, c = (a.detach().numpy() for a in (h, c))
    if not layer.bidirectional:
        h, c = h[0], c[0]
    return ((jlstm.Carry(c, h),), ys.detach().numpy()), xs.grad.numpy()


@pytest.mark.parametrize("row", TORCH)
def test_torch(row):
    call = call_of(*TORCH[row])
    wanted, slope = in_torch(call)
    assert_close(apply(call), wanted, atol=1e-5)
    assert_close(jax.grad(lambda xs: loss(apply(call, xs=xs)[1]))(call.xs), slope, atol=1e-4)


def test_layer_norm_of_products_and_cell_is_that_of_fastrnns():
    """The cell of PyTorch's benchmarks/fastrnns, put together from torch's own functions."""
    torch = pytest.importorskip("torch")
    call = call_of(Layer(H, layer_norm="products_and_cell", bias=False))
    params = jax.tree.map(lambda a: torch.tensor(np.array(a)), call.params.layers[0])
    c, h = (torch.tensor(a) for a in call.carry[0])
    norm = torch.nn.functional.layer_norm
    ys = []
    for x in torch.tensor(call.xs):
        z = norm(x @ params.w_x, (4 * H,), *params.norms.x)
        z = z + norm(h @ params.w_h, (4 * H,), *params.norms.h)
        i, f, g, o = z.chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        c = norm(c, (H,), *params.norms.c)
        h = o.sigmoid() * c.tanh()
        ys.append(h.numpy())
    assert_close(apply(call), ((jlstm.Carry(c.numpy(), h.numpy()),), np.stack(ys)), atol=1e-5)


# TensorFlow --------------------------------------------------------------------------------------

BLOCK = {
    "plain": Layer(H),
    "peepholes": Layer(H, peepholes=True),
    "cell_clip": Layer(H, cell_clip=0.3),
    "peepholes, cell_clip": Layer(H, peepholes=True, cell_clip=0.3),
}


@pytest.mark.parametrize("row", BLOCK)
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


@pytest.mark.parametrize("row", TF1)
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


# Keras -------------------------------------------------------------------------------------------

KERAS = {
    "hard sigmoid": Layer(H, recurrent_activation="hard_sigmoid"),
    "relu, softsign": Layer(
        H, activation="relu", cell_activation="relu", recurrent_activation="softsign"
    ),
    "concat": Layer(H, bidirectional=True),
    "sum": Layer(H, bidirectional=True, merge="sum"),
    "mul": Layer(H, bidirectional=True, merge="mul"),
    "average": Layer(H, bidirectional=True, merge="average"),
    "no merge": Layer(H, bidirectional=True, merge="none"),
}


@pytest.mark.parametrize("row", KERAS)
def test_keras(row):
    keras = pytest.importorskip("keras")
    layer = KERAS[row]
    call = call_of(layer)._replace(carry=None)
    one = keras.layers.LSTM(
        H,
        return_sequences=True,
        activation=layer.activation,
        recurrent_activation=layer.recurrent_activation,
    )
    merges = {"concat": "concat", "average": "ave", "none": None}
    if layer.bidirectional:
        one = keras.layers.Bidirectional(one, merge_mode=merges.get(layer.merge, layer.merge))
    xs = np.swapaxes(call.xs, 0, 1)
    one.build(xs.shape)
    one.set_weights([np.asarray(a) for p in sides(call.params.layers[0], layer) for a in p[:3]])
    ys = one(xs)
    ys = np.stack(ys, -2) if layer.merge == "none" else np.asarray(ys)
    assert_close(apply(call)[1], np.swapaxes(ys, 0, 1), atol=1e-5)


# Haiku -------------------------------------------------------------------------------------------


def test_haiku_reset_core():
    hk = pytest.importorskip("haiku")
    call = call_of(Layer(H))
    resets = np.random.default_rng(0).random((T, B)) < 0.4
    params = call.params.layers[0]

    def run(xs, resets, state):
        return hk.dynamic_unroll(hk.ResetCore(hk.LSTM(H)), (xs, resets), state)

    b_i, b_f, b_g, b_o = np.split(np.asarray(params.b), 4)
    weights = {
        "w": permuted(np.concatenate([params.w_x, params.w_h]), "igfo"),
        "b": np.concatenate([b_i, b_g, b_f - 1, b_o]),  # its cell adds 1 at every step
    }
    state = hk.LSTMState(call.carry[0].h, call.carry[0].c)
    ys, last = hk.without_apply_rng(hk.transform(run)).apply(
        {"lstm/linear": weights}, call.xs, resets, state
    )
    wanted = (jlstm.Carry(np.asarray(last.cell), np.asarray(last.hidden)),), np.asarray(ys)
    assert_close(apply(call, times={"resets": resets}), wanted, atol=1e-5)
