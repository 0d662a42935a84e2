"""Errors of all readers name the file, are safe to print, and fit on a screen."""

import pathlib

import pytest

from jlstm.interop.sources import in_words, naming


@pytest.mark.parametrize(
    ("words", "path", "wanted"),
    [
        ("no LSTM", "a.pt", "a.pt: no LSTM"),
        ("cannot read a.pt: it is gone", "a.pt", "cannot read a.pt: it is gone"),
        ("/b/a is damaged", "/b/a.index", "/b/a is damaged"),
        ("a cell is missing", "a.index", "a.index: a cell is missing"),
        ("it holds \x1b[31m", "a.pt", "a.pt: it holds \\x1b[31m"),
        ("no LSTM", "", "no LSTM"),
    ],
)
def test_errors_name_the_file_once(words, path, wanted):
    assert naming(words, path) == wanted


def test_long_errors_keep_their_beginning_and_end():
    made = naming("start " + "x" * 1_000_000 + " do this", "a.pt")
    assert len(made) < 2_000
    assert made.startswith("a.pt: start xxx")
    assert made.endswith("xxx do this")


@pytest.mark.parametrize("kind", [TypeError, ValueError])
def test_the_kind_of_an_error_is_kept(kind):
    @in_words
    def read(source):
        raise kind("no LSTM")

    for source in (pathlib.Path("a.pt"), "a.pt"):
        with pytest.raises(kind, match=r"^a\.pt: no LSTM$"):
            read(source)
        with pytest.raises(kind, match=r"^a\.pt: no LSTM$"):
            read(source=source)
    with pytest.raises(kind, match=r"^no LSTM$"):
        read({})
