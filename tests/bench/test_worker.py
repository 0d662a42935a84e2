"""The process of a contender: its inputs and weights, its processors, its signals, its compiler."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from jlstm import Config, cell
from jlstm.bench import agreement, problem, worker
from jlstm.bench.cases import Case, Shape
from jlstm.bench.peers import jax_program
from jlstm.config import DTYPES
from tests.bench.comparing import CASE


def test_cudnn_weights_are_laid_out_as_jax_unpacks_them():
    from jax.experimental import rnn

    from jlstm.bench.peers import cudnn

    case = Case("d", Config.stack(3, [4, 4], bidirectional=True), Shape(2, 1))
    layers = problem.make(case, 1).layers
    w_x, w_h, b, zero = rnn.unpack_lstm_weights(cudnn.flat(layers), 3, 4, 2, True)
    for n, layer in enumerate(layers):
        for d in range(2):
            np.testing.assert_array_equal(w_x[2 * n + d].T, layer.w_x[d])
            np.testing.assert_array_equal(w_h[2 * n + d].T, layer.w_h[d])
            np.testing.assert_array_equal(b[2 * n + d], layer.b[d])
            assert not zero[2 * n + d].any()


@pytest.mark.full
def test_lowering_is_timed_without_what_was_traced_before(monkeypatch):
    lowered = []
    advance = cell.advance
    monkeypatch.setattr(cell, "advance", lambda *args: lowered.append(1) or advance(*args))
    from jlstm.bench.peers import ours

    counts = []
    for _ in range(2):
        ours.prepare(problem.make(CASE, 1), "forward", "scan")
        counts.append(len(lowered))
    assert counts[0] > 0 and counts[1] == 2 * counts[0]
    assert min(jax_program.compile_uncached(lambda x: x + 1, np.ones(3))[1:]) > 0


def test_inputs_and_weights_hold_no_denormals_and_are_the_same_in_every_process():
    first, again = (problem.make(CASE, 1) for _ in range(2))
    for a, b in zip(arrays_of(first), arrays_of(again), strict=True):
        np.testing.assert_array_equal(a, b)
        assert np.all((a == 0) | (np.abs(a) >= np.finfo("float32").tiny))


def arrays_of(problem):
    return [problem.xs, *(a for layer in problem.layers for a in layer)]


def test_processors_are_pinned_and_given_back():
    before = os.sched_getaffinity(0)
    with worker.pinned(1):
        assert len(os.sched_getaffinity(0)) == 1
    assert os.sched_getaffinity(0) == before
    with pytest.raises(ValueError, match="--threads is 9999"), worker.pinned(9999):
        pass


def test_rounding_is_allowed_for_by_dtype():
    assert agreement.TOLERANCE.keys() >= set(DTYPES)


def test_contenders_never_see_ctrl_c():
    """Not even while their processes import: it would print a traceback."""
    code = "import signal; print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))"
    with worker._without_ctrl_c():
        child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert child.stdout == "True\n"
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
