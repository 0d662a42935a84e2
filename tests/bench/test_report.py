"""Reports on recorded measurements: statistics, what changed since, Markdown and pictures."""

import dataclasses
import io
import json
import os
import pathlib
import re

import numpy as np
import pytest
from rich.console import Console

from jlstm.bench import records, regressions, statistics
from jlstm.bench.cases import Shape
from jlstm.bench.report import command, figures, headings, markdown, pictures
from tests.bench.made_up import CEILINGS, run
from tests.examples import mostly_full


def test_the_interval_covers_the_median_as_often_as_it_says():
    draw = np.random.default_rng(1)
    covered = 0
    for _ in range(300):
        found = statistics.estimate(draw.exponential(size=30))
        covered += found.low <= np.log(2) <= found.high
    assert 0.88 <= covered / 300 <= 0.99


def test_ratios_are_taken_round_by_round():
    drift = np.linspace(1, 10, 20)  # the machine slows down; both feel it alike
    found = statistics.ratio(list(2 * drift), list(drift))
    assert found == pytest.approx((2, 2, 2))


def test_a_slower_contender_is_told_from_noise():
    old = run({"jlstm scan": 1.0, "torch": 1.0})
    new = run({"jlstm scan": 1.2, "torch": 1.01}, seed=1)
    found = {c.contender: c for c in regressions.changes(new, old)}
    assert found["jlstm scan"].verdict == "slower"
    assert found["jlstm scan"].ratio.median == pytest.approx(1.2, rel=0.02)
    assert found["torch"].verdict == ""
    back = {c.contender: c.verdict for c in regressions.changes(old, new)}
    assert back == {"jlstm scan": "faster", "torch": ""}


def test_a_slower_machine_is_not_taken_for_a_slower_contender():
    slow = {name: value / 1.3 for name, value in CEILINGS.items()}
    new = run({"jlstm scan": 1.2}, ceilings=slow, seed=1)
    (found,) = regressions.changes(new, run({"jlstm scan": 1.0}))
    assert found.verdict == ""


def test_only_what_both_runs_measured_alike_is_compared():
    old = run({"jlstm scan": 1.0})
    for line in old:
        line["shape"] = dataclasses.asdict(Shape(11, 4))
    assert not regressions.changes(run({"jlstm scan": 1.0}), old)
    console = Console(file=io.StringIO(), record=True)
    regressions.show(console, run({"jlstm scan": 1.0}), old)
    assert "no measurement in common" in console.export_text()


def test_contenders_that_noise_does_not_tell_apart_lead_together():
    made = run({"jlstm scan": 1.0, "torch": 1.005, "slow": 1.5}, noise=0.02)
    assert regressions.leaders(made) == {("H 16", "forward"): {"jlstm scan", "torch"}}


@pytest.fixture(params=mostly_full(["records.jsonl", "records.jsonl.gz"], ["records.jsonl"]))
def report(tmp_path, request):
    path = tmp_path / request.param
    with records.appending(path) as write:
        write(run({"jlstm scan": 2e-4, "torch": 1e-4, "slow": 9e-4}, sizes=(16, 32, 64)))
    command.run(path, None)
    return tmp_path / "records.md"


def test_the_report_tells_losses_and_what_redoes_it(report):
    text = report.read_text()
    assert "`jlstm bench made-up.toml`" in text
    assert "| [H 16](#h-16) | forward | torch | jlstm scan | 2.00 (2.00 to 2.00) |" in text
    assert re.search(
        r"^\| \[made-up.toml, [\d-]+\]\(#made-uptoml-[\d-]+\) \| 3 \| forward 2.00 \|$", text, re.M
    )
    assert "Geometric means of all cases: forward 2.00." in text
    assert "Not timed: gone (needs: pip install gone)." in text
    first, second, third = re.findall(r"^\| (torch|jlstm scan|slow) \|", text, re.MULTILINE)[:3]
    assert (first, second, third) == ("torch", "jlstm scan", "slow")


def test_links_of_a_report_lead_to_its_headings(tmp_path):
    """Also where two runs have cases of the same names."""
    made = run({"jlstm scan": 1.0, "torch": 2.0}, sizes=(16, 32))
    later = [r | {"started": "2026-01-02T03:04:05Z", "command": "jlstm bench"} for r in made]
    text = markdown.write([*made, *later], {"a.png": "A."}, "a.jsonl", "a")
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    links = re.findall(r"\[([^]]+)\]\(#([^)]+)\)", text)
    assert [shown for shown, _ in links] == [titles[2], titles[5], "H 16", "H 32", "H 16", "H 32"]
    assert titles[5] == "run, 2026-01-02"
    assert [name for _, name in links][2:] == ["h-16", "h-32", "h-16-1", "h-32-1"]


def test_names_of_headings_are_those_of_github():
    titles = ["A", "a", "a-1", "T 1, B 2: x", "名", "a"]
    assert headings.anchors(titles) == ["a", "a-1", "a-1-1", "t-1-b-2-x", None, "a-2"]


def test_every_picture_of_the_report_is_there_and_shown(report):
    shown = re.findall(r"!\[[^]]*\]\(([^)]+)\)", report.read_text())
    assert len(shown) == 4
    for name in shown:
        picture = (report.parent / name).read_bytes()
        assert picture.startswith(b"\x89PNG") and len(picture) < 60_000
    assert {f"records/{p.name}" for p in (report.parent / "records").iterdir()} == set(shown)
    assert any("over_hidden_size" in name for name in shown)


