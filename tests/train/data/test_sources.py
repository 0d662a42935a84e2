"""Names of data sources, and the options that a TOML file gives them."""

import inspect
import pathlib
import tomllib
import typing

import pytest

from jlstm.files import toml_writing
from jlstm.train.data import sources
from jlstm.train.data.split import Data


def from_toml(text):
    return sources.load(tomllib.loads(text))


@pytest.mark.parametrize("name", sources.SOURCES)
def test_every_name_stands_for_a_function_that_returns_data(name):
    function = sources.source(name)
    assert typing.get_type_hints(function)["return"] is Data
    kinds = {parameter.kind for parameter in inspect.signature(function).parameters.values()}
    assert kinds == {inspect.Parameter.KEYWORD_ONLY}
    assert "source" not in inspect.signature(function).parameters


@pytest.mark.parametrize("name", sources.SOURCES)
def test_defaults_can_be_written_to_a_config_and_read_again(name):
    full = sources.with_defaults({"source": name})
    function = sources.source(name)
    hints = typing.get_type_hints(function)
    for option, parameter in inspect.signature(function).parameters.items():
        assert (option in full) == (parameter.default not in (None, inspect.Parameter.empty))
    assert all(sources._fits(full[option], hints[option]) for option in full if option != "source")
    assert tomllib.loads(toml_writing.dumps({"data": full})) == {"data": full}
    assert sources.with_defaults(full) == full


def test_the_names_are_sorted():
    assert list(sources.SOURCES) == sorted(sources.SOURCES)


def test_a_table_is_passed_on():
    data = from_toml('source = "adding"\nsteps = 7\ntrain = 3\ntest = 0\nseed = 5')
    same = sources.source("adding")(steps=7, train=3, test=0, seed=5)
    assert data.train.xs.shape == (3, 7, 2) and data.test is None
    assert (data.train.xs == same.train.xs).all()


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("", ValueError, "[data] lacks the key 'source'"),
        ('source = "ading"', ValueError, "did you mean 'adding'?"),
        ("source = 3", TypeError, "[data] source is 3; expected a name"),
        ('source = "adding"\nstep = 3', ValueError, "no option 'step'; did you mean 'steps'?"),
        ('source = "adding"\nsteps = "3"', TypeError, "steps is '3'; expected a whole number"),
        ('source = "adding"\nsteps = 3.0', TypeError, "steps is 3.0; expected a whole number"),
        ('source = "adding"\nsteps = true', TypeError, "steps is True; expected a whole number"),
        ('source = "adding"\nsteps = [3]', TypeError, "steps is [3]; expected a whole number"),
        (
            'source = "adding"\nsteps = 1',
            ValueError,
            "steps is 1; expected a whole number of at least 2",
        ),
        ('source = "adding"\ntrain = 0', ValueError, "train is 0; expected a whole number of at"),
        ('source = "adding"\ntest = -1', ValueError, "test is -1"),
        ('source = "adding"\nseed = -1', ValueError, "seed is -1"),
        ('source = "copy_memory"\ninputs = 1', TypeError, "expected 'number' or 'one_hot' or"),
        ('source = "copy_memory"\ninputs = "tokns"', ValueError, "did you mean 'tokens'?"),
        ('source = "temporal_order"\nrelevant = 4', ValueError, "relevant is 4; expected 2"),
    ],
)
def test_errors_name_the_option_and_the_remedy(text, kind, said):
    with pytest.raises(kind) as caught:
        from_toml(text)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_table_is_a_table():
    with pytest.raises(TypeError, match="expected a table of options"):
        sources.load(["adding"])


@pytest.mark.parametrize(
    ("value", "hint", "fits"),
    [
        (1, float, True),
        (True, float, False),
        ("x", str | None, True),
        (1, str | None, False),
        (1, int | float | str, True),
        (["a", "b"], list[str], True),
        (["a", 1], list[str], False),
        (["a", "b"], tuple[str, ...], True),
        ("ab", tuple[str, ...], False),
        (1, tuple[str, ...] | str, False),
        ("one", typing.Literal["one"], True),
        (2, typing.Literal["one"], False),
        ({"a": 1}, dict[str, int], True),
        ("a", dict[str, int], False),
        ("a.csv", pathlib.Path, True),
        (1, typing.Any, True),
    ],
)
def test_types_of_options(value, hint, fits):
    assert sources._fits(value, hint) is fits


def test_an_option_without_a_default_is_asked_for(monkeypatch):
    def needy(*, path: str) -> Data:
        raise AssertionError(path)

    monkeypatch.setattr(sources, "source", lambda name: needy)
    with pytest.raises(ValueError, match=r"lacks the key 'path'; add a line 'path = \.\.\.'"):
        sources.load({"source": "needy"})
    with pytest.raises(TypeError, match="path is 3; expected text in quotes"):
        sources.load({"source": "needy", "path": 3})


def test_a_table_of_a_programs_own_data_has_no_defaults():
    """It may name a source that no config can load, or none."""
    for table in ({}, {"source": "drawn", "size": 3}):
        assert sources.with_defaults(table) == table
