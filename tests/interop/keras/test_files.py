"""Files of Keras 3 and 2: what they are taken for, and what is not read from them."""

import json
import zipfile

import numpy as np
import pytest

from jlstm.interop import Report, from_keras
from jlstm.interop.command import convert
from tests.interop.frameworks import assert_close, assert_same, run

keras = pytest.importorskip("keras")
h5py = pytest.importorskip("h5py")
L = keras.layers

pytestmark = pytest.mark.filterwarnings("ignore")


def lstm(units, **options):
    return L.LSTM(units, return_sequences=True, **options)


def sequences(*layers):
    return keras.Sequential([keras.Input((None, 5)), *layers])


def test_an_optimizer_in_a_weights_file_is_not_read(tmp_path):
    model = sequences(lstm(4), L.Dropout(0.1), L.LSTM(3))
    model.compile("adam", "mse")
    model.fit(np.zeros((2, 3, 5)), np.zeros((2, 3)), verbose=0)
    model.save_weights(tmp_path / "a.weights.h5")
    assert_same(from_keras(tmp_path / "a.weights.h5")[1], from_keras(model)[1])


def test_a_weights_file_does_not_say_how_its_network_runs(tmp_path):
    sequences(L.Bidirectional(lstm(4), merge_mode="sum")).save_weights(tmp_path / "a.weights.h5")
    report = Report()
    config, _ = from_keras(tmp_path / "a.weights.h5", report=report)
    assert config.layers[0].merge == "concat"
    assert "tanh and sigmoid, concatenated, forward" in str(report)


@pytest.mark.parametrize("kind", ["GRU", "SimpleRNN"])
def test_other_layers_of_a_weights_file_are_named(kind, tmp_path):
    for wrap in (lambda layer: layer, L.Bidirectional):
        sequences(wrap(getattr(L, kind)(4))).save_weights(tmp_path / "a.weights.h5")
        with pytest.raises(ValueError, match=f"is a {kind}, not an LSTM"):
            from_keras(tmp_path / "a.weights.h5")


def test_a_sequential_within_a_sequential(tmp_path):
    inner = keras.Sequential([lstm(4), keras.Sequential([lstm(3)])])
    model = sequences(lstm(2), inner, keras.Sequential([lstm(6)]), lstm(5))
    model.save(tmp_path / "a.keras")
    found, wanted = from_keras(tmp_path / "a.keras"), from_keras(model)
    assert [layer.hidden_size for layer in found[0].layers] == [2, 4, 3, 6, 5]
    assert found[0] == wanted[0]
    assert_same(found[1], wanted[1])


def test_archives_are_known_by_their_first_bytes(tmp_path):
    sequences(lstm(4)).save(tmp_path / "a.keras")
    (tmp_path / "a.keras").rename(tmp_path / "model")
    convert(tmp_path / "model", tmp_path / "a.safetensors", "keras")
    with pytest.raises(ValueError, match="cannot read"):
        from_keras(tmp_path / "missing")


@pytest.mark.parametrize("activation", ["sigmoid", "hard_sigmoid"])
def test_files_of_keras_2(activation, tmp_path):
    tf_keras = pytest.importorskip("tf_keras")
    model = tf_keras.Sequential([tf_keras.Input((None, 5))])
    cell = tf_keras.layers.LSTMCell(4, recurrent_activation=activation)
    options = {"return_sequences": True, "recurrent_activation": activation}
    model.add(tf_keras.layers.Bidirectional(tf_keras.layers.LSTM(3, **options)))
    model.add(tf_keras.layers.RNN(cell, return_sequences=True))
    model.save(tmp_path / "a.keras")
    xs = np.random.default_rng(0).normal(0, 3, (6, 2, 5)).astype("float32")
    ys = model(xs.swapaxes(0, 1)).numpy().swapaxes(0, 1)
    assert_close(run(*from_keras(tmp_path / "a.keras"), xs)[1], ys, atol=1e-5)


def changed(path, change, name="config.json"):
    """The archive with one of its texts changed."""
    with zipfile.ZipFile(path) as file:
        held = {entry: file.read(entry) for entry in file.namelist()}
    value = json.loads(held[name])
    change(value)
    held[name] = json.dumps(value).encode()
    with zipfile.ZipFile(path, "w") as file:
        for entry, data in held.items():
            file.writestr(entry, data)


def test_versions_of_keras_that_are_not_known(tmp_path):
    sequences(lstm(4)).save(tmp_path / "a.keras")
    changed(tmp_path / "a.keras", lambda held: held.update(keras_version="4.1"), "metadata.json")
    with pytest.raises(ValueError, match=r"version '4\.1' of Keras; expected 2 or 3"):
        from_keras(tmp_path / "a.keras")


LAYERS = {
    "LSTM": lambda: lstm(4),
    "Bidirectional": lambda: L.Bidirectional(lstm(4)),
    "RNN": lambda: L.RNN(L.LSTMCell(4), return_sequences=True),
    "Dropout": lambda: L.Dropout(0.1),
}


@pytest.mark.parametrize(
    ("kind", "option", "value", "words"),
    [
        ("LSTM", "use_bias", False, r"weights \[\[16\]\] that do not belong to its options"),
        ("LSTM", "units", 10**9, r"\[5, 4\] per gate; expected \[5, 1000000000\]"),
        ("LSTM", "units", "x", "expected a whole number"),
        ("LSTM", "units", None, "expected a whole number"),
        ("LSTM", "use_bias", "x", "expected True or False"),
        ("LSTM", "unit_forget_bias", "x", "expected True or False"),
        ("LSTM", "dropout", [], "expected"),
        ("Dropout", "rate", "x", "expected"),
        ("Bidirectional", "merge_mode", ["x"], "which is not known"),
        ("Bidirectional", "layer", {}, "has no valid class_name"),
        ("RNN", "cell", None, "has no valid class_name"),
    ],
)
def test_odd_options_are_refused_in_words(kind, option, value, words, tmp_path):
    sequences(LAYERS[kind](), lstm(4)).save(tmp_path / "a.keras")
    odd = {option: value}
    changed(tmp_path / "a.keras", lambda held: held["config"]["layers"][1]["config"].update(odd))
    with pytest.raises(ValueError, match=words) as raised:
        from_keras(tmp_path / "a.keras")
    assert "Error" not in str(raised.value)


def test_biases_that_are_missing_are_refused(tmp_path):
    sequences(lstm(4, use_bias=False)).save(tmp_path / "a.keras")
    odd = {"use_bias": True}
    changed(tmp_path / "a.keras", lambda held: held["config"]["layers"][1]["config"].update(odd))
    with pytest.raises(ValueError, match=r"expected \[I, 4H\], \[H, 4H\], \[4H\]"):
        from_keras(tmp_path / "a.keras")
