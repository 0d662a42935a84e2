"""Metrics of a run: what is written is what is read, across kills and resumptions."""

import contextlib
import errno
import json
import math
import os
import resource
import sys

import pytest

from jlstm.train.runs import curves, events, metrics


def written(folder, steps=(10, 20, 30), **options):
    with metrics.opened(folder, **options) as log:
        for step in steps:
            log.write(step, "train", {"loss": 1 / step}, seconds=log.seconds + step / 10)
    return log


def test_reports_come_back(tmp_path):
    with metrics.opened(tmp_path) as log:
        log.write(5, "train", {"loss": 0.25, "accuracy": 1}, seconds=1.23456)
        assert len(metrics.read(tmp_path)) == 1, "a report is in the file at once"
        log.write(5, "valid", {"loss": math.nan, "error": math.inf}, seconds=2)
    first, second = metrics.read(tmp_path)
    assert first == (5, "train", {"loss": 0.25, "accuracy": 1.0}, 1.235)
    assert second[:2] == (5, "valid") and math.isnan(second.metrics["loss"])
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    strict = [json.loads(line, parse_constant=pytest.fail) for line in lines]
    assert strict[1]["metrics"] == {"loss": None, "error": None}


def test_a_resumed_run_drops_later_reports(tmp_path):
    written(tmp_path)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 40, "split"')  # killed while writing
    log = written(tmp_path, [25, 30], resumed=20)
    assert log.seconds == 2.0
    assert [each.step for each in metrics.read(tmp_path)] == [10, 20, 25, 30]
    assert metrics.read(tmp_path)[-1].seconds == 5.0


def test_a_new_run_keeps_no_old_reports(tmp_path):
    written(tmp_path)
    assert written(tmp_path, [7]).seconds == 0
    assert [each.step for each in metrics.read(tmp_path)] == [7]


@pytest.mark.parametrize("line", ["{", "[]", "7", '{"step": 1}', '{"step": "x", "split": ""}'])
def test_a_line_that_is_no_report_is_named(tmp_path, line):
    written(tmp_path, [1])
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(ValueError, match=r"metrics\.jsonl, line 2: .* is no report"):
        metrics.read(tmp_path)


