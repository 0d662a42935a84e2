"""Programs for TPUs where libtpu is older than the jax that compiles them expects."""

import importlib.metadata
import subprocess

import jax
import pytest
from jax._src.interpreters import pxla

from jlstm import Config
from jlstm.bench import compiled, old_libtpu
from jlstm.bench.cases import Case, Shape
from jlstm.kernels.primitives import libtpu_form

REFUSAL = """module: ... stable_mosaic.version = 8 : i64
jaxlib._jax.XlaRuntimeError: INTERNAL: Failed to deserialize the Mosaic module: INTERNAL: \
Unsupported version: expected <= 7 but got 8

The MLIR operation involved:
"""
AGE = """
RuntimeError: Pallas TPU requires a libtpu version that's at most a month old. Found version string:
cpu
"""


@pytest.mark.parametrize(
    ("stderr", "reason"),
    [
        (REFUSAL, "reads Pallas kernels up to version 7 and jax 0.8.1 writes version 8; "),
        (AGE, "is too old for the Pallas kernels of jax 0.8.1; "),
    ],
)
@pytest.mark.parametrize("libtpu", ["0.0.21.1", None])
def test_where_libtpu_is_too_old_for_jax_it_says_what_to_install(
    libtpu, stderr, reason, monkeypatch
):
    failed = subprocess.CompletedProcess([], 1, "", stderr)
    monkeypatch.setattr(subprocess, "run", lambda *arguments, **options: failed)
    monkeypatch.setattr(jax, "__version__", "0.8.1")
    monkeypatch.setattr(old_libtpu, "installed", lambda: libtpu)
    case = Case("case", Config.stack(2, [3]), Shape(4, 2))
    told = compiled.compile_one(case, "v5e", "forward", "tpu")["error"]
    assert told == (
        f"{f'libtpu {libtpu}' if libtpu else 'the installed libtpu'} {reason}install the libtpu "
        "that this jax was tested with: pip install 'jax[tpu]==0.8.1'"
    )


def test_an_error_of_another_kind_is_told_as_it_is(monkeypatch):
    stderr = "Traceback\nValueError: Unsupported version: 8\n"
    failed = subprocess.CompletedProcess([], 1, "", stderr)
    monkeypatch.setattr(subprocess, "run", lambda *arguments, **options: failed)
    case = Case("case", Config.stack(2, [3]), Shape(4, 2))
    found = compiled.compile_one(case, "v5e", "forward", "tpu")
    assert found == {"error": "ValueError: Unsupported version: 8"}


@pytest.mark.parametrize(
    ("versions", "changed"),
    [
        (("0.7.2", "0.0.21.1"), True),
        (("0.7.2", "0.0.23"), False),
        (("0.8.0", "0.0.21.1"), False),
        (("0.7.2", None), False),
    ],
)
def test_jax_is_changed_for_colabs_versions_alone(versions, changed, monkeypatch):
    before = object()
    monkeypatch.setattr(pxla, "is_default_layout", before)
    monkeypatch.setattr(jax, "__version__", versions[0])
    monkeypatch.setattr(old_libtpu, "installed", lambda: versions[1])
    old_libtpu.adapt()
    assert (pxla.is_default_layout is not before) == changed


@pytest.mark.parametrize(
    ("jax_version", "libtpu", "older"),
    [
        ((0, 7, 2), "0.0.21.1", True),
        ((0, 7, 2), "0.0.23", False),
        ((0, 7, 2), None, False),
        ((0, 8, 0), "0.0.21.1", False),
        ((0, 12, 0), "0.0.42.dev1", False),
    ],
)
def test_kernels_take_the_older_form_only_where_libtpu_reads_no_other(
    jax_version, libtpu, older, monkeypatch
):
    def version(name):
        if libtpu is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return libtpu

    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setattr(jax, "__version_info__", jax_version)
    assert libtpu_form.reads_older_form_only.__wrapped__() == older
