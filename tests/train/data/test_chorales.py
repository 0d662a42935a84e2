"""Chorales that music21 brings with it, and scores in MusicXML."""

import importlib.util
import zipfile

import numpy as np
import pytest

from jlstm.train.data import chorales, musicxml, vocabulary

needs_music21 = pytest.mark.skipif(
    importlib.util.find_spec("music21") is None, reason="needs music21"
)
VOICES = ("Soprano", "Alto", "Tenor", "Bass")


def note(pitch, duration, extra=""):
    if pitch:
        step, *alter, octave = pitch
        alter = f"<alter>{dict(zip('#b', (1, -1), strict=True))[alter[0]]}</alter>" if alter else ""
        sound = f"<pitch><step>{step}</step>{alter}<octave>{octave}</octave></pitch>"
    else:
        sound = "<rest/>"
    return f"<note>{extra}{sound}<duration>{duration}</duration></note>"


def score(*parts):
    """A score of named parts, each the texts of its measures, of which the first has divisions."""
    names = "".join(
        f'<score-part id="P{n}"><part-name>{name}</part-name></score-part>'
        for n, (name, *_) in enumerate(parts)
    )
    content = "".join(
        f'<part id="P{n}">{"".join(f"<measure>{one}</measure>" for one in measures)}</part>'
        for n, (_, *measures) in enumerate(parts)
    )
    return f"<score-partwise><part-list>{names}</part-list>{content}</score-partwise>"


def divisions(n):
    return f"<attributes><divisions>{n}</divisions></attributes>"


