"""LSTMs of Keras in TensorFlow 2 checkpoints and SavedModels, read without TensorFlow."""

import numpy as np
import pytest

import jlstm
from jlstm.interop import Report, from_keras, from_tensorflow
from jlstm.interop.command import convert
from tests.interop.frameworks import assert_close, assert_same, run
from tests.interop.keras.test_legacy import assert_holds, branches, distinct, weights_of

tf = pytest.importorskip("tensorflow")
tf_keras = pytest.importorskip("tf_keras")
L = tf_keras.layers

pytestmark = pytest.mark.filterwarnings("ignore")


def in_tensorflow_format(model, path):
    model.save_weights(path, save_format="tf")
    return path


def in_a_checkpoint(model, path):
    return tf.train.Checkpoint(model=model).write(str(path))


def as_saved_model(model, path):
    model.save(path, save_format="tf")
    return path


@pytest.mark.parametrize("save", [in_tensorflow_format, in_a_checkpoint])
def test_every_lstm_is_read_by_its_name(save, tmp_path):
    model = branches(tf_keras)
    path = save(model, tmp_path / "a")
    with pytest.raises(ValueError, match=r"deep \(LSTM\), both \(Bidirectional.*layer=") as raised:
        from_keras(path)
    for name, arrays in weights_of(model).items():
        own = name.removeprefix("inner/")
        assert f"{own} (" in str(raised.value)
        assert_holds(from_keras(path, layer=own)[1], arrays)


def test_a_checkpoint_gives_what_the_model_gives(tmp_path):
    model = tf_keras.Sequential([L.Input((6,)), L.Embedding(10, 5), L.LSTM(4), L.Dense(2)])
    path, report = in_tensorflow_format(distinct(model), tmp_path / "a"), Report()
    texts = np.random.default_rng(0).integers(10, size=(2, 6))
    xs = model.layers[0](texts).numpy().swapaxes(0, 1)
    config, params = from_keras(path, report=report)
    logits = model.layers[2](np.asarray(run(config, params, xs)[0][0].h))
    assert_close(logits.numpy(), model(texts).numpy(), atol=1e-5)
    assert "assumed: tanh and sigmoid" in str(report)
    assert "left out: embedding" in str(report)
    for form in ("", ".index", ".data-00000-of-00001"):
        assert_same(from_keras(f"{path}{form}")[1], params)
    assert_same(from_keras(tmp_path)[1], params)


def test_layers_of_a_program_of_ones_own(tmp_path):
    """Names in the program repeat, so that the attributes tell layers apart."""

    class Own(tf.Module):
        def __init__(self):
            self.lower, self.upper = (L.LSTM(4, name="same") for _ in range(2))
            self.one = L.LSTMCell(4)

    own = Own()
    for layer in (own.lower, own.upper):
        layer.build((None, None, 4))
    own.one.build((None, 4))
    arrays = {}
    for name in ("lower", "upper", "one"):
        arrays[name] = distinct(getattr(own, name)).get_weights()
        arrays[name] = [a + len(arrays) for a in arrays[name]]
        getattr(own, name).set_weights(arrays[name])
    path = tf.train.Checkpoint(own=own).write(str(tmp_path / "a"))
    for name in arrays:
        assert_holds(from_keras(path, layer=name)[1], arrays[name])


def test_a_stack_of_many_cells_keeps_its_order(tmp_path):
    layer = L.RNN([L.LSTMCell(4) for _ in range(12)])
    model = distinct(tf_keras.Sequential([L.Input((None, 4)), layer]))
    path = in_tensorflow_format(model, tmp_path / "a")
    assert_holds(from_keras(path)[1], layer.get_weights())


@pytest.mark.full
def test_variables_of_an_optimizer_are_not_read(tmp_path):
    model = tf_keras.Sequential([L.Input((3, 5)), L.LSTM(4, name="own")])
    model.compile("adam", "mse")
    model.fit(np.zeros((2, 3, 5)), np.zeros((2, 4)), verbose=0)
    paths = [in_tensorflow_format(model, tmp_path / "a"), as_saved_model(model, tmp_path / "b")]
    whole = tf.train.Checkpoint(model=model, opt=model.optimizer)
    for path in (*paths, whole.save(str(tmp_path / "c"))):
        assert_holds(from_keras(path)[1], model.get_weights())


@pytest.mark.full
def test_saved_models(tmp_path):
    both = L.Bidirectional(L.LSTM(3), name="both")
    model = distinct(tf_keras.Sequential([L.Input((4, 5)), both, L.Dense(1)]))
    as_saved_model(model, tmp_path / "a")
    assert_holds(from_keras(tmp_path / "a")[1], both.get_weights())
    convert(tmp_path / "a", tmp_path / "b.safetensors", layer=("both",))
    assert_holds(jlstm.load(tmp_path / "b.safetensors")[1], both.get_weights())


def test_variables_that_a_saved_model_holds_in_lists(tmp_path):
    """As model.export writes them: one list in the model's order, and one in any order."""
    model, draw = branches(tf_keras), np.random.default_rng(0)
    names = [f"outer/{variable.name.removesuffix(':0')}" for variable in model.weights]
    made = [tf.Variable(a, name=n) for n, a in zip(names, model.get_weights(), strict=True)]
    made.append(tf.Variable(np.zeros(2, "uint32"), name="seed_generator/state"))
    mixed = [tf.Variable(-made[n], name=names[n]) for n in draw.permutation(len(names))]
    path = tf.train.Checkpoint(variables=made, _all_variables=mixed).write(str(tmp_path / "a"))
    for name, arrays in weights_of(model).items():
        assert_holds(from_keras(path, layer=name.removeprefix("inner/"))[1], arrays)
    report = Report()
    from_keras(path, layer="deep", report=report)
    assert str(report).count("(layer)") == 2  # the two Dense layers
    nameless = [tf.Variable(a, name="/") for a in model.get_weights()]
    path = tf.train.Checkpoint(variables=nameless).write(str(tmp_path / "b"))
    with pytest.raises(ValueError, match=r"b: its variables, .*have no names.*model\.save"):
        from_keras(path)