def test_a_report_says_what_it_replaces_and_does_not_replace_records(tmp_path, capsys):
    path = tmp_path / "r.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in run({"jlstm scan": 1.0})))
    command.run(path, None)
    assert "replaced" not in capsys.readouterr().out
    command.run(path, None)
    assert "r.md, which existed and was replaced" in capsys.readouterr().out
    (tmp_path / "r.md").chmod(0o444)
    with pytest.raises(ValueError, match=r"cannot write the report .*r\.md: the file is read-only"):
        command.run(path, None)
    before = path.read_text()
    with pytest.raises(ValueError, match=r"s\.md would be replaced by the report's file"):
        command.run(path.rename(tmp_path / "s.md"), None)
    assert (tmp_path / "s.md").read_text() == before


@pytest.mark.parametrize("product", [1.0, 1e4])
def test_the_ceilings_of_a_roofline_run_from_left_to_right(product):
    """Also where all cases lie on one side of the knee."""
    figures.require()
    made = run({"jlstm scan": 1.0}, ceilings={**CEILINGS, "product_gflops_per_s": product})
    figure = pictures._roofline(made[:1], "forward")
    xs = list(figure.axes[0].lines[0].get_xdata())
    assert xs == sorted(xs) and len(set(xs)) == 3


RECORDS = pathlib.Path(__file__).parents[2] / "benchmarks" / "cpu.jsonl.gz"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with a few records by several names in it."""
    monkeypatch.chdir(tmp_path)
    lines = "".join(json.dumps(r) + "\n" for r in run({"jlstm scan": 1.0, "torch": 2.0}))
    for name in ("records.md", "records", "records.jsonl"):
        pathlib.Path(name).write_text(lines)
    pathlib.Path("link.md").symlink_to("records.jsonl")
    os.link("records.jsonl", "hard.md")
    pathlib.Path("taken").mkdir()
    pathlib.Path("taken/memory.png").symlink_to("../records.jsonl")
    return tmp_path


def everything(folder):
    return {p: p.is_file() and p.read_bytes() for p in folder.rglob("*")}


@pytest.mark.parametrize(
    ("path", "out", "message"),
    [
        ("records.md", None, "but this is a file"),
        ("records.jsonl", "records.jsonl", "with the extension .md"),
        ("records", "records", "with the extension .md"),
        ("records.jsonl", "records.md", "folder records, but this is a file"),
        (
            "records.jsonl",
            "link.md",
            "replaced by the report's file link.md",
        ),
        (
            "records.jsonl",
            "hard.md",
            "replaced by the report's file hard.md",
        ),
        pytest.param(
            "records.jsonl",
            "taken.md",
            "by the report's file taken/memory.png",
            marks=pytest.mark.full,
        ),
        pytest.param(
            "hard.md",
            None,
            "hard.md would be replaced by the report's file hard.md",
            marks=pytest.mark.full,
        ),
        ("records.jsonl", "..md", "with the extension .md"),
        ("records.jsonl", "...md", "with the extension .md"),
        ("records.jsonl", "other.txt", "with the extension .md"),
        ("records.jsonl", "taken", "with the extension .md"),
    ],
)
def test_a_report_never_replaces_its_records(folder, path, out, message):
    before = everything(folder)
    with pytest.raises(ValueError, match=message):
        command.run(pathlib.Path(path), out and pathlib.Path(out))
    assert everything(folder) == before


@pytest.mark.parametrize("mode", ["../../x", "/x", "a/b", ""])
def test_a_mode_never_names_a_file(folder, mode):
    lines = [r | {"mode": mode} for r in run({"jlstm scan": 1.0, "torch": 2.0})]
    pathlib.Path("odd.jsonl").write_text("".join(json.dumps(r) + "\n" for r in lines))
    before = everything(folder)
    with pytest.raises(ValueError, match=r"line 1 of odd\.jsonl .*mode is"):
        command.run(pathlib.Path("odd.jsonl"), None)
    assert everything(folder) == before


def test_a_report_that_cannot_be_written_leaves_the_old_one_whole(folder, monkeypatch):
    pathlib.Path("old").mkdir()
    for name in ("old.md", "old/forward_roofline.png"):
        pathlib.Path(name).write_text("an earlier report")
    before = everything(folder)

    def full(self, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pathlib.Path, "write_bytes", full)
    with pytest.raises(ValueError, match=r"cannot write the report old\.md: No space left"):
        command.run(pathlib.Path("records.jsonl"), pathlib.Path("old.md"))
    assert everything(folder) == before


def test_what_cannot_be_written_is_known_before_the_pictures_are_drawn(folder, monkeypatch):
    monkeypatch.setattr(pictures, "draw", lambda *_: pytest.fail("worked for nothing"))
    pathlib.Path("folder.md").mkdir()
    pathlib.Path("file").touch()
    before = everything(folder)
    for out, words in (
        ("folder.md", r"cannot write the report folder\.md: it is a folder; pass the name"),
        ("file/r.md", r"cannot write the report file/r\.md: .*file is a file, not a folder"),
        (f"new/{'a' * 256}.md", r"cannot write the report new/a+\.md: File name too long"),
    ):
        with pytest.raises(ValueError, match=words):
            command.run(pathlib.Path("records.jsonl"), pathlib.Path(out))
    assert everything(folder) == before
    assert not pathlib.Path("new").exists()


@pytest.mark.full
@pytest.mark.skipif(not RECORDS.exists(), reason="a source distribution lacks the records")
def test_the_report_of_this_project_is_what_its_records_give(tmp_path):
    out = tmp_path / "cpu.md"
    command.run(RECORDS, out)
    assert out.read_bytes() == RECORDS.with_name("cpu.md").read_bytes()
    shown = {p.name for p in (tmp_path / "cpu").iterdir()}
    assert shown == {p.name for p in RECORDS.with_name("cpu").iterdir()}
