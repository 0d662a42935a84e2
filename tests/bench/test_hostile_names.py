"""Names in records are shown as they are: in Markdown, in pictures and in a terminal."""

import io
import itertools
import re
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.console import Console

from jlstm.bench import regressions
from jlstm.bench.record_fields import checked
from jlstm.bench.report import escaping, figures, markdown, pictures
from jlstm.validation import printable
from tests.bench.made_up import run
from tests.examples import examples

HOSTILE = [
    "<script>alert(1)</script>",
    "a|b",
    "two\nlines\r\n\n# heading",
    "\x1b[31m\x07\u202e\ud800",
    "[x](javascript:alert(1)) ![y](z)",
    "**b** _i_ ~~s~~ `c` ``",
    "&lt; &#36; \\",
    r"$\frac{x$",
    "_hidden",
    "[/red] [bold]",
    "名前 😀 é",
    "x" * 300,
]


def rendered(text):
    """The text of each block of a page, and the types of all tokens."""
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)
    inline = [t for t in tokens if t.type == "inline"]
    shown = ["".join(each.content for each in t.children) for t in inline]
    return shown, {t.type for t in tokens} | {each.type for t in inline for each in t.children}


@settings(max_examples=examples(300), deadline=None)
@given(st.text(min_size=1).map(str.strip).filter(bool))
def test_any_text_is_shown_as_it_is(raw):
    shown, types = rendered(f"x {escaping.text(raw)}")
    assert shown == [f"x {printable(raw)}".rstrip()]
    assert types <= {"paragraph_open", "paragraph_close", "inline", "text", "text_special"}
    shown, types = rendered(f"{escaping.code(raw)} on")
    assert shown == [f"{printable(raw)} on"] and "code_inline" in types


@pytest.mark.parametrize("raw", HOSTILE)
def test_hostile_text_is_shown_as_it_is(raw):
    test_any_text_is_shown_as_it_is.hypothesis.inner_test(raw)


def hostile_records():
    """Records in which every free text is hostile."""
    made = run(dict.fromkeys(["jlstm scan", *HOSTILE], 1e-4), sizes=(16, 32, 64))
    for record, name in zip(made, itertools.cycle(HOSTILE), strict=False):
        record |= {"case": f"{name} {record['case']}", "processor": name, "command": name}
        record["versions"] = {name: name}
        if "left_out" in record:
            record["left_out"] = name
    return [checked(record) for record in made]


def test_a_report_on_hostile_names_has_its_own_structure():
    found = hostile_records()
    shown, types = rendered(markdown.write(found, {"a.png": "A."}, "a [x](y)<b>|.jsonl", "a (b)"))
    expected = run({"jlstm scan": 1e-4, "torch": 1e-4}, sizes=(16,))
    plain = rendered(markdown.write(expected, {"a.png": "A."}, "a.jsonl", "a"))[1]
    assert types <= plain | {"text_special"}
    assert shown[0] == "Measurements in a [x](y)<b>|.jsonl"
    for record in found:
        assert printable(record["case"]) in shown
        if "median_s" in record:
            assert printable(record["contender"]) in shown


def test_a_picture_shows_hostile_names():
    figures.require()
    found = [r for r in hostile_records() if "median_s" in r and r["hidden_sizes"] == [16]]
    unseen = {"memory_bytes": None, "lower_s": 0, "compile_s": 0}
    assert list(pictures.draw([r | unseen for r in found])) == ["forward_roofline.png"]


@pytest.mark.full
def test_all_pictures_show_hostile_names():
    figures.require()
    assert len(pictures.draw(hostile_records())) == 4


def test_labels_are_short_visible_and_of_the_fonts_characters():
    assert figures.label(r"$\frac{x$") == r"$\frac{x$"
    assert figures.label("_hidden") == " _hidden"
    assert figures.label("名 é\n") == r"\u540d é\n"
    assert len(figures.label("x" * 300)) == figures.LONGEST_LABEL


def test_a_comparison_shows_hostile_names():
    old, new = hostile_records(), hostile_records()
    for record in new:
        if "rounds_s" in record:
            record["rounds_s"] = [2 * s for s in record["rounds_s"]]
    console = Console(file=io.StringIO(), width=2000, force_terminal=False)
    regressions.show(console, new, old)
    said = console.file.getvalue()
    for name in HOSTILE:
        assert printable(name) in said
    assert printable(said.replace("\n", "")) == said.replace("\n", "")


# The smallest and the largest number that a field may hold.
BOUNDS = {
    **dict.fromkeys(("time_steps", "batch_size", "input_size"), (1, 10**9)),
    **dict.fromkeys(("lower_s", "compile_s", "null_s"), (0, 1e-12, 1e9)),
    **dict.fromkeys(("flops", "bytes_moved"), (1, 10**24)),
    **dict.fromkeys(("median_s", "rounds_s", "interval_s"), (1e-12, 1e9)),
    **dict.fromkeys(("gflops_per_s", "product", "copy"), (1e-9, 1e12)),
    "memory_bytes": (0, 1, 10**18),
}


def at_bounds(choose):
    """Records whose numbers are those that `choose` takes of their bounds."""
    made = run({"jlstm scan": 1e-3, "torch": 2e-3}, sizes=(16, 32, 64))
    for record in made:
        number = {name: choose(ends) for name, ends in BOUNDS.items()}
        record["ceilings"] = {
            "product_gflops_per_s": number.pop("product"),
            "copy_gbytes_per_s": number.pop("copy"),
        }
        number["rounds_s"] = [number["rounds_s"]] * 5
        number["interval_s"] = [1e-12, number["interval_s"]]
        record |= {name: value for name, value in number.items() if name in record}
    return [checked(record) for record in made]


def assert_reported(found):
    figures.require()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = pictures.draw(found)
    assert drawn and all(picture.content.startswith(b"\x89PNG") for picture in drawn.values())
    text = markdown.write(found, {name: p.caption for name, p in drawn.items()}, "a.jsonl", "a")
    assert not re.search(r"\b(nan|inf)\b", text)
    regressions.show(Console(file=io.StringIO()), found, found)


@pytest.mark.full
@pytest.mark.parametrize("which", [0, -1])
def test_numbers_at_their_bounds_are_reported(which):
    assert_reported(at_bounds(lambda ends: ends[which]))


@settings(max_examples=examples(30), deadline=None)
@pytest.mark.full
@given(st.randoms(use_true_random=False))
def test_any_numbers_within_their_bounds_are_reported(draw):
    assert_reported(at_bounds(draw.choice))


@pytest.mark.full
def test_pictures_of_many_contenders_and_sizes_say_what_they_leave_out():
    figures.require()
    made = run({f"jlstm {n}": 1e-4 for n in range(40)}, sizes=(16, 32, 64))
    grown = [
        r | {"time_steps": n, "contender": "jlstm 0"} for n in range(11, 25) for r in made[::41]
    ]
    drawn = pictures.draw(made + grown)
    for name, picture in drawn.items():
        assert "The first 24 of 40 contenders are drawn." in picture.caption
        plots = "The first 12 of 15 plots are drawn." in picture.caption
        assert plots == (name == "forward_over_hidden_size.png")
