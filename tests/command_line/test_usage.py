"""The command line: what it answers to words that name no command, and the examples in its help."""

import re
import shlex

import pytest
import tyro

import jlstm
from jlstm import cli, usage
from jlstm.commands import COMMANDS, Command


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_without_a_command_it_shows_what_it_can_do(words):
    answer = usage.answer(words, COMMANDS)
    assert re.findall(r"^  (\w+)  +[A-Z]", answer, re.MULTILINE) == list(COMMANDS)
    assert len(re.findall(r"^  jlstm .*# ", answer, re.MULTILINE)) == 3
    assert max(map(len, answer.splitlines())) <= 80


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
    assert isinstance(tyro.cli(Command, args=words[1:]), COMMANDS[name])


def test_names_of_repeated_options_add_up():
    words = ["bench", "--only", "torch", "keras", "--only", "flax nnx"]
    assert cli._flat("--only", tyro.cli(Command, args=words).only) == ("torch", "keras", "flax nnx")
    words = ["export", "a.safetensors", "b", "--platforms", "cpu", "--platforms", "tpu"]
    assert cli._flat("--platforms", tyro.cli(Command, args=words).platforms) == ("cpu", "tpu")
    with pytest.raises(ValueError, match="--only names nothing"):
        cli._flat("--only", tyro.cli(Command, args=["bench", "--only"]).only)
