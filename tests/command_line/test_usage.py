"""The command line: what it answers to words that name no command, and the examples in its help."""

import ast
import inspect
import re
import shlex

import pytest

import jlstm
from jlstm import cli, commands, usage
from jlstm.commands import COMMANDS


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_without_a_command_it_shows_what_it_can_do(words):
    answer = usage.answer(words, COMMANDS)
    assert re.findall(r"^  (\w+)  +[A-Z]", answer, re.MULTILINE) == list(COMMANDS)
    assert len(re.findall(r"^  jlstm .*# ", answer, re.MULTILINE)) == 3
    assert max(map(len, answer.splitlines())) <= 80
    for option in ("--help", "--version", usage.COMPLETION[0]):
        assert re.search(rf"^  {option} ", answer, re.MULTILINE)


def test_the_version_is_that_of_the_package():
    assert usage.answer(["--version"], COMMANDS) == f"jlstm {jlstm.__version__}"


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("trian", "there is no command 'trian'; did you mean 'train'?"),
        ("evaluate", "there is no command 'evaluate'; did you mean 'eval'?"),
        ("--verion", "there is no option '--verion'; did you mean '--version'?"),
        ("xyz", "there is no command 'xyz'; known: 'bench', 'check', "),
        ("", "there is no command ''; known: "),
    ],
)
def test_an_unknown_word_gets_a_suggestion(word, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        usage.answer([word, "digits.toml"], COMMANDS)


def examples():
    of_commands = {name: kind.__doc__.split("Example: ")[1] for name, kind in COMMANDS.items()}
    yield from ((name, " ".join(example.split())) for name, example in of_commands.items())
    yield from ((shlex.split(example)[1], example) for _, example in usage.EXAMPLES)


@pytest.mark.parametrize(("name", "example"), list(examples()))
def test_examples_of_every_command_are_commands(name, example):
    words = shlex.split(example)
    assert words[:2] == ["jlstm", name] and usage.answer(words[1:], COMMANDS) is None
    assert isinstance(cli.parsed(words[1:]), COMMANDS[name])


@pytest.fixture
def printed(monkeypatch, capsys):
    """What the command line prints in a terminal of some columns before it exits: (code, text)."""

    def run(*words, columns=80):
        monkeypatch.setenv("COLUMNS", str(columns))
        with pytest.raises(SystemExit) as end:
            cli.parsed(words)
        return end.value.code, "".join(capsys.readouterr())

    return run


@pytest.mark.parametrize("columns", [80, 100])
@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_the_terminal_and_breaks_no_words(printed, name, columns):
    code, text = printed(name, "--help", columns=columns)
    assert code == 0 and max(map(len, text.splitlines())) <= columns
    above = COMMANDS[name].__doc__.split("Example: ")[0]
    assert " ".join(text.split()).startswith(" ".join(above.split()))
    assert f"\n\nusage: jlstm {name} " in text and "\n\n\n" not in text
    example = next(example for command, example in examples() if command == name)
    assert f"\nexample:\n  {example}\n" in text


@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_what_to_type_in_words(printed, name):
    """No types of Python, no flags to turn off what is off, no default that is nothing."""
    _, text = printed(name, "--help")
    assert not re.findall(r"\b(?:STR|INT|FLOAT)\b|--no-|default: (?:None|False)", text)
    usage_line = re.search("usage: .*", text)[0]
    assert len(set(usage_line.split())) == len(usage_line.split()), "two arguments of one name"


def test_lines_of_the_text_of_an_option_end_with_a_sentence():
    """Help keeps these breaks."""
    texts = [
        node.value.value
        for node in ast.walk(ast.parse(inspect.getsource(commands)))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    ]
    of_options = [text for text in texts if "Example: " not in text and "pathlib" not in text]
    assert len(of_options) > 40
    for text in of_options:
        assert all(line.endswith((".", ":", "=")) for line in text.strip().splitlines()), text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["info", "--jsno"], "--json"),
        (["bench", "--onyl", "torch"], "--only NAME [NAME ...]"),
        (["sample", "runs/language"], "--prompt TEXT"),
        (["convert", "model.pt"], "OUT"),
    ],
)
def test_hints_are_those_of_the_command(printed, words, said):
    code, text = printed(*words)
    assert code == 2 and said in text
    assert set(re.findall(r"jlstm (\w+) --help", text)) == {words[0]}
    assert "jlstm --help" not in text


def test_a_shell_can_complete_every_command(printed):
    code, text = printed("--tyro-print-completion", "bash")
    assert not code and all(name in text for name in COMMANDS)


def test_names_of_repeated_options_add_up():
    words = ["bench", "--only", "torch", "keras", "--only", "flax nnx"]
    assert cli._flat("--only", cli.parsed(words).only) == ("torch", "keras", "flax nnx")
    words = ["export", "a.safetensors", "b", "--platforms", "cpu", "--platforms", "tpu"]
    assert cli._flat("--platforms", cli.parsed(words).platforms) == ("cpu", "tpu")
    with pytest.raises(ValueError, match="--only names nothing"):
        cli._flat("--only", cli.parsed(["bench", "--only"]).only)
