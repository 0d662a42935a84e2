"""The pictures of speed show the numbers of the records."""

import gzip
import json
import re
import statistics

import pytest

from benchmarks.pictures import records
from benchmarks.pictures.__main__ import HERE as FOLDER
from benchmarks.pictures.__main__ import PICTURES
from benchmarks.pictures.drawing import Axis

pytestmark = pytest.mark.skipif(
    not (records.HERE / "cpu.jsonl.gz").exists(), reason="a source distribution lacks the records"
)


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.name)
def test_a_picture_is_what_its_script_draws(path):
    assert path.read_text() == PICTURES[path](), "run python -m benchmarks.pictures"


def marks(path):
    """What the marks of a picture say: their case, library and ratio."""
    return re.findall(r"<title>([^<:]+): ([^<]+) ([\d.]+)</title>", path.read_text())


@pytest.mark.parametrize("mode", ["forward", "training"])
def test_every_record_has_a_mark(mode):
    """Of the suites in the picture: the ratio of each library in each case."""
    times = {}
    with gzip.open(records.HERE / "cpu.jsonl.gz", "rt") as lines:
        for record in map(json.loads, lines):
            suite = re.search(r"(field|scaling)\.toml", record["command"])
            if suite and record["mode"] == mode and "median_s" in record:
                name = record["contender"]
                times.setdefault((suite[1], record["case"]), {})[name] = record["median_s"]
    expected = set()
    for (_, case), own in times.items():
        base = own.pop("jlstm cpu")
        case = case.replace(", 2 layers", ", x2")
        expected |= {(case, records.NAMES[n], f"{time / base:.2f}") for n, time in own.items()}
    drawn = set(marks(FOLDER / f"shapes_{mode}.svg"))
    assert expected <= drawn
    assert {case for case, *_ in drawn - expected} == {"H 256", "T 50"}  # B 16, drawn three times


def test_the_picture_of_training_has_the_quotients_of_the_medians():
    found = {}
    for line in (records.HERE / "training.jsonl").read_text().splitlines():
        record = json.loads(line)
        key = record["case"].partition(",")[0], record["framework"]
        found.setdefault(key, []).append(statistics.median(record["per_second"]))
    drawn = marks(FOLDER / "training.svg")
    assert len(drawn) == 12
    for case, name, ratio in drawn:
        own = [found[case.partition(",")[0], key] for key in ("jlstm", name.lower())]
        assert ratio in [f"{a / b:.2f}" for a, b in zip(*own, strict=True)]


def test_an_axis_is_logarithmic():
    axis = Axis(100, 400, (0.5, 1, 2, 4))
    assert [axis.at(ratio) for ratio in (1, 2, 2**0.5)] == [200, 300, 250]
    with pytest.raises(AssertionError):
        axis.at(5)  # beyond the picture
