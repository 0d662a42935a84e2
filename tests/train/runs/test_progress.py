"""What a run shows of itself, on terminals and elsewhere."""

import io
import math
import signal
import threading

import jax
import pytest
from rich.console import Console

import jlstm
from jlstm.train.runs import progress, stopping, summary


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "xterm")


def test_a_terminal_shows_a_bar(wide):
    stream = Terminal()
    with progress.shown(1000, start=100, stream=stream) as bar:
        bar.say("[b]resumed\x1b at 100")
        bar.update(400, {"loss": 0.51, "accuracy": 0.75}, 1234.4)
        bar.update(1000, {"loss": 0.01234, "accuracy": 1}, 99)
    shown = stream.getvalue()
    assert "[b]resumed\\x1b at 100" in shown and "100/1000" in shown
    assert "loss 0.0123  accuracy 1.0000  99 sequences/s" in shown
    assert "1000/1000" in shown and "nan" not in shown


def test_a_bar_fits_80_columns(wide, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    stream = Terminal()
    with progress.shown(20000, stream=stream) as bar:
        bar.update(20000, {"loss": 0.51, "accuracy": 0.75}, 1234.4)
    last = stream.getvalue().split("\r")[-1]
    assert "20000/20000" in last and "loss 0.5100  accuracy 0.7500" in last and "left" in last


def test_elsewhere_there_are_lines_now_and_then(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    stream = io.StringIO()
    with progress.shown(100, start=20, stream=stream, every=5) as shown:
        for step in range(30, 101, 10):
            now[0] += 2
            shown.update(step, {"loss": 1 / step}, 2500.0)
    assert stream.getvalue().splitlines() == [
        "step 30 of 100  loss 0.0333  2,500 sequences/s  0:00:14 left",
        "step 60 of 100  loss 0.0167  2,500 sequences/s  0:00:08 left",
        "step 90 of 100  loss 0.0111  2,500 sequences/s  0:00:02 left",
        "step 100 of 100  loss 0.0100  2,500 sequences/s",
    ]


def test_silence(capsys):
    with progress.shown(10, silent=True) as shown:
        shown.update(5, {"loss": 1.0})
        shown.say("line")
    assert capsys.readouterr() == ("", "")


def test_numbers_are_short():
    values = {"a": 0, "b": 1e-5, "c": -12345.678, "d": 2e9, "e": math.nan}
    assert progress.words(values) == "a 0.0000  b 1e-05  c -12345.6780  d 2e+09  e nan"


def test_the_summary_lists_every_array_and_the_total():
    model = {"network": jlstm.init(jax.random.key(0), jlstm.Config.stack(6, [4])), "query": None}
    stream = io.StringIO()
    Console(file=stream, width=80).print(summary.table(model | {"scale": jax.numpy.ones(())}))
    lines = [line.split() for line in stream.getvalue().splitlines()]
    assert lines == [
        ["part", "shape", "dtype", "parameters"],
        ["network.layers.0.w_x", "6", "x", "16", "float32", "96"],
        ["network.layers.0.w_h", "4", "x", "16", "float32", "64"],
        ["network.layers.0.b", "16", "float32", "16"],
        ["scale", "-", "float32", "1"],
        ["total", "177"],
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_sets_a_flag_and_the_second_interrupts(number, request):
    handlers = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    own = {each: signal.signal(each, handler) for each, handler in handlers.items()}
    request.addfinalizer(lambda: [signal.signal(*pair) for pair in own.items()])
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(KeyboardInterrupt), stopping.requests() as stop:
        assert not stop and not stop.anywhere() and stop.exit_code == 0
        signal.raise_signal(number)
        assert stop and stop.anywhere() and stop.exit_code == 128 + number
        signal.raise_signal(signal.SIGINT)
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before


def test_ignored_signals_stay_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with stopping.requests() as stop:
            signal.raise_signal(signal.SIGINT)
            assert not stop
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_get_a_flag_that_stays_down():
    seen = []

    def work():
        with stopping.requests() as stop:
            seen.append(bool(stop))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False]
