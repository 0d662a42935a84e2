"""Keras layers of which some directions or cells are frozen, which Keras 2 lists last."""

import numpy as np
import pytest

from jlstm.interop import from_keras
from tests.interop.frameworks import assert_close, run
from tests.interop.keras.test_legacy import distinct

keras = pytest.importorskip("keras")
tf_keras = pytest.importorskip("tf_keras")

pytestmark = pytest.mark.filterwarnings("ignore")
LIBRARIES = {"keras 2": tf_keras, "keras 3": keras}
MADE = {
    "both ways": lambda layers: layers.Bidirectional(layers.LSTM(4, return_sequences=True)),
    "named": lambda layers: layers.Bidirectional(
        layers.LSTM(4, return_sequences=True, name="x"),
        backward_layer=layers.LSTM(4, return_sequences=True, go_backwards=True, name="y"),
    ),
    "cells": lambda layers: layers.RNN(
        [layers.LSTMCell(4), layers.LSTMCell(4)], return_sequences=True
    ),
    "named cells": lambda layers: layers.RNN(
        [layers.LSTMCell(4, name="z"), layers.LSTMCell(4, name="a")], return_sequences=True
    ),
}


def frozen(library, made):
    layer = MADE[made](library.layers)
    model = library.Sequential([library.layers.Input((6, 4)), layer])
    (layer.cell.cells[0] if "cells" in made else layer.forward_layer).trainable = False
    return distinct(model)


def assert_read(source, model):
    xs = np.random.default_rng(0).normal(size=(6, 2, 4)).astype("f")
    config, params = from_keras(source)
    ys = np.asarray(model(xs.swapaxes(0, 1))).swapaxes(0, 1)
    assert_close(run(config, params, xs)[1], ys, atol=1e-5)


@pytest.mark.parametrize("made", MADE)
@pytest.mark.parametrize("library", LIBRARIES)
def test_a_partly_frozen_layer(library, made, tmp_path):
    model = frozen(LIBRARIES[library], made)
    assert_read(model, model)
    for ending in (".h5", ".keras"):
        model.save(tmp_path / f"a{ending}")
        assert_read(tmp_path / f"a{ending}", model)


@pytest.mark.parametrize("made", ["both ways", "named"])
def test_directions_in_a_file_of_weights_are_known_by_name(made, tmp_path):
    model = frozen(tf_keras, made)
    model.save_weights(tmp_path / "a.h5")
    assert_read(tmp_path / "a.h5", model)


@pytest.mark.parametrize("made", ["cells", "named cells"])
@pytest.mark.parametrize("ending", [".h5", pytest.param("", marks=pytest.mark.full)])
def test_cells_in_a_file_without_their_order_must_be_chosen(ending, made, tmp_path):
    model, path = frozen(tf_keras, made), tmp_path / f"a{ending}"
    if ending:
        model.save_weights(path)
    else:
        model.save(path, save_format="tf")
    with pytest.raises(ValueError, match=r"several LSTMs that are not known to form.*layer="):
        from_keras(path)
    lower, upper = model.layers[-1].cell.cells
    xs = np.random.default_rng(0).normal(size=(6, 2, 4)).astype("f")
    config, params = from_keras(path, layer=[lower.name, upper.name])
    ys = np.asarray(model(xs.swapaxes(0, 1))).swapaxes(0, 1)
    assert_close(run(config, params, xs)[1], ys, atol=1e-5)
