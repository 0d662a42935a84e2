"""Training in two processes of two devices each, as on two hosts: the losses of one device."""

import pathlib
import socket
import subprocess
import sys

import numpy as np
import pytest

from jlstm.train.runs import checkpoints, folder
from tests.train.runs_of_devices import STEPS, losses, ran

PROGRAM = """
import sys
import jax

from jlstm.train import launch

address, process, case, out, model = sys.argv[1:]
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_cpu_collectives_implementation", "gloo")
launch.join(address, 2, int(process))

from tests.train.runs_of_devices import ran

ran(case, out, mesh={"model": int(model)})
try:
    ran(case, out)
except ValueError as error:
    print(error)
else:
    raise SystemExit("the folder was used twice")
"""

TEXT, LENGTHS = "a text whose carry is kept", "lengths, dropout, an average"


def started(*args):
    """What two processes print."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, address, str(n), *args],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=pathlib.Path(__file__).parents[2],
        )
        for n in range(2)
    ]
    try:
        ended = [each.communicate(timeout=240) for each in processes]
    finally:
        for each in processes:
            each.kill()
    for each, (_, errors) in zip(processes, ended, strict=True):
        assert each.returncode == 0, errors[-3000:]
    return [out for out, _ in ended]


@pytest.mark.full
@pytest.mark.parametrize(("case", "model"), [(TEXT, 1), (LENGTHS, 2)])
def test_two_processes_measure_what_one_device_does(case, model, tmp_path):
    """One of them writes the folder. Its checkpoint is restored in one process."""
    pytest.importorskip("orbax.checkpoint")
    out = tmp_path / "two"
    first, second = started(case, str(out), str(model))
    wanted = ran(case, tmp_path / "one", mesh={"data": 1})
    found = losses(out)
    for split, values in wanted.items():
        np.testing.assert_allclose(found[split], values, rtol=0, atol=1e-5)
    assert "holds a run of this config already" in first
    assert "process 0 of the run failed" in second
    assert checkpoints.steps(out / folder.CHECKPOINTS)[-1] == STEPS
    ran(case, out, steps=STEPS + 1, mesh={"data": 1}, resume=True)
    ran(case, tmp_path / "one", steps=STEPS + 1, mesh={"data": 1}, resume=True)
    np.testing.assert_allclose(
        losses(out)["train"], losses(tmp_path / "one")["train"], rtol=0, atol=1e-5
    )
