"""The file of a run's best model."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jlstm
from jlstm.train.runs import model_file

CONFIG = jlstm.Config.stack(3, [4])
PARAMS = jlstm.init(jax.random.key(0), CONFIG)
ARRAYS = {"readout.w": jnp.ones((4, 2)), "readout.b": jnp.zeros(2), "embedding": None}
VALUES = {
    "task": {"name": "classify", "classes": 2, "rate": 0.1, "vocabulary": None},
    "meaning": {"classes": ["ä\U0001f600", "\x00"], "input_mean": [1e-7]},
}


def test_a_model_comes_back(tmp_path):
    path = tmp_path / "model.safetensors"
    model_file.save(path, CONFIG, PARAMS, ARRAYS, VALUES)
    found = model_file.load(path)
    assert found.config == CONFIG and found.values == VALUES
    assert sorted(found.arrays) == ["readout.b", "readout.w"]
    for one, other in zip(jax.tree.leaves(found.params), jax.tree.leaves(PARAMS), strict=True):
        np.testing.assert_array_equal(one, other)
    assert jlstm.load(path)[0] == CONFIG, "the network alone is read as ever"


def test_writing_can_be_tried_with_shapes_alone(tmp_path):
    path = tmp_path / "model.safetensors"
    shapes = jax.eval_shape(lambda: (PARAMS, ARRAYS))
    model_file.try_save(path, CONFIG, *shapes, VALUES)
    assert not path.exists()
    path.mkdir()
    with pytest.raises(ValueError, match=r"cannot write the model to .*it is a folder"):
        model_file.try_save(path, CONFIG, *shapes, VALUES)


@pytest.mark.parametrize("value", [{"x": object()}, float("nan"), {1, 2}])
def test_what_is_not_json_is_refused(tmp_path, value):
    with pytest.raises((TypeError, ValueError), match=r"task is .*, which is not JSON"):
        model_file.save(tmp_path / "m", CONFIG, PARAMS, {}, {"task": value})


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "NaN"])
def test_notes_that_are_not_json_are_refused(tmp_path, text):
    jlstm.save(tmp_path / "m", CONFIG, PARAMS, notes={"task": text})
    with pytest.raises(ValueError, match="m: the note task is not JSON"):
        model_file.load(tmp_path / "m")
