"""The CPU kernels leave affinity masks alone that taskset or a container sets during a call."""

import os
import pathlib
import shutil
import subprocess
import threading
import time

import jax
import pytest

from jlstm import Config
from tests.networks import make_call, run

HERE = pathlib.Path(__file__).parent / "native"
NATIVE = HERE.parents[2] / "jlstm" / "kernels" / "native"
COMPILER = shutil.which("g++")
MAY_USE = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()

pytestmark = pytest.mark.skipif(len(MAY_USE) < 2, reason="needs Linux and two processors")


def masks(processors=None):
    """Sets the mask of every thread of this process, or returns the masks of all."""
    found = []
    for thread in os.listdir("/proc/self/task"):
        try:
            if processors is not None:
                os.sched_setaffinity(int(thread), processors)
            found.append(os.sched_getaffinity(int(thread)))
        except ProcessLookupError:
            pass  # ended meanwhile
    return found


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("tries", [5, pytest.param(200, marks=pytest.mark.full)])
def test_a_mask_set_during_a_call_stays(tries):
    """Every thread first shares a processor, so helpers move to the other one in the next call."""
    first, second = sorted(MAY_USE)[:2]
    call = make_call(Config.stack(1, [256]), 1000, (1,), 0)
    step = jax.jit(lambda xs: run(call, "cpu", xs=xs)[1])
    jax.block_until_ready(step(call.xs))
    began = threading.Event()

    def work():
        began.set()
        jax.block_until_ready(step(call.xs))

    undone = 0
    try:
        for _ in range(tries):
            masks({first})
            jax.block_until_ready(step(call.xs))
            masks({first, second})
            began.clear()
            caller = threading.Thread(target=work)
            caller.start()
            began.wait()
            time.sleep(0.005)
            masks({first})
            caller.join()
            undone += any(mask != {first} for mask in masks())
    finally:
        masks(MAY_USE)
    # A change between two successive system calls of the kernel would be lost.
    assert undone <= tries // 100


@pytest.mark.full
@pytest.mark.skipif(COMPILER is None, reason="needs g++ to build the kernels")
def test_no_moment_of_a_call_undoes_a_mask(tmp_path):
    """With system calls that a program replaces; tests/kernels/native/run does it too."""
    built = tmp_path / "affinity"
    command = [COMPILER, "-std=gnu++20", f"-I{NATIVE}", HERE / "affinity.cc", "-o", built]
    subprocess.run([*command, "-lpthread"], check=True)
    done = subprocess.run([built], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
