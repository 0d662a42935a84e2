"""Signals: what ends a run at once, and what ends it after a checkpoint."""

import signal

import pytest

from jlstm import stopping as command
from jlstm.train.runs import stopping


def test_a_signal_before_the_first_step_does_what_it_did_before():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), stopping.requests() as stop:
            signal.raise_signal(signal.SIGINT)
        assert stop.exit_code == 130
        with pytest.raises(SystemExit) as ended, command.in_order(), stopping.requests():
            signal.raise_signal(signal.SIGTERM)
        assert ended.value.code == 143
    finally:
        signal.signal(signal.SIGINT, before)


def test_the_first_signal_after_a_step_waits_and_the_second_does_not():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), stopping.requests() as stop:
            stop.waits = True
            signal.raise_signal(signal.SIGINT)
            assert stop and stop.exit_code == 130
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
