"""Text files, and the compressed one of Debian's bible-kjv-text."""

import hashlib
import os
import struct

import numpy as np
import pytest

from jlstm.train.data import text, verses, vocabulary

BIBLE = os.environ.get("BIBLE_DATA", "/usr/lib/bible.data")


def written(folder, content):
    path = folder / "text.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def said(stream, meaning):
    return vocabulary.decode(stream.tokens, meaning.vocabulary)


def test_parts_follow_each_other(tmp_path):
    words = "the quick brown fox\njumps over the lazy dög\n" * 5
    path = written(tmp_path, words)
    train, valid, test, meaning, _ = text.text(path=path, valid=0.1, test=0.2)
    assert [len(part.tokens) for part in (train, valid, test)] == [154, 22, 44]
    assert train.tokens.dtype == test.tokens.dtype == "int32"
    assert "".join(said(part, meaning) for part in (train, valid, test)) == words
    assert meaning.vocabulary == (vocabulary.UNKNOWN, *sorted(set(words)))


def test_parts_that_nobody_asks_for_are_none(tmp_path):
    data = text.text(path=written(tmp_path, "ab"), valid=0, test=0)
    assert data.valid is data.test is None
    np.testing.assert_array_equal(data.train.tokens, [1, 2])


def test_characters_that_only_the_test_part_has_are_unknown_and_said(tmp_path):
    path = written(tmp_path, "abcdefgh" + "aböü" + "üa")
    said = r"text\.txt: these .*: '\\xf6', '\\xfc'\. The other parts have 3 of them$"
    with pytest.warns(UserWarning, match=said):
        data = text.text(path=path, valid=0.3, test=0.15)
    np.testing.assert_array_equal(data.valid.tokens, [1, 2, 0, 0])
    np.testing.assert_array_equal(data.test.tokens, [0, 1])
    assert data.meaning.vocabulary == (vocabulary.UNKNOWN, *"abcdefgh")


def test_bytes_need_no_text(tmp_path):
    content = bytes(range(256))
    data = text.text(path=written(tmp_path, content), level="bytes", valid=0, test=0.5)
    np.testing.assert_array_equal(data.train.tokens, np.arange(128))
    np.testing.assert_array_equal(data.test.tokens, np.arange(128, 256))
    assert data.train.tokens.dtype == "int32" and len(data.meaning.vocabulary) == 256


def test_a_mark_of_utf_8_is_no_text(tmp_path):
    data = text.text(path=written(tmp_path, b"\xef\xbb\xbfab"), valid=0, test=0)
    assert said(data.train, data.meaning) == "ab"


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (b"", {}, "the file is empty"),
        (b"good\nb\xe4d", {}, "line 2: byte 6 of the file, 0xe4, is not UTF-8.*level = 'bytes'"),
        (b"\xef\xbb\xbfb\xe4d", {}, "line 1: byte 4 of the file, 0xe4, is not UTF-8"),
        (b"abcdefghij", {}, "the valid part would have 0 of 10 characters; expected at least 2"),
        (b"abcdefghij", {"valid": 0, "test": 0.1}, "the test part would have 1 of 10"),
        (b"abcdefghij", {"valid": 0.5, "test": 0.5}, "the train part would have 0 of 10"),
        (b"abcdefghij", {"valid": 0.9, "test": 0.9}, "the train part would have 0 of 10"),
        (b"abcdefghij", {"valid": 1}, r"valid is 1\.0; expected a finite number"),
        (b"abcdefghij", {"level": "words"}, "level is 'words', which is not known"),
    ],
)
def test_bad_files_and_options_are_refused(tmp_path, content, options, message):
    with pytest.raises(ValueError, match=message):
        text.text(path=written(tmp_path, content), **options)


def test_missing_files_say_how_to_get_them(tmp_path):
    with pytest.raises(ValueError, match=r"none\.txt: cannot be read: No such file"):
        text.text(path=str(tmp_path / "none.txt"))
    with pytest.raises(ValueError, match="apt install bible-kjv-text"):
        text.bible(path=str(tmp_path / "none"))


