"""The README does what it says, and CI runs what it says."""

import pathlib
import re
import warnings

import pytest

import jlstm
import jlstm.interop
from jlstm import cli
from jlstm.train import settings
from jlstm.train.data import sources

ROOT = pathlib.Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_ci_runs_exactly_the_commands_of_the_readme():
    commands = re.findall(r"^    (pip install .*)$", README, re.MULTILINE)
    ci = (ROOT / ".ci" / "run").read_text().splitlines()
    assert len(commands) == 2
    assert [line for line in ci if line in commands] == commands


def test_the_python_of_the_readme_runs():
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})


def test_the_python_of_the_guide_to_optimisers_runs():
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "optimizers.md").read_text(), re.S)
    assert len(blocks) == 7
    names = {}
    for block in blocks:
        exec(compile(block, "optimizers.md", "exec"), names)


def test_the_guide_to_other_frameworks_begins_with_a_report(capsys):
    pytest.importorskip("torch")
    page = (ROOT / "docs" / "porting.md").read_text()
    block = re.search(r"```python\n(.*?)```", page, re.DOTALL)[1]
    exec(compile(block, "porting.md", "exec"), {})
    (printed,) = re.findall(r"print\(report\)  # (.*)", block)
    assert capsys.readouterr().out == f"{printed}\n"


def test_the_readme_is_short_and_shows_code_early():
    lines = README.splitlines()
    assert len(lines) <= 120
    assert lines.index("```python") < 35


def test_links_lead_to_files_and_commands_exist():
    links = re.findall(r"\]\(([^)]+)\)", README)
    assert links and all((ROOT / link).is_file() for link in links)
    commands = re.findall(r"^    jlstm (\w+)", README, re.MULTILINE)
    trains = ["train", "eval", "predict", "sample"]
    assert commands == ["bench", "report", *trains, "convert", "export", "info", "check"]
    assert (ROOT / "configs" / "digits.toml").is_file()


def test_the_promises_about_files_name_what_is_there():
    text = (ROOT / "SECURITY.md").read_text()
    tests = re.findall(r"`(tests/[\w/.]+)`", text)
    assert len(tests) >= 4 and all((ROOT / path).exists() for path in tests)
    places = [jlstm, jlstm.interop]
    named = set(re.findall(r"`(?:jlstm\.)?(load\w*|from_(?!\*)\w+|export|params_\w+)`", text))
    assert len(named) >= 7
    assert all(any(hasattr(place, name) for place in places) for name in named)
    assert cli.TRACEBACK in text
    links = re.findall(r"\]\((\.\./\w+\.md)\)", (ROOT / "docs" / "porting.md").read_text())
    assert "../SECURITY.md" in links and all((ROOT / "docs" / link).is_file() for link in links)


def test_the_guide_to_scale_names_tests_and_sections_that_are_there():
    text = (ROOT / "docs" / "scale.md").read_text()
    paths = re.findall(r"(?:`| )((?:tests|benchmarks)/[\w/.]+py)", text)
    assert len(paths) >= 5 and all((ROOT / path).is_file() for path in paths)
    links = re.findall(r"\]\(accelerators\.md#([\w-]+)\)", text)
    titles = re.findall(r"^## (.*)$", (ROOT / "docs" / "accelerators.md").read_text(), re.MULTILINE)
    assert links and set(links) <= {title.lower().replace(" ", "-") for title in titles}


def test_the_guide_to_contributing_names_files_that_are_there():
    guide = (ROOT / "CONTRIBUTING.md").read_text()
    named = re.findall(r"(?:`|^    .*?)((?:\w+/)+(?:\w+\.\w+)?)(?:`|\s)", guide, re.MULTILINE)
    assert len(named) > 20
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_every_config_opens_with_its_command_and_expected_result():
    for path in (ROOT / "configs").glob("*.toml"):
        lines = path.read_text().splitlines()
        assert lines[0] == f"# jlstm train configs/{path.name}"
        head = " ".join(line.lstrip("# ") for line in lines[1:6])
        assert re.search(r"CPU cores\b.*(\d %|error .* is \d)", head), path.name


@pytest.mark.parametrize("name", ["digits", "forecast", "language", "sequences"])
def test_the_configs_fit_their_data(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    tables = settings.read(ROOT / "configs" / f"{name}.toml")
    settings.require_valid(tables)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a text has characters that only its end has
        made = settings.resolved(tables, sources.load(tables["data"]))
    assert made.train.out == f"runs/{name}"


def test_every_config_of_a_paper_opens_with_its_command_figure_and_result():
    for path in (ROOT / "configs" / "papers").glob("*.toml"):
        text = path.read_text()
        head = text[: text.index("\n[data]")].splitlines()
        assert head[0] == f"# jlstm train configs/papers/{path.name}"
        assert all(line.startswith("#") for line in head if line)
        for opening in ("# Source: ", "# Figure: ", "# Ours", "# A run takes "):
            assert any(line.startswith(opening) for line in head), (path.name, opening)
