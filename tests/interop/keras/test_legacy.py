"""The older .h5 files of Keras: of whole models and of weights, written by Keras 2 and 3."""

import functools
import json

import jax
import numpy as np
import pytest

import jlstm
from jlstm.interop import Report, from_keras
from jlstm.interop.command import convert
from tests.interop.frameworks import assert_close, assert_same, run

keras = pytest.importorskip("keras")
tf_keras = pytest.importorskip("tf_keras")
h5py = pytest.importorskip("h5py")

pytestmark = pytest.mark.filterwarnings("ignore")

ARRAYS = ("kernel", "recurrent_kernel", "bias")
LIBRARIES = {"keras 2": tf_keras, "keras 3": keras}


def distinct(model):
    draw = np.random.default_rng(1)
    model.set_weights(
        [draw.normal(size=a.shape).astype("float32") / 2 for a in model.get_weights()]
    )
    return model


@functools.cache
def branches(library):
    """A model with a nested model, both directions, stacked cells and a wrapped LSTM."""
    layers = library.layers
    xs = layers.Input((6, 5))
    lower = layers.LSTM(4, return_sequences=True, name="deep")
    inner = library.Sequential([layers.Input((6, 5)), lower, layers.Dense(3)], name="inner")
    both = layers.Bidirectional(layers.LSTM(3, return_sequences=True), name="both")(inner(xs))
    cells = [layers.LSTMCell(2), layers.LSTMCell(4)]
    stacked = layers.RNN(cells, return_sequences=True, name="cells")(both)
    cut = layers.Reshape((2, 3, 4))(stacked)
    wrapped = layers.TimeDistributed(layers.LSTM(3, name="wrapped"), name="slices")(cut)
    return distinct(library.Model(xs, layers.Dense(1)(wrapped)))


def weights_of(model):
    """The arrays of each LSTM by its name in the model."""
    names = {"inner/deep": model.get_layer("inner").get_layer("deep")}
    names |= {name: model.get_layer(name) for name in ("both", "cells", "slices")}
    return {name: layer.get_weights() for name, layer in names.items()}


def assert_holds(params, arrays):
    """The arrays of Keras, which has our gate order, bit for bit."""
    found = []
    for layer in params.layers:
        sides = [[a[d] for d in range(2)] for a in layer[:3]] if layer.b.ndim == 2 else None
        held = zip(*sides, strict=True) if sides else [layer[:3]]
        found += [np.asarray(a) for side in held for a in side]
    assert len(found) == len(arrays)
    for ours, theirs in zip(found, arrays, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("library", "whole"), [("keras 2", True), ("keras 2", False), ("keras 3", True)]
)
def test_every_lstm_of_a_file_is_read_by_its_name(library, whole, tmp_path):
    model, path = branches(LIBRARIES[library]), tmp_path / "a.h5"
    model.save(path) if whole else model.save_weights(path, save_format="h5")
    with pytest.raises(ValueError, match=r"inner/deep.*both.*cells.*layer="):
        from_keras(path)
    for name, arrays in weights_of(model).items():
        _, params = from_keras(path, layer="wrapped" if whole and name == "slices" else name)
        assert_holds(params, arrays)


@pytest.mark.parametrize(
    ("library", "activation"),
    [
        ("keras 2", "hard_sigmoid"),
        ("keras 3", "hard_sigmoid"),
        pytest.param("keras 2", "sigmoid", marks=pytest.mark.full),
        pytest.param("keras 3", "sigmoid", marks=pytest.mark.full),
    ],
)
def test_files_give_what_the_model_gives(library, activation, tmp_path):
    layers = LIBRARIES[library].layers
    options = {"return_sequences": True, "recurrent_activation": activation}
    lower = layers.Bidirectional(layers.LSTM(3, **options), merge_mode="sum")
    upper = layers.LSTM(4, activation="softsign", **options)
    made = [layers.Masking(), lower, layers.Dropout(0.25), upper, layers.Dense(2, name="top")]
    model = distinct(LIBRARIES[library].Sequential([layers.Input((6, 5)), *made]))
    model.save(tmp_path / "a.h5")
    xs, report = np.random.default_rng(0).normal(0, 3, (6, 2, 5)).astype("float32"), Report()
    config, params = from_keras(tmp_path / "a.h5", report=report)
    ys = np.asarray(model.get_layer("top")(np.asarray(run(config, params, xs)[1])))
    assert_close(ys, np.asarray(model(xs.swapaxes(0, 1))).swapaxes(0, 1), atol=1e-5)
    assert config.layers[1].dropout == 0.25
    assert "(Masking), top (Dense)" in str(report)
    convert(tmp_path / "a.h5", tmp_path / "a.safetensors")
    assert_same(jlstm.load(tmp_path / "a.safetensors")[1], params)


