"""The accuracy of trained networks with int8 weights, compared with docs/serving.md."""

import json
import pathlib
import re
import subprocess
import sys

import pytest

for _name in ("optax", "sklearn", "tyro"):
    pytest.importorskip(_name)

ROOT = pathlib.Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "serving.md").read_text()
ROWS = re.findall(r"^\| `(configs/\w+\.toml)` \| (.*) \|$", PAGE, re.MULTILINE)


def jlstm(*arguments):
    command = [sys.executable, "-m", "jlstm", *map(str, arguments)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stdout


def numbers(text):
    return [float(number) for number in re.findall(r"\d+\.\d+", text)]


def test_the_table_has_figures_that_differ_by_less_than_a_hundredth():
    assert [config for config, _ in ROWS] == ["configs/digits.toml", "configs/language.toml"]
    for _, cells in ROWS:
        accuracy, of_int8 = numbers(cells)[:2]
        assert abs(accuracy - of_int8) < 0.01 * accuracy


@pytest.mark.long
@pytest.mark.parametrize(("config", "cells"), ROWS)
def test_trained_networks_lose_less_than_a_hundredth(config, cells, tmp_path):
    jlstm("train", config, "--out", tmp_path / "run")
    model, small = tmp_path / "run" / "model.safetensors", tmp_path / "small.safetensors"
    jlstm("convert", model, small, "--quantize")
    seen = [json.loads(jlstm("eval", path, "--json")) for path in (model, small)]
    accuracies = [100 * own["accuracy"] for own in seen]
    assert abs(accuracies[0] - accuracies[1]) < 0.01 * accuracies[0]
    assert model.stat().st_size > 2.5 * small.stat().st_size
    accuracy, of_int8, *losses = numbers(cells)
    # Another processor rounds in another way, so another network is trained.
    assert abs(accuracies[0] - accuracy) < 1.5 and abs(accuracies[1] - of_int8) < 1.5
    for own, loss in zip(seen, losses, strict=True):
        assert abs(own["loss"] - loss) < 0.1