def small(soprano="C5"):
    """Three quarter notes: a half note, then two eighths, above a rest."""
    melody = divisions(2) + note(soprano, 4) + note("D5", 1) + note("Eb5", 1)
    others = [(name, divisions(1) + note(None, 3)) for name in ("Tenor", "Bass", "Violin")]
    alto = divisions(1) + note("A3", 1), note("A3", 2)
    return score(("Soprano", melody), ("Alto", *alto), *others)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package with a corpus of scores, which are to be written into this folder."""
    folder = tmp_path / "corpus" / "bach"
    folder.mkdir(parents=True)
    spec = importlib.util.spec_from_file_location("music21", tmp_path / "__init__.py")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    return folder


def test_a_voice_has_its_notes_in_quarters(tmp_path):
    measures = (
        divisions(4)
        + note("F#4", 6)
        + note("C3", 6, "<chord/>")
        + note("B4", 0, "<grace/>")
        + note(None, 1)
        + note("Cb4", 1),
        divisions(3) + note("B3", 3) + "<backup><duration>2</duration></backup>" + note("C4", 1),
        "<forward><duration>3</duration></forward>" + note("D4", 1),
    )
    (tmp_path / "a.xml").write_text(score(("Alto", *measures)))
    voice = musicxml.voices(tmp_path / "a.xml")["Alto"]
    assert voice.notes == [
        (0, 1.5, 66),
        (1.75, 2, 59),
        (2, 3, 59),
        (2 + musicxml.Fraction(1, 3), 2 + musicxml.Fraction(2, 3), 60),
        (4, 4 + musicxml.Fraction(1, 3), 62),
    ]
    assert voice.end == 4 + musicxml.Fraction(1, 3)


def test_a_step_is_four_tokens(package):
    (package / "bwv1.xml").write_text(small())
    train, valid, test, meaning, _ = chorales.chorales(valid=0, test=0)
    assert valid is test is None and train.tokens.dtype == "int32"
    assert vocabulary.decode(train.tokens, meaning.vocabulary) == (
        "\n" + "C5 A3 - - " * 4 + "D5 A3 - - " + "D#5 A3 - - " + "\n"
    )
    quarters = chorales.chorales(steps_per_quarter=1, valid=0, test=0).train
    assert vocabulary.decode(quarters.tokens, meaning.vocabulary) == (
        "\n" + "C5 A3 - - " * 2 + "D5 A3 - - " + "\n"
    )
    np.testing.assert_array_equal(
        vocabulary.encode("\nC2 A5 - ", meaning.vocabulary), [0, 2, 47, 1]
    )


def test_chorales_that_repeat_another_or_lack_a_voice_are_left_out(package):
    for n, soprano in enumerate(("C5", "E5", "E5", "G5")):
        (package / f"bwv{n}.xml").write_text(small(soprano))
    octave_lower = small().replace("<octave>3", "<octave>2").replace("<octave>5", "<octave>4")
    (package / "bwv6.xml").write_text(octave_lower)
    shifted = small("F5").replace("D</step>", "G</step>")  # not a transposition of the others
    (package / "bwv4.xml").write_text(shifted.replace("Bass", "Organ"))
    with zipfile.ZipFile(package / "bwv5.mxl", "w") as archive:
        archive.writestr("META-INF/container.xml", "<container/>")
        archive.writestr("bwv5.musicxml", shifted)
    data = chorales.chorales(valid=1, test=1)
    assert [len(part.tokens) for part in data[:3]] == [51, 26, 26]
    again, other = chorales.chorales(valid=1, test=1), chorales.chorales(valid=1, test=1, seed=2)
    np.testing.assert_array_equal(again.train.tokens, data.train.tokens)
    assert (other.train.tokens != data.train.tokens).any()
    first = {vocabulary.decode(p.tokens, data.meaning.vocabulary).split()[0] for p in data[1:3]}
    assert first < {"C5", "E5", "F5", "G5"} and len(first) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps_per_quarter": 3}, "steps_per_quarter is 3; expected 1, 2 or 4"),
        ({"valid": -1}, "valid is -1"),
        ({"valid": 1, "test": 0}, "valid is 1 and test is 0, of 1 chorales"),
    ],
)
def test_options_out_of_range_are_refused(package, options, message):
    (package / "bwv1.xml").write_text(small())
    with pytest.raises(ValueError, match=message):
        chorales.chorales(**options)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("bwv1.xml", "<score", "is no score in MusicXML, or damaged"),
        ("bwv1.xml", small().replace("<step>C", "<step>H"), "KeyError"),
        ("bwv1.xml", small().replace("<divisions>2", "<divisions>0"), "ZeroDivisionError"),
        ("bwv1.xml", small("C7"), "the Soprano has the pitch 96; expected 36 to 81"),
        ("bwv1.mxl", "PK", "is no score in MusicXML, or damaged"),
        ("README", "", "has no scores; .* pip install --force-reinstall"),
    ],
)
def test_bad_scores_are_refused(package, name, content, message):
    (package / name).write_text(content)
    with pytest.raises(ValueError, match=message) as caught:
        chorales.chorales(valid=0, test=0)
    assert str(caught.value).startswith(str(package))


def test_without_music21_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"which is not installed: pip install music21$"):
        chorales.chorales()


@pytest.mark.full  # reads 400 scores
@needs_music21
def test_the_chorales_of_music21():
    train, valid, test, meaning, _ = chorales.chorales()
    counts = [np.count_nonzero(part.tokens == 0) - 1 for part in (train, valid, test)]
    assert counts[1:] == [40, 40] and counts[0] > 300
    assert len(meaning.vocabulary) == 48
    for part in (train, valid, test):
        pieces = np.split(part.tokens, np.flatnonzero(part.tokens == 0))
        assert all(len(piece) % 4 == 1 for piece in pieces[1:])


@pytest.mark.full  # importing music21 takes seconds
@pytest.mark.filterwarnings("ignore")
@needs_music21
@pytest.mark.parametrize("name", ["bwv66.6", "bwv1.6", "bwv248.59-6", "bwv67.4"])
def test_music21_reads_the_same_notes(name):
    from music21 import corpus

    theirs = corpus.parse(f"bach/{name}")
    ours = musicxml.voices(corpus.getWork(f"bach/{name}"))
    for voice in VOICES:
        (part,) = [part for part in theirs.parts if part.partName == voice]
        assert [(float(begin), float(end), pitch) for begin, end, pitch in ours[voice].notes] == [
            (float(one.offset), float(one.offset + one.quarterLength), one.pitch.midi)
            for one in part.flatten().notes
        ]