def test_a_checkpoint_of_variables_by_name(tmp_path):
    """TensorFlow 1 names the variables of Keras's layers as its own, without objects."""
    model, v1 = branches(tf_keras), tf.compat.v1
    names = [variable.name.removesuffix(":0") for variable in model.weights]
    wanted = weights_of(model)
    held = dict(zip(names, model.get_weights(), strict=True))
    with tf.Graph().as_default(), v1.Session() as session:
        for name, array in held.items():
            v1.get_variable(name, initializer=array)
        session.run(v1.global_variables_initializer())
        path = v1.train.Saver().save(session, str(tmp_path / "a"))
    for name, arrays in wanted.items():
        assert_holds(from_keras(path, layer=name.removeprefix("inner/"))[1], arrays)


def test_the_command_knows_such_checkpoints(tmp_path, capsys):
    model = distinct(tf_keras.Sequential([L.Input((None, 5)), L.LSTM(4, name="own"), L.Dense(2)]))
    path, out = in_tensorflow_format(model, tmp_path / "a"), tmp_path / "b.safetensors"
    for form in (path, tmp_path / "a.index"):
        convert(form, out, layer=("own",))
        assert_holds(jlstm.load(out)[1], model.layers[0].get_weights())
    assert "a.index (keras)" in capsys.readouterr().out
    with pytest.raises(ValueError, match=r"TensorFlow 2 .*from_keras\(path\).*--from keras"):
        from_tensorflow(path)


def test_damaged_checkpoints_are_refused(tmp_path):
    model = distinct(tf_keras.Sequential([L.Input((None, 5)), L.LSTM(4)]))
    path, draw = in_tensorflow_format(model, tmp_path / "a"), np.random.default_rng(0)
    for ending in (".index", ".data-00000-of-00001"):
        file = tmp_path / f"a{ending}"
        whole = file.read_bytes()
        for _ in range(40):
            data = bytearray(whole)
            data[int(draw.integers(len(data)))] ^= 1 + int(draw.integers(255))
            file.write_bytes(data)
            try:
                found = from_keras(path)[1]
            except ValueError as error:
                assert len(str(error)) > 10
            else:
                assert_holds(found, model.get_weights())
        file.write_bytes(whole)
    (tmp_path / "a.data-00000-of-00001").unlink()
    with pytest.raises(ValueError, match="cannot read"):
        from_keras(path)


@pytest.mark.parametrize(("group", "same"), [("lstm/lstm_cell", True), ("other/lstm_cell", False)])
def test_layers_of_one_name_in_a_saved_model_of_keras_3_are_refused(group, same, tmp_path):
    """Its variables, as TensorFlow lists them if Keras 3 runs on it: two layers in two models."""
    arrays = {"kernel": (4, 16), "recurrent_kernel": (4, 16), "bias": (16,)}
    own = tf.__internal__.tracking.AutoTrackable()
    own.variables = [
        tf.Variable(np.full(shape, n, "float32"), name=f"{path}/{name}")
        for n, path in enumerate(("lstm/lstm_cell", group))
        for name, shape in arrays.items()
    ]
    tf.saved_model.save(own, str(tmp_path / "a"))
    if same:
        with pytest.raises(ValueError, match=r"several layers have the name lstm/.*name.keras"):
            from_keras(tmp_path / "a")
    else:
        params = from_keras(tmp_path / "a", layer="other")[1]
        assert float(params.layers[0].w_x[0, 0]) == 1


class Peephole(L.LSTMCell):
    def build(self, shape):
        super().build(shape)
        self.peephole = self.add_weight(shape=(self.units,), name="peephole")


class Normed(L.LSTMCell):
    def build(self, shape):
        super().build(shape)
        self.norm = L.LayerNormalization()
        self.norm.build(shape)


@pytest.mark.parametrize("ending", ["", ".h5"])
@pytest.mark.parametrize("cell", [Peephole, Normed])
def test_a_cell_with_further_variables_is_no_lstm(cell, ending, tmp_path):
    model = tf_keras.Sequential(
        [
            L.Input((6, 5)),
            L.RNN(cell(4), return_sequences=True, name="own"),
            L.RNN([L.LSTMCell(5), cell(4)], return_sequences=True, name="cells"),
            L.LSTM(3, name="plain"),
        ]
    )
    path = str(tmp_path / f"a{ending}")
    model.save_weights(path)
    names = [
        layer.name if ending else f"layer_with_weights-{n}" for n, layer in enumerate(model.layers)
    ]
    assert_holds(from_keras(path, layer=names.pop())[1], model.layers[-1].get_weights())
    for name in names:
        with pytest.raises(ValueError, match=f"no LSTM named '{name}'; its LSTMs are"):
            from_keras(path, layer=name)


def test_variables_of_no_layer_are_not_called_one(tmp_path):
    path = tf.train.Checkpoint(v=tf.Variable(1.0)).write(str(tmp_path / "a"))
    with pytest.raises(ValueError, match=r"a has no LSTM layer; .* Its layers are none$"):
        from_keras(path)