def compressed(words, most_codes=1 << 16):
    """Words as Unix's `compress` packs them. The table is emptied after `most_codes`."""
    table, bits, free, codes = {bytes([n]): n for n in range(256)}, 9, 257, []
    packed, before = b"", b""

    def close():
        nonlocal packed, codes
        number = sum(code << n * bits for n, code in enumerate(codes))
        packed += number.to_bytes(
            bits if len(codes) == 8 else (len(codes) * bits + 7) // 8, "little"
        )
        codes = []

    def put(code):
        codes.append(code)
        if len(codes) == 8:
            close()

    def turn():
        """The rest of a group stays empty, as the number of bits changes after it."""
        nonlocal packed
        if codes:
            start = len(packed)
            close()
            packed = packed.ljust(start + bits, b"\0")

    for n in range(len(words)):
        one = words[n : n + 1]
        if before + one in table:
            before += one
            continue
        put(table[before])
        # The reader's table is one entry behind.
        if free >= (1 << bits) and bits < 16:
            turn()
            bits += 1
        table[before + one] = free
        free += 1
        before = one
        if free >= most_codes:
            put(table[before])
            put(256)
            turn()
            table, bits, free, before = {bytes([n]): n for n in range(256)}, 9, 257, b""
    if before:
        put(table[before])
    if codes:
        close()
    return packed


WORDS = [
    b"",
    b"a",
    b"aaaaaaaaaaaaaaaaaaaaaa",
    b"In the beginning was the Word, and the Word was with God",
    np.random.default_rng(0).integers(97, 101, 9000, "uint8").tobytes(),
]


@pytest.mark.parametrize("words", WORDS, ids=len)
@pytest.mark.parametrize("most_codes", [1 << 16, 600])
def test_windows_are_unpacked(words, most_codes):
    assert verses.unpacked(compressed(words, most_codes), len(words)) == words


def file_of(*windows, size=64):
    packed = [compressed(window) for window in windows]
    begin = 92 + 4 * (len(packed) + 1)
    places = [begin + sum(map(len, packed[:n])) for n in range(len(packed) + 1)]
    header = b"EC02".ljust(84, b"\0") + struct.pack(">2I", size, len(packed))
    return header + struct.pack(f">{len(places)}I", *places) + b"".join(packed)


GOOD = file_of(b"A title\nGe1:1 In the beginning\n", b"1Co2:13 Now 3 abide\n")


def test_verses_lose_their_numbers_and_the_title():
    assert verses.read("bible.data", GOOD) == b"In the beginning\nNow 3 abide\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"text", "begins with b'text'; expected b'EC02'"),
        (GOOD[:80], "is damaged"),
        (GOOD[:100], "is damaged"),
        (GOOD[:-1], "its windows do not end where the file does"),
        (GOOD.replace(struct.pack(">I", 64), b"\xff" * 4), "windows of 4294967295 bytes"),
        (GOOD.replace(struct.pack(">2I", 64, 2), struct.pack(">2I", 30, 2)), "more than 30 bytes"),
        (GOOD[:88] + b"\xff" * 4 + GOOD[92:], "is damaged"),
        (GOOD[:104] + b"\xff" * (len(GOOD) - 104), "code 511 in a table of 257"),
    ],
    ids=lambda value: value if isinstance(value, str) else "content",
)
def test_damaged_files_of_verses_are_refused(content, message):
    with pytest.raises(ValueError, match=message) as caught:
        verses.read("bible.data", content)
    assert str(caught.value).startswith("bible.data: ")


@pytest.mark.full  # unpacks for two seconds
@pytest.mark.skipif(
    not os.path.exists(BIBLE),
    reason="needs Debian's bible-kjv-text; BIBLE_DATA may name another path of its file",
)
def test_debian_bible_has_the_verses_that_its_own_program_prints():
    train, valid, test, meaning, _ = text.bible(path=BIBLE)
    assert [len(part.tokens) for part in (train, valid, test)] == [3724066, 206892, 206892]
    whole = "".join(said(part, meaning) for part in (train, valid, test))
    assert whole.startswith("In the beginning God created the heaven and the earth.\nAnd the earth")
    assert whole.endswith("\nThe grace of our Lord Jesus Christ be with you all. Amen.\n")
    assert len(meaning.vocabulary) == 64 and whole.count("\n") == 31102
    # Of what `bible -f` prints for gen1:1-rev22:21, without the numbers.
    assert hashlib.sha256(whole.encode()).hexdigest() == (
        "b5c4940bcfeee072c0935b5200d0f9d88a00a0199cb0961d16133458fcdfae5d"
    )