def test_a_file_of_weights_is_a_stack_if_its_sizes_fit(tmp_path):
    layers = tf_keras.layers

    def saved(*own):
        model = distinct(tf_keras.Sequential([layers.Input((None, 5)), *own]))
        model.save_weights(tmp_path / "a.h5", save_format="h5")
        return model

    both = layers.Bidirectional(layers.LSTM(3, return_sequences=True))
    upper = layers.LSTM(6, return_sequences=True)
    model, report = saved(layers.LSTM(4, return_sequences=True), both, upper), Report()
    assert_holds(from_keras(tmp_path / "a.h5", report=report)[1], model.get_weights())
    assert "assumed: a stack of lstm" in str(report)
    xs = layers.Input((6, 5))
    names = [layers.LSTM(4, name="a"), layers.LSTM(4, name="b")]
    distinct(tf_keras.Model(xs, [own(xs) for own in names])).save_weights(tmp_path / "b.h5")
    for path in ("a.h5", "b.h5"):
        if path == "a.h5":
            saved(layers.LSTM(4), layers.RepeatVector(3), layers.LSTM(4))
        with pytest.raises(ValueError, match="not known to form one stack"):
            from_keras(tmp_path / path)
    assert_holds(from_keras(tmp_path / "b.h5", layer="b")[1], names[1].get_weights())


def test_variables_named_as_by_the_first_versions(tmp_path):
    """Keras 2.0 to 2.2 have no cells in their names, and long lists of names in parts."""
    draw = np.random.default_rng(0)
    names = [f"{way}_lstm_1/{a}:0" for way in ("forward", "backward") for a in ARRAYS]
    names = {
        "both": [f"both/{name}" for name in names],
        "lstm_2": [f"lstm_2/{a}:0" for a in ARRAYS],
    }
    arrays = {"both": [], "lstm_2": []}
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["layer_names0"] = np.array([b"both"])
        file.attrs["layer_names1"] = np.array([b"dropout_1", b"lstm_2"])
        file.attrs["keras_version"] = b"2.2.4"
        for (layer, held), size in zip(names.items(), (5, 8), strict=True):
            group = file.create_group(layer)
            group.attrs["weight_names"] = np.array([name.encode() for name in held])
            for name in held:
                shapes = {"kernel": (size, 16), "recurrent_kernel": (4, 16), "bias": (16,)}
                shape = shapes[name.rpartition("/")[2][:-2]]
                arrays[layer].append(draw.normal(size=shape).astype("float32"))
                group[name] = arrays[layer][-1]
    config, params = from_keras(tmp_path / "a.h5")
    assert [layer.bidirectional for layer in config.layers] == [True, False]
    assert_holds(params, arrays["both"] + arrays["lstm_2"])


def test_files_that_are_not_valid_are_refused_in_words(tmp_path):
    model = distinct(keras.Sequential([keras.Input((None, 5)), keras.layers.LSTM(4, name="own")]))
    path = tmp_path / "a.h5"
    model.save(path)
    with h5py.File(path, "r+") as file:
        text = file.attrs["model_config"]
        file.attrs["keras_version"] = "1.2.2"
    with pytest.raises(ValueError, match=r"version '1\.2\.2' of Keras; expected 2 or 3"):
        from_keras(path)
    with h5py.File(path, "r+") as file:
        file.attrs["keras_version"] = "3.0.0"
        file.attrs["model_config"] = text[:-9]
    with pytest.raises(ValueError, match="its model_config is not valid JSON"):
        from_keras(path)
    with h5py.File(path, "r+") as file:
        config = json.loads(text)
        config["config"]["layers"][1]["config"]["units"] = 10**9
        file.attrs["model_config"] = json.dumps(config)
    with pytest.raises(ValueError, match=r"\[5, 4\] per gate; expected \[5, 1000000000\]"):
        from_keras(path)
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = text
        group = file["model_weights/own"]
        name = next(name for name in group.attrs["weight_names"] if "recurrent" in name)
        del group[name]
    with pytest.raises(ValueError, match=r"own has weights \[\[5, 16\], \[16\]\]; expected"):
        from_keras(path)
    with h5py.File(path, "r+") as file:
        file["model_weights/own"][name] = h5py.ExternalLink("/etc/passwd", "/")
    with pytest.raises(ValueError, match="not followed"):
        from_keras(path)


def test_older_files_are_not_written(tmp_path):
    config = jlstm.Config.stack(5, [4])
    jlstm.save(tmp_path / "a.safetensors", config, jlstm.init(jax.random.key(0), config))
    with pytest.raises(ValueError, match=r"are read but not written; .*\.keras or \.weights\.h5"):
        convert(tmp_path / "a.safetensors", tmp_path / "b.h5")


def test_weights_of_keras_before_2_3_may_use_another_activation(tmp_path):
    layers, report = tf_keras.layers, Report()
    tf_keras.Sequential([layers.Input((6, 5)), layers.LSTM(4)]).save_weights(tmp_path / "a.h5")
    from_keras(tmp_path / "a.h5", report=report)
    assert "hard_sigmoid" not in str(report)
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        file.attrs["keras_version"] = "2.2.4"
    from_keras(tmp_path / "a.h5", report=report)
    assert "default recurrent activation was hard_sigmoid" in str(report)
