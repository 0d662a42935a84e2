"""Errors of JAX and of other libraries are one line, and exit code 2."""

import subprocess
import sys
import warnings

import jax
import numpy as np
import pytest

import jlstm
from jlstm import info


@pytest.mark.parametrize(
    "words", ["info", "check", "train x", "eval x", "convert x y", "export x y"]
)
@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("Unable to initialize backend 'tpu':\nin use"), "backend 'tpu': in use;"),
        (AssertionError(), "this machine has no device of the given platforms;"),
    ],
)
def test_jax_that_cannot_start_is_one_line_with_what_to_do(
    jlstm_at, monkeypatch, words, error, said
):
    def devices():
        raise error

    monkeypatch.setenv("JAX_PLATFORMS", "tpu")
    monkeypatch.setattr(jax, "devices", devices)
    code, _, err = jlstm_at(*words.split())
    assert code == 2 and err.startswith("jlstm: JAX cannot start: ") and err.count("\n") == 1
    assert said in err and "or unset JAX_PLATFORMS, which is 'tpu'" in err


def test_bench_says_so_too_though_jax_starts_in_other_processes(jlstm_at, monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "nowhere")
    code, _, err = jlstm_at("bench", "--seconds", "0")
    stage, err = err.split("\n", 1)
    assert stage == "measuring the speed of this machine"
    assert code == 2 and err.startswith("jlstm: JAX cannot start: ") and err.count("\n") == 1
    assert "which is 'nowhere'" in err


def test_a_process_speaks_without_a_traceback():
    code = "import sys; sys.argv = ['jlstm', 'eval', 'nowhere']; from jlstm.cli import main; main()"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 2
    assert run.stderr.strip() == "jlstm: cannot read nowhere: No such file or directory"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "out of memory; choose smaller sizes. MemoryError"),
        (np._core._exceptions._ArrayMemoryError((2**50,), np.dtype("int8")), "Unable to allocate"),
        (RecursionError("maximum recursion depth exceeded"), "RecursionError: maximum"),
        (KeyError("w"), "KeyError: 'w'"),
        (OverflowError("out of bounds for int32"), "OverflowError: out of bounds"),
        (jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: no\n  room"), "RuntimeError: RESOURCE"),
        (TypeError("get(): incompatible\n\nfunction\n"), "TypeError: get(): incompatible"),
        (AssertionError(), "AssertionError"),
        (ValueError("\x1b[31m" + "a" * 100_000 + "\u202e\r\ud800"), "ValueError: \\x1b[31maaa"),
    ],
)
def test_errors_of_other_libraries_are_one_line_and_can_be_seen_whole(
    jlstm_at, monkeypatch, error, said
):
    def show(**_):
        raise error

    monkeypatch.setattr(info, "show", show)
    code, _, err = jlstm_at("info")
    assert code == 2 and err.startswith("jlstm: ") and said in err
    assert err[:-1].isprintable() and err.endswith("\n") and len(err) < 1_700
    assert err.endswith("(JLSTM_TRACEBACK=1 shows where this arose)\n")
    assert ("out of memory" in err) == (isinstance(error, MemoryError) or "RESOURCE" in str(error))
    monkeypatch.setenv("JLSTM_TRACEBACK", "1")
    with pytest.raises(type(error)):
        jlstm_at("info")


def test_a_refusal_of_the_library_does_not_offer_a_traceback(jlstm_at, monkeypatch):
    monkeypatch.setattr(info, "show", lambda **_: jlstm.Layer(0))
    code, _, err = jlstm_at("info")
    assert code == 2 and err == ("jlstm: hidden_size is 0; expected a whole number of at least 1\n")


@pytest.mark.filterwarnings("always:characters count")
def test_a_warning_is_one_line_without_its_place(jlstm_at, monkeypatch):
    def show(**_):
        warnings.warn("characters count\nas unknown: \x1b[31m", stacklevel=1)

    monkeypatch.setattr(info, "show", show)
    assert jlstm_at("info") == (0, "", "warning: characters count as unknown: \\x1b[31m\n")
    monkeypatch.setenv("JLSTM_TRACEBACK", "1")
    with pytest.warns(UserWarning, match="characters count\nas unknown"):
        jlstm_at("info")