def test_without_tensorboardx_there_are_lines_only(tmp_path, monkeypatch):
    monkeypatch.setattr(events.importlib.util, "find_spec", lambda name: None)
    written(tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_tensorboard_gets_the_same_values(tmp_path, capfd):
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.record_writer import masked_crc32c

    with metrics.opened(tmp_path) as log:
        log.write(3, "valid", {"loss": 0.5, "error": math.nan}, seconds=1)
    (path,) = tmp_path.glob("events.out.tfevents.*")
    content, seen = path.read_bytes(), []
    while content:
        size = int.from_bytes(content[:8], "little")
        body = content[12 : 12 + size]
        assert int.from_bytes(content[12 + size : 16 + size], "little") == masked_crc32c(body)
        event = Event.FromString(body)
        seen += [(value.tag, event.step, value.simple_value) for value in event.summary.value]
        content = content[16 + size :]
    assert seen == [("valid/loss", 3, 0.5)]
    assert capfd.readouterr() == ("", "")


def test_curves_are_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    assert curves.draw(tmp_path) is None
    with metrics.opened(tmp_path) as log:
        for step in range(1, 40):
            log.write(step, "train", {"loss $x": 10.0**-step, "acc": 0.5}, seconds=step)
        log.write(39, "valid", {"loss $x": math.nan}, seconds=40)
    assert curves.draw(tmp_path) == tmp_path / "curves.png"
    first = (tmp_path / "curves.png").read_bytes()
    assert first.startswith(b"\x89PNG")
    curves.draw(tmp_path)
    assert (tmp_path / "curves.png").read_bytes() == first


def test_points_are_those_of_one_split_and_finite():
    reports = [
        metrics.Report(1, "train", {"loss": 2.0}, 0),
        metrics.Report(2, "train", {"loss": math.nan}, 0),
        metrics.Report(3, "valid", {"loss": 1.0}, 0),
        metrics.Report(4, "train", {"accuracy": 1.0}, 0),
    ]
    assert curves.points(reports, "train", "loss") == [(1, 2.0)]


def test_without_matplotlib_there_is_no_picture(tmp_path, monkeypatch):
    written(tmp_path)
    monkeypatch.setattr(curves.importlib.util, "find_spec", lambda name: None)
    assert curves.draw(tmp_path) is None


def refused(path):
    """A path whose writing fails as on a full disk."""
    path.symlink_to("/dev/full")
    return path


full = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs Linux")


@full
def test_a_full_disk_ends_the_events_and_keeps_the_reports(tmp_path, monkeypatch):
    pytest.importorskip("tensorboardX")
    monkeypatch.setattr(events.time, "time", lambda: 5)
    monkeypatch.setattr(events.socket, "gethostname", lambda: "host")
    path = refused(tmp_path / f"events.out.tfevents.5.host.{os.getpid()}")
    log = written(tmp_path)
    assert log.warnings == [
        f"there are no events for TensorBoard: cannot write {path}: No space left on device"
    ]
    assert len(metrics.read(tmp_path)) == 3


def test_a_disk_that_is_full_later_ends_the_events_there(tmp_path, monkeypatch):
    @contextlib.contextmanager
    def opened(folder, purged):
        def write(step, values):
            if step == 20:
                raise OSError(errno.ENOSPC, "cannot write it: No space left on device", "events")
            assert step < 20, "no further try"

        yield write

    monkeypatch.setattr(events, "opened", opened)
    assert written(tmp_path).warnings == [
        "there are no events for TensorBoard after step 20: cannot write events: No space left on "
        "device"
    ]
    assert len(metrics.read(tmp_path)) == 3


def test_a_tensorboardx_that_cannot_be_imported_is_a_warning(tmp_path, monkeypatch):
    pytest.importorskip("tensorboardX")
    monkeypatch.setitem(sys.modules, "tensorboardX.proto", None)
    (said,) = written(tmp_path).warnings
    assert "tensorboardX cannot be used" in said and len(metrics.read(tmp_path)) == 3


def test_a_report_that_a_full_disk_cuts_is_not_there(tmp_path):
    """A file of at most 200 bytes stands for a disk that is full after them."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with metrics.opened(tmp_path) as log:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200, before[1]))
        try:
            with pytest.raises(OSError, match="cannot write it: File too large") as error:
                for step in range(9):
                    log.write(step, "train", {"loss": 0.5}, seconds=1)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert error.value.filename == str(tmp_path / "metrics.jsonl")
    assert [each.step for each in metrics.read(tmp_path)] == [0, 1]
    assert (tmp_path / "metrics.jsonl").read_text().endswith("}\n"), "no part of the third"


@full
def test_the_reports_and_the_picture_name_the_file_that_a_full_disk_refuses(tmp_path):
    refused(tmp_path / "metrics.jsonl")
    with pytest.raises(OSError, match="cannot write it: No space left") as error:
        written(tmp_path)
    assert error.value.filename == str(tmp_path / "metrics.jsonl")
    (tmp_path / "metrics.jsonl").unlink()
    pytest.importorskip("matplotlib")
    written(tmp_path)
    path = refused(tmp_path / "curves.png")
    with pytest.raises(OSError, match="cannot write it: No space left") as error:
        curves.draw(tmp_path)
    assert error.value.filename == str(path)
    assert curves.try_draw(tmp_path) == [f"cannot write {path}: No space left on device"]


def test_a_picture_that_cannot_be_drawn_is_a_warning(tmp_path):
    (tmp_path / "metrics.jsonl").write_text("mine\n")
    (said,) = curves.try_draw(tmp_path)
    assert said.startswith(f"cannot draw {tmp_path / 'curves.png'}: {tmp_path / 'metrics.jsonl'}, ")
