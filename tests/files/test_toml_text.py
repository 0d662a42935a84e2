"""TOML that is not trusted: bounded before it is parsed, and otherwise what tomllib makes of it."""

import pathlib
import time
import tomllib
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jlstm
from jlstm.bench import cases
from jlstm.files import config_toml, toml_text
from tests.examples import examples

ROOT = pathlib.Path(__file__).parents[2]

PARTS, DEEP, WORD = "a key has more than 4 parts", "nested more than 8 deep", "a word of "
REFUSED = {
    "dotted key": (".".join("a" * 20_000) + " = 1", WORD),
    "dotted key with spaces": (" . ".join("a" * 20_000) + " = 1", PARTS),
    "dotted key in quotes": (".".join(['"a"', "'b'"] * 10_000) + " = 1", PARTS),
    "dotted key in a table": ("x = {" + ".".join(["aaaa"] * 5) + " = 1}", PARTS),
    "heading": ("[a.b.c.d.e]", PARTS),
    "heading of a list": ("[[" + " . ".join("a" * 20_000) + "]]", PARTS),
    "after strings": (
        'x = """\\""".""" \n y = \'\'\'"\'\'\'\' # .\n\na.a.a.a.a = 1',
        "line 4: " + PARTS,
    ),
    "arrays": ("a = " + "[" * 20_000, DEEP),
    "tables": ("a = " + "{a=" * 20_000, DEEP),
    "arrays over lines": ("a = " + "[\n" * 20_000, "line 9: .*" + DEEP),
    "headings": ("".join(f"[a{n}]\n" for n in range(20_001)), "line 20001: more than 20000 tables"),
    "tables of dotted headings": (
        "".join(f"[a{n}.b.c.d]\n" for n in range(7_000)),
        "line 6667: more than 20000 tables",
    ),
    "tables of dotted keys": ("".join(f"a{n}.b=1\n" for n in range(20_001)), "than 20000 tables"),
    "tables of keys in a table": ("a = [" + "{a.b.c.d=1}," * 5_001 + "]", "than 20000 tables"),
    "number": ("a = " + "9" * 5_000, WORD),
    "hexadecimal number": ("a = 0x" + "f" * 20_000, WORD),
    "no end": ('a = 1\nb = """' + '""a' * 200_000, "line 2: the string .* does not end"),
    "no ends": ("'\n" * 400_000, "line 1: the string .* does not end"),
    "long": (" " * 2_000_000, "more than 1048576 characters"),
    "key twice": (f'["{"k" * 100_000}"]\n' * 2, "is not valid TOML"),
    "unprintable": ("\x1b\0\u202e" * 100, WORD),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_take_long_is_refused_at_once_in_few_words(name):
    text, words = REFUSED[name]
    tracemalloc.start()
    start = time.process_time()
    with pytest.raises(ValueError, match=words) as refusal:
        toml_text.parsed(text, "m.toml")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert time.process_time() - start < 2
    assert peak < 50 * len(text) + 1_000_000
    assert str(refusal.value).startswith("m.toml") and len(str(refusal.value)) < 1_600
    assert str(refusal.value).isprintable()


def test_very_many_values_are_refused():
    with pytest.raises(ValueError, match=r"m\.toml, line 1: more than 100000 keys and items"):
        toml_text.parsed("a = [" + "1," * 100_001 + "]", "m.toml")


HARMLESS = {
    "dots in strings": 'a = "' + "a." * 100_000 + "\"\nb = '" + ".a" * 100_000 + "'",
    "dots in a comment": "#" + "." * 200_000,
    "brackets in strings": 'a = ["' + "[" * 100 + "\", '" + "{" * 100 + "', '''\n[[''' , 1.5]",
    "quotes in long strings": 'a = """"a""b\\"" "" """""\nb = \'\'\'\'\'"\'\'\'\'\'',
    "escaped ends": 'a = "\\\\" # "\nb = "\\"[[[[[[[[[[" ',
    "numbers": "a = [1.5, -2.5e-3, 1979-05-27T07:32:00.5Z, 0.5,\n 1.5,\n 1.5, 1.5]",
    "four parts": "[a.b]\nc.'d.d.d.d.d'.e.f = 1",
    "many numbers with dots": "\n".join(f"a{n} = [0.5, 1.5]" for n in range(15_000)),
    "both line ends": 'a = 1\r\nb = "x"\r\n[[c]]\r\n',
    "eight deep": "a = [[[[[[[[1]]]]]]]]",
}


@pytest.mark.parametrize("name", HARMLESS)
def test_everything_else_is_read_as_tomllib_reads_it(name):
    assert toml_text.parsed(HARMLESS[name], "m.toml") == tomllib.loads(HARMLESS[name])


@settings(max_examples=examples(200))
@given(
    st.lists(st.sampled_from(["a", "'", '"', '"""', "'''", "\\", "#", "\n", "=", "[", "]", "."]))
)
def test_no_text_is_taken_for_a_longer_string_than_it_is(pieces):
    """Of a valid text, what follows is seen: a key of many parts is found behind it."""
    text = "".join(pieces)
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    with pytest.raises(ValueError, match=f"{PARTS}|{DEEP}"):
        toml_text.parsed(text + "\nz.z.z.z.z = 1", "m.toml")


@pytest.mark.parametrize("path", sorted(ROOT.glob("*/**/*.toml")), ids=str)
def test_every_suite_and_config_of_the_project_is_read(path):
    assert config_toml.read(path) == tomllib.loads(path.read_text())


def test_every_reader_of_toml_bounds_it(tmp_path):
    path = tmp_path / "m.toml"
    path.write_text(" . ".join("a" * 20_000) + " = 1")
    for read in (config_toml.read, cases.from_file):
        with pytest.raises(ValueError, match=rf"m\.toml, line 1: {PARTS}"):
            read(path)
    with pytest.raises(ValueError, match=f"the config, line 1: {PARTS}"):
        config_toml.loads(path.read_text())


def test_an_endless_file_is_not_read_to_its_end():
    with pytest.raises(ValueError, match="/dev/zero has more than 1048576 characters"):
        config_toml.read("/dev/zero")


def test_the_largest_network_that_can_be_saved_is_read():
    config = jlstm.Config.stack(6, [4] * 1_400)
    text = config_toml.dumps(config)
    assert len(text) > 500_000
    assert config_toml.loads(text) == config
