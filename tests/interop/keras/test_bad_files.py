"""Files of Keras that are changed, or made to do harm."""

import json
import time
import zipfile

import numpy as np
import pytest

from jlstm.interop import from_keras
from tests.interop.test_bad_files import places, refused

pytestmark = pytest.mark.filterwarnings("ignore")


def test_keras_files_with_code_in_them(whole, tmp_path):
    import keras

    model = keras.Sequential([keras.Input((None, 5)), keras.layers.Lambda(lambda x: x)])
    model.save(tmp_path / "a.keras")
    with pytest.raises(ValueError, match="is a Lambda, not an LSTM"):
        from_keras(tmp_path / "a.keras")
    with zipfile.ZipFile(whole / "a.keras") as file:
        config = json.loads(file.read("config.json"))
        weights = file.read("model.weights.h5")
    config["config"]["layers"][1]["module"] = "os"
    with zipfile.ZipFile(tmp_path / "b.keras", "w") as file:
        file.writestr("config.json", json.dumps(config))
        file.writestr("model.weights.h5", weights)
    with pytest.raises(ValueError, match="expected a layer of Keras"):
        from_keras(tmp_path / "b.keras")


def test_archives_that_would_unpack_to_much(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.keras", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("config.json", "{}")
        file.writestr("model.weights.h5", bytes(100_000_000))
    with pytest.raises(ValueError, match="would unpack to 100000000 bytes"):
        from_keras(tmp_path / "a.keras")
    with zipfile.ZipFile(tmp_path / "b.keras", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("config.json", " " * 100_000_000)
        file.writestr("model.weights.h5", b"")
    with pytest.raises(ValueError, match="larger than Keras writes"):
        from_keras(tmp_path / "b.keras")


def test_h5_files_that_point_elsewhere_or_claim_much(tmp_path):
    import h5py

    for name in ("link", "external", "absurd"):
        with h5py.File(tmp_path / f"{name}.weights.h5", "w") as file:
            group = file.create_group("layers/lstm/cell/vars")
            group["1"], group["2"] = np.ones((5, 20), "float32"), np.ones(20, "float32")
            if name == "link":
                group["0"] = h5py.ExternalLink("/etc/passwd", "/")
            elif name == "external":
                (tmp_path / "raw").write_bytes(bytes(400))
                group.create_dataset(
                    "0", (5, 20), "float32", external=[(str(tmp_path / "raw"), 0, 400)]
                )
            else:
                group.create_dataset("0", (10**10, 20), "float32", chunks=(1000, 20))
        words = {"absurd": "but the file holds only 0 bytes of it"}.get(name, "not followed")
        with pytest.raises(ValueError, match=words):
            from_keras(tmp_path / f"{name}.weights.h5")


def test_groups_that_are_there_under_many_names(tmp_path):
    """Each level has the next one twice, so that a walk over all names would never end."""
    import h5py

    with h5py.File(tmp_path / "a.weights.h5", "w") as file:
        below = file.create_group("layers/lstm")
        for _ in range(60):
            following = below.create_group("a")
            below["b"] = following
            below = following
        below.create_dataset("0", data=np.zeros((9, 16), "float32"))
    start = time.process_time()
    assert refused(from_keras, tmp_path / "a.weights.h5")
    assert time.process_time() - start < 1


def odd_values(draw):
    """Something well formed that has no place in a config."""
    values = [None, -1, 0, 10**30, 1.5, "", "x" * 50, [], {}, [[]], {"a": 1}, True, float("nan")]
    return values[int(draw.integers(len(values)))]


def test_keras_configs_with_odd_values(whole, tmp_path):
    with zipfile.ZipFile(whole / "a.keras") as file:
        text, weights = file.read("config.json"), file.read("model.weights.h5")
    draw = np.random.default_rng(0)
    every = [path for path in places(json.loads(text)) if path]
    found = 0
    for path in every:
        config = json.loads(text)
        inner = config
        for key in path[:-1]:
            inner = inner[key]
        if draw.random() < 0.3 and isinstance(inner, dict):
            del inner[path[-1]]
        else:
            inner[path[-1]] = odd_values(draw)
        with zipfile.ZipFile(tmp_path / "a.keras", "w") as file:
            file.writestr("config.json", json.dumps(config))
            file.writestr("model.weights.h5", weights)
        found += refused(from_keras, tmp_path / "a.keras")
    assert found > len(every) / 10
