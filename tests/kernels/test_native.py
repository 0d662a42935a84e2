"""The C++ kernels under sanitizers, and the symbols of their object files."""

import pathlib
import platform
import shutil
import subprocess

import pytest

HERE = pathlib.Path(__file__).parent / "native"
COMPILER = shutil.which("g++")
FLAGS = {
    "avx2": ["-mavx2", "-mfma"],
    "avx512": ["-mavx512f", "-mavx512dq", "-mfma"],
    "avx512_bf16": ["-mavx512f", "-mavx512dq", "-mfma", "-mavx512bf16"],
}

pytestmark = pytest.mark.skipif(COMPILER is None, reason="needs g++ to build the kernels")


@pytest.mark.long
def test_no_sanitizer_finds_anything():
    """Addresses, undefined behaviour and races; and sigmoid and tanh of every float.

    tests/kernels/native/run can be called by itself.
    """
    done = subprocess.run([HERE / "run"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("all results agree") >= 6


@pytest.mark.full
@pytest.mark.parametrize("isa", FLAGS)
def test_no_code_of_one_instruction_set_is_shared(isa, tmp_path):
    """The linker keeps one copy of a shared inline function, which older processors may not run."""
    source = HERE.parents[2] / "jlstm" / "kernels" / "native" / "isa" / f"{isa}.cc"
    built = tmp_path / "kernels.o"
    command = [COMPILER, "-std=gnu++20", "-O3", *FLAGS[isa], "-c", source, "-o", built]
    if platform.machine() != "x86_64":
        pytest.skip("x86-64 instructions")
    subprocess.run(command, check=True)
    symbols = subprocess.run(["nm", "-C", built], capture_output=True, text=True, check=True).stdout
    assert [line for line in symbols.splitlines() if line[17] in "WVu"] == []
