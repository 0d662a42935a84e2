"""Texts become tokens, and tokens texts."""

import numpy as np
import pytest

from jlstm.train.data import vocabulary

NOTES = ("\n", "C4 ", "C#4 ", "C", "D4 ")


@pytest.mark.parametrize(
    ("text", "known", "tokens"),
    [
        ("abba", ("b", "a"), [1, 0, 0, 1]),
        ("", ("a",), []),
        ("äa\U0001f600\n", vocabulary.characters("a\nä\U0001f600"), [3, 2, 4, 1]),
        ("aé", vocabulary.BYTES, [97, 0xC3, 0xA9]),
        ("C4 C#4 C\nD4 ", NOTES, [1, 2, 3, 0, 4]),
    ],
)
def test_tokens_give_the_text_again(text, known, tokens):
    read = vocabulary.encode(text, known)
    assert read.dtype == "int32"
    np.testing.assert_array_equal(read, tokens)
    assert vocabulary.decode(read, known) == text


def test_long_texts_are_converted_in_blocks(monkeypatch):
    monkeypatch.setattr(vocabulary, "_BLOCK", 3)
    known = vocabulary.characters("abc")
    np.testing.assert_array_equal(vocabulary.encode("abcxcba?", known), [1, 2, 3, 0, 3, 2, 1, 0])


def test_bytes_that_are_no_text():
    assert vocabulary.decode([97, 0xC3], vocabulary.BYTES) == "a" + vocabulary.UNKNOWN
    np.testing.assert_array_equal(vocabulary.encode("a\udcc3", vocabulary.BYTES), [97, 0xC3])


@pytest.mark.parametrize(
    ("text", "known", "message"),
    [("abx", ("a", "b"), "the text 'x' is not"), ("C4 E4 ", NOTES, "the text 'E4 ' is not")],
)
def test_without_a_token_for_the_unknown_it_is_refused(text, known, message):
    with pytest.raises(ValueError, match=message):
        vocabulary.encode(text, known)


@pytest.mark.parametrize("known", [("b", "a"), vocabulary.BYTES])
def test_a_token_that_is_not_in_the_vocabulary_is_refused(known):
    for token in (-1, len(known)):
        with pytest.raises(ValueError, match=f"token {token} is not in the vocabulary; expected 0"):
            vocabulary.decode([0, token], known)


def test_what_is_no_text_is_refused():
    for function in (vocabulary.characters, lambda text: vocabulary.encode(text, ("a",))):
        with pytest.raises(TypeError, match="the text is b'a'; expected a str"):
            function(b"a")
