"""Reads the voices of a score in MusicXML, plain (.xml) or compressed (.mxl)."""

import os
import pathlib
import xml.etree.ElementTree as ET
import zipfile
import zlib
from fractions import Fraction
from typing import NamedTuple

_LARGEST = 1 << 26  # bytes of a score; a chorale has some 200,000
_STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


class Note(NamedTuple):
    """A note, with its time in quarter notes from the beginning of the score.

    Attributes:
      begin, end: the note sounds from `begin` until before `end`.
      pitch: the number of the note in MIDI. 60 is the middle C, and a semitone is 1.
    """

    begin: Fraction
    end: Fraction
    pitch: int


class Voice(NamedTuple):
    """The notes of a part, in their order, and when its last measure ends, in quarter notes."""

    notes: list[Note]
    end: Fraction


def voices(path: str | os.PathLike[str]) -> dict[str, Voice]:
    """The voices of a score by their names. Repeats are read once.

    Only the first note of a chord is read. Grace notes are left out. If several parts have the same
    name, the last one is returned.

    Raises:
      ValueError: the file cannot be read, or is no score in MusicXML.
    """
    try:
        score = ET.fromstring(_content(path))
        names = {one.get("id"): one.findtext("part-name") for one in score.iter("score-part")}
        return {names[part.get("id")] or "": _voice(part) for part in score.iterfind("part")}
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror}") from None
    except (
        *(ET.ParseError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError),
        *(ArithmeticError, KeyError, TypeError, ValueError),
    ) as error:
        raise ValueError(f"{path}: is no score in MusicXML, or damaged: {error!r}") from None


def _content(path: str | os.PathLike[str]) -> bytes:
    """The XML text of a score."""
    if pathlib.Path(path).suffix != ".mxl":
        if (size := os.path.getsize(path)) > _LARGEST:
            raise ValueError(f"{size} bytes; expected at most {_LARGEST}")
        return pathlib.Path(path).read_bytes()
    with zipfile.ZipFile(path) as archive:
        entries = [
            info
            for info in archive.infolist()
            if info.filename.endswith("xml") and not info.filename.startswith("META-INF")
        ]
        if len(entries) != 1 or entries[0].file_size > _LARGEST:
            raise ValueError(
                f"{[(info.filename, info.file_size) for info in entries]} in the archive; expected "
                f"one entry of XML, of at most {_LARGEST} bytes"
            )
        return archive.read(entries[0])


def _voice(part: ET.Element) -> Voice:
    notes, division, begin = [], 1, Fraction(0)
    for measure in part.iterfind("measure"):
        now = end = begin
        for element in measure:
            if element.tag == "attributes":
                division = int(element.findtext("divisions") or division)
            if element.tag not in ("note", "backup", "forward"):
                continue
            if element.find("grace") is not None or element.find("chord") is not None:
                continue
            duration = Fraction(int(element.findtext("duration") or 0), division)
            if element.tag == "backup":
                now -= duration
                continue
            if (pitch := element.find("pitch")) is not None:
                notes.append(Note(now, now + duration, _number(pitch)))
            now += duration
            end = max(end, now)
        begin = end
    return Voice(sorted(notes), begin)


def _number(pitch: ET.Element) -> int:
    step, octave = pitch.findtext("step") or "", int(pitch.findtext("octave") or "")
    return _STEPS[step] + int(pitch.findtext("alter") or 0) + 12 * (octave + 1)
