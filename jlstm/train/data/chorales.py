"""Chorales of Bach, whose scores are files of the package music21.

The scores are read from the installed package, without music21: 5 seconds instead of minutes.
"""

import importlib.util
import math
import pathlib

import numpy as np

from jlstm import validation
from jlstm.train.data import musicxml
from jlstm.train.data.split import Data, Meaning, Stream

_VOICES = ("Soprano", "Alto", "Tenor", "Bass")
_LOWEST, _HIGHEST = 36, 81  # C2 and A5
_END, _REST, _FIRST = 0, 1, 2
_NAMES = ["C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"]
_VOCABULARY = (
    "\n",
    "- ",
    *(f"{_NAMES[n % 12]}{n // 12 - 1} " for n in range(_LOWEST, _HIGHEST + 1)),
)


def chorales(*, steps_per_quarter: int = 2, valid: int = 40, test: int = 40, seed: int = 0) -> Data:
    """About 400 chorales of Bach for four voices, for the task language: what is the next note?

    A chorale is divided into steps of equal duration. Each step is four tokens: the notes that
    sound when it begins, of soprano, alto, tenor and bass. A chorale ends with the token "\\n", and
    each part of the data begins with it. Other tokens are the 46 notes from "C2 " to "A5 ", and
    "- " for a rest. A note that goes on and a note that is struck again are the same token.

    A score that lacks one of the four voices is left out. Other instruments are not read. A chorale
    that equals another one, in the same or another key, is left out. Repeats within a chorale are
    read once.

    Args:
      steps_per_quarter: steps for each quarter note: 1, 2 or 4.
      valid: the number of chorales to choose the best model by. With 0, there is no such part.
      test: the number of chorales to measure the chosen model by. With 0, there is no such part.
      seed: of the order of the chorales, and so of their parts.

    Raises:
      ImportError: music21 is not installed.
      TypeError: an option is of the wrong type.
      ValueError: an option is out of range, or no chorale is left to train on; or the scores are
        missing or damaged.
    """
    if validation.integer("steps_per_quarter", steps_per_quarter) not in (1, 2, 4):
        raise ValueError(f"steps_per_quarter is {steps_per_quarter}; expected 1, 2 or 4")
    for name, value in (("valid", valid), ("test", test), ("seed", seed)):
        validation.number(name, validation.integer(name, value), low=0)
    pieces = {}
    for path in _scores():
        tokens = _tokens(path, musicxml.voices(path), steps_per_quarter)
        if tokens is not None:
            notes = tokens[tokens >= _FIRST]
            pieces.setdefault(
                (np.where(tokens < _FIRST, -99, tokens - notes[:1])).tobytes(), tokens
            )
    if valid + test >= len(pieces):
        raise ValueError(
            f"valid is {valid} and test is {test}, of {len(pieces)} chorales; expected that at "
            "least one is left to train on"
        )
    order = np.random.default_rng(seed).permutation(len(pieces))
    mixed = [[*pieces.values()][n] for n in order]
    streams = [
        _stream(part) for part in (mixed[valid + test :], mixed[:valid], mixed[valid:][:test])
    ]
    return Data(
        streams[0],
        streams[1] if valid else None,
        streams[2] if test else None,
        Meaning(vocabulary=_VOCABULARY),
    )


def _scores() -> list[pathlib.Path]:
    spec = importlib.util.find_spec("music21")
    if spec is None or spec.origin is None:
        raise ImportError(
            "the chorales are part of the package music21, which is not installed: "
            "pip install music21"
        )
    folder = pathlib.Path(spec.origin).parent / "corpus" / "bach"
    found = sorted(path for path in folder.glob("bwv*") if path.suffix in (".mxl", ".xml"))
    if not found:
        raise ValueError(
            f"{folder}: has no scores; this installation of music21 lacks its corpus. Install it "
            "anew: pip install --force-reinstall --no-deps music21"
        )
    return found


def _tokens(
    path: pathlib.Path, parts: dict[str, musicxml.Voice], steps_per_quarter: int
) -> np.ndarray | None:
    """The tokens of a chorale, int32 [steps, 4]. None: it lacks one of the voices."""
    if not parts.keys() >= set(_VOICES):
        return None
    steps = math.ceil(max(parts[name].end for name in _VOICES) * steps_per_quarter)
    tokens = np.full((steps, len(_VOICES)), _REST, "int32")
    for voice, name in enumerate(_VOICES):
        for note in parts[name].notes:
            if not _LOWEST <= note.pitch <= _HIGHEST:
                raise ValueError(
                    f"{path}: the {name} has the pitch {note.pitch}; expected {_LOWEST} to "
                    f"{_HIGHEST}"
                )
            begin, end = (math.ceil(at * steps_per_quarter) for at in (note.begin, note.end))
            tokens[begin:end, voice] = note.pitch - _LOWEST + _FIRST
    return tokens


def _stream(pieces: list[np.ndarray]) -> Stream:
    end = np.array([_END], "int32")
    return Stream(np.concatenate([end, *(part for p in pieces for part in (p.ravel(), end))]))
