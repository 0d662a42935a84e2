"""Every example runs, and learns or shows what it says."""

import ast
import importlib.util
import pathlib

import pytest

EXAMPLES = sorted((pathlib.Path(__file__).parent.parent / "examples").glob("*.py"))


def example(name):
    """The module of an example."""
    path = next(path for path in EXAMPLES if path.stem == name)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_short_and_opens_with_its_command(path):
    text = path.read_text()
    assert len(text.splitlines()) < 80
    described = ast.get_docstring(ast.parse(text))
    assert f"\n    python examples/{path.name} " in described


def test_every_example_is_run():
    run = {name.removeprefix("test_the_") for name in globals() if name.startswith("test_the_")}
    assert run == {path.stem for path in EXAMPLES}


def test_the_forecaster(capsys):
    figures = example("forecaster").main(steps=30, hidden_size=8)
    assert 0 < figures["mean absolute error"] < figures["of repeating the last value"]
    assert 0 < figures["between the outer quantiles"] < 1
    assert len(capsys.readouterr().out.splitlines()) == 3


@pytest.mark.full
def test_the_character_model(tmp_path):
    path = tmp_path / "text"
    path.write_text("one two three four. " * 300)
    bits, sample = example("character_model").main(
        steps=60, hidden_size=32, prompt="one", length=20, path=str(path)
    )
    assert bits < 1.5  # log2 of its 13 characters is 3.7
    assert sample.startswith("one") and len(sample) == 23


@pytest.mark.full
def test_the_recurrent_policy():
    module = example("recurrent_policy")
    assert module.main(120) > 0.9
    assert 0.4 < module.main(60, 0) < 0.6


@pytest.mark.full
def test_the_torch_tagger(capsys):
    pytest.importorskip("torch")
    assert example("torch_tagger").main(20) < 1e-5
    assert "%" in capsys.readouterr().out


@pytest.mark.full
def test_the_checkpoints():
    assert example("checkpoints").main(steps=8)


@pytest.mark.full
def test_the_linen_classifier():
    assert example("linen_classifier").main(100) > 0.85


@pytest.mark.full
def test_the_nnx_tagger(capsys):
    assert example("nnx_tagger").main(100) > 0.95
    assert capsys.readouterr().out.endswith("( open\n) open\n) closed\n")
