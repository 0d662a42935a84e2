"""Files of records are checked on reading, so that no reader meets a field it cannot use."""

import copy
import gzip
import io
import json
import math
import pathlib
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from jlstm.bench import command, records, regressions
from jlstm.bench.record_fields import checked
from jlstm.bench.report import markdown, measured
from jlstm.bench.statistics import Estimate
from tests.bench.made_up import run
from tests.examples import examples

RECORDS = pathlib.Path(__file__).parents[2] / "benchmarks" / "cpu.jsonl.gz"
TIMED, LEFT_OUT = run({"jlstm scan": 1.0})
COMPILED = {k: v for k, v in TIMED.items() if k != "gflops_per_s"} | {"mode": "compile"}
KINDS = {"timed": TIMED, "left out": LEFT_OUT, "compiled": COMPILED}
HUGE = 10**400
ODD = [
    None, True, False, -1, 0, 0.5, math.nan, math.inf, -math.inf, 5e-324, 1e308, HUGE,
    "", "x", "1.0", [], [None], [math.nan], ["x"], [[1.0]], [0.0, 0.0], {}, {"x": None}, {"x": {}},
]  # fmt: skip
MISSING = object()


def places(value, place=()):
    """The ways to each value in a record, and to those within it."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for name, each in inner:
        yield (*place, name)
        if isinstance(each, dict | list):
            yield from places(each, (*place, name))


def changed(record, place, value):
    """A copy of a record with another value at a place, or with none."""
    record = copy.deepcopy(record)
    *way, last = place
    inside = record
    for name in way:
        inside = inside[name]
    if value is MISSING:
        del inside[last]
    else:
        inside[last] = value
    return record


def read_all(found):
    """What a report and a comparison read."""
    report = markdown.write(found, {}, "records.jsonl", "records")
    for new, old in ((found, [TIMED]), ([TIMED], found)):
        regressions.show(Console(file=io.StringIO()), new, old)
    return report


def refused(record):
    """The message that refuses a record; None if it is a good one, which all readers take."""
    try:
        found = checked(json.loads(json.dumps(record)))
    except ValueError as error:
        return str(error)
    read_all([found])
    return None


# Values that a field may have, of those in ODD.
ALLOWED = {
    "command": ("x", "1.0"),
    "processor": ("", "x", "1.0"),
    "cpus": (None,),
    "case": ("x", "1.0"),
    "contender": ("x", "1.0"),
    "config": ("x", "1.0"),
    "left_out": ("", "x", "1.0"),
    "versions": ({}, {"x": None}),
    "shape.shortest": (0, 0.5, 5e-324),
    "shape.resets": (0, 0.5, 5e-324),
    "lower_s": (0, 0.5),
    "compile_s": (0, 0.5),
    "first_call_s": (0, 0.5),
    "null_s": (None, 0, 0.5),
    "memory_bytes": (None, 0),
    "median_s": (0.5,),
    "interval_s.0": (0.5,),
    "rounds_s": (),
    "gflops_per_s": (0.5,),
    "ceilings.product_gflops_per_s": (0.5,),
    "ceilings.copy_gbytes_per_s": (0.5,),
}


def allowed(place):
    if place[0] in ("versions", "rounds_s") and len(place) == 2:
        return {"versions": (None, "", "x", "1.0"), "rounds_s": (0.5,)}[place[0]]
    return ALLOWED.get(".".join(map(str, place)), ())


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_has_the_right_type_and_range_or_is_refused_by_name(kind):
    record = KINDS[kind]
    assert refused(record) is None
    for place in places(record):
        for odd in ODD:
            message = refused(changed(record, place, odd))
            fits = any(odd is v or (odd == v and type(odd) is type(v)) for v in allowed(place))
            assert (message is None) == fits, (place, odd, message)
            if message is not None:
                # A bound may make its partner wrong, and a reason may stand beside times.
                assert str(place[0]) in message and "; expected " in message
                assert len(message) < 500


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_field_is_named_with_what_it_holds(kind):
    record = KINDS[kind]
    for place in places(record):
        if place[0] == "versions" or isinstance(place[-1], int):
            continue
        message = refused(changed(record, place, MISSING))
        if place == ("left_out",):  # then it lacks times
            place = ("lower_s",)
        assert message.startswith(f"it lacks {'.'.join(place)}; expected ")


def test_a_contender_is_timed_or_left_out_not_both():
    assert "both left_out and lower_s" in refused(TIMED | {"left_out": "it does not train"})
    assert "lower bound first" in refused(TIMED | {"interval_s": [2.0, 1.0]})


def test_fields_of_a_later_version_are_dropped():
    later = copy.deepcopy(TIMED) | {"x": 1}
    later["ceilings"]["x"] = later["shape"]["x"] = 1
    assert checked(later) == TIMED


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
ALL_PLACES = [(kind, place) for kind, record in KINDS.items() for place in places(record)]


@settings(max_examples=examples(300), deadline=None)
@given(st.lists(st.tuples(st.sampled_from(ALL_PLACES), json_values), min_size=1, max_size=3))
def test_any_json_in_any_field_is_refused_or_read_by_all(changes):
    record = KINDS[changes[0][0][0]]
    for (_, place), value in changes:
        try:
            record = changed(record, place, value)
        except (KeyError, TypeError, IndexError):  # the place is in another kind of record
            continue
    refused(record)


@pytest.mark.parametrize("name", ["odd.jsonl", "odd.jsonl.gz"])
def test_the_message_names_the_file_and_the_line(tmp_path, name):
    path = tmp_path / name
    with records.appending(path) as write:
        write([TIMED, LEFT_OUT, TIMED | {"mode": "../../x"}])
    expected = (
        f"line 3 of {path} is not a record of `jlstm bench --out`: mode is '../../x'; expected one "
        "of forward, training, step, compile"
    )
    with pytest.raises(ValueError) as caught:
        records.read(path)
    assert str(caught.value) == expected


def line(**changes):
    return json.dumps(TIMED | changes).encode()


LINES = {
    "of megabytes": (line(left_out="x" * 3_000_000), "it has 3,00"),
    "a name of half a megabyte": (line(mode="x" * 500_000), "mode is 'xxx"),
    "a list of half a megabyte": (line(rounds_s=[1.0] * 100_000), "100,000 items"),
    "deep": (b"[" * 100_000, "it has 100,000 lists and objects; expected at most 1,300"),
    "deep in spaces": (b"[" * 1_300 + b" " * 100_000, "it"),
    "many lists": (line(x=[[]] * 2_000), "it has 2,0"),
    "a deep field": (line(mode=eval("[" * 80 + "]" * 80)), "mode is [[[...]]]"),
    "a long number": (b'{"case": ' + b"1" * 5000 + b"}", "more digits"),
    "not text": (b'{"case": "\xff"}', "not text in UTF-8"),
    "a mark of UTF-16": ("{}".encode("utf-16"), "not text in UTF-8"),
    "half a line": (line()[:100], "not JSON"),
    "a number": (b"5", "it is 5; expected the JSON object of a record"),
    "nothing": (b"", "not JSON"),
    "control characters": (line(mode="\x1b[31m"), r"'\x1b[31m'"),
}


@pytest.mark.parametrize("kind", LINES)
def test_a_line_of_any_kind_is_refused_in_a_message_that_fits_a_screen(tmp_path, kind):
    path = tmp_path / "odd.jsonl"
    text, message = LINES[kind]
    path.write_bytes(line() + b"\n" + text + b"\n")
    with pytest.raises(ValueError) as caught:
        records.read(path)
    said = str(caught.value)
    assert f"line 2 of {path}" in said and message in said
    assert len(said) < 600 and said.isprintable()


def test_a_small_compressed_file_does_not_fill_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "MOST_BYTES", 1 << 22)
    path = tmp_path / "bomb.jsonl.gz"
    path.write_bytes(gzip.compress(bytes(1 << 26), 1))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="more than 4,194,304 bytes of records; divide it"):
            records.read(path)
        assert tracemalloc.get_traced_memory()[1] < 3 * (1 << 22)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("behind", "words"),
    [
        (bytes(1_000), "incorrect header check"),
        (gzip.compress(b"") * 1_000, "a part of it holds nothing"),
        (gzip.compress(line())[:-1], "it is cut off"),
    ],
    ids=["zeros", "nothing", "cut"],
)
def test_what_follows_compressed_records_is_refused(behind, words, tmp_path):
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(line() + b"\n") * 3 + behind)
    with pytest.raises(ValueError, match=rf"a\.jsonl\.gz is not a whole gzip file: .*{words}"):
        records.read(path)


def test_a_report_of_very_many_contenders_takes_linear_time(monkeypatch):
    """Comparing each record to all others took minutes."""
    found = [TIMED | {"contender": f"{who} {n}"} for n in range(500) for who in ("jlstm", "a")]
    compared = []
    monkeypatch.setattr(measured, "ratio", lambda *_: Estimate(1.0, 1.0, 1.0))
    monkeypatch.setattr(regressions, "paired", lambda *_: Estimate(1.0, 1.0, 1.0))

    class Counted(dict):
        def __eq__(self, other):
            compared.append(other)
            return super().__eq__(other)

        __hash__ = None

    markdown.write([Counted(record) for record in found], {}, "a", "a")
    assert len(compared) < 10 * len(found)


def test_a_comparison_with_odd_records_is_refused_before_anything_is_measured(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(command, "_ceilings", lambda threads: pytest.fail("it measures"))
    old, out = tmp_path / "old.jsonl", tmp_path / "new.jsonl"
    for odd in (changed(TIMED, ("shape",), MISSING), TIMED | {"rounds_s": []}):
        old.write_text(json.dumps(odd))
        with pytest.raises(ValueError, match=r"line 1 of .*old\.jsonl"):
            command.run(None, out=out, old=old)
        assert not out.exists()


@pytest.mark.skipif(not RECORDS.exists(), reason="a source distribution lacks the records")
def test_the_records_of_this_project_are_read_whole():
    lines = [json.loads(line) for line in gzip.decompress(RECORDS.read_bytes()).splitlines()]
    assert records.read(RECORDS) == lines


@pytest.mark.parametrize(
    "name, content, words",
    [
        ("suite.toml", b"[[case]]\n", "line 1 of .*suite.toml is not a record"),
        ("weights.pt", b"PK\3\4\xff", "line 1 of .*weights.pt is not a record"),
        ("cut.jsonl.gz", gzip.compress(json.dumps(TIMED).encode())[:-9], "is not a whole gzip"),
        ("cut.jsonl", json.dumps(TIMED).encode(), "its last line does not end; add a line break"),
    ],
)
def test_records_are_appended_to_nothing_but_whole_records(tmp_path, name, content, words):
    """A model or a suite would be damaged, and records after half a line lost."""
    path = tmp_path / name
    path.write_bytes(content)
    with (
        pytest.raises(ValueError, match=f"cannot be appended to .*{words}.*--out"),
        records.appending(path),
    ):
        pytest.fail("would measure for nothing")
    assert path.read_bytes() == content


@pytest.mark.parametrize("name", ["r.jsonl", "r.jsonl.gz"])
def test_where_a_file_may_not_grow_the_records_before_stay_whole(tmp_path, name):
    resource = pytest.importorskip("resource")
    path = tmp_path / name
    with records.appending(path) as write:
        write([TIMED])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with (
        pytest.raises(ValueError, match=rf"cannot write records to .*{name}: File too large"),
        records.appending(path) as write,
    ):
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 100, hard))
        try:
            write([TIMED])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert records.read(path) == [TIMED]
