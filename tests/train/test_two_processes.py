"""Training in two processes of two devices each, as on two hosts: the losses of one device."""

import json
import os
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

process, address, case, out, model = sys.argv[1:]
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


def free_port():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]


def ended(commands, environments):
    """What processes print on standard output. All of them end well."""
    processes = [
        subprocess.Popen(
            [sys.executable, *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=pathlib.Path(__file__).parents[2],
            env=os.environ | environment,
        )
        for command, environment in zip(commands, environments, strict=True)
    ]
    try:
        told = [each.communicate(timeout=240) for each in processes]
    finally:
        for each in processes:
            each.kill()
    for each, (_, errors) in zip(processes, told, strict=True):
        assert each.returncode == 0, errors[-3000:]
    return [out for out, _ in told]


@pytest.mark.full
@pytest.mark.parametrize(("case", "model"), [(TEXT, 1), (LENGTHS, 2)])
def test_two_processes_measure_what_one_device_does(case, model, tmp_path):
    """One of them writes the folder. Its checkpoint is restored in one process."""
    pytest.importorskip("orbax.checkpoint")
    out = tmp_path / "two"
    address = f"localhost:{free_port()}"
    args = address, case, str(out), str(model)
    commands = [("-c", PROGRAM, str(n), *args) for n in range(2)]
    first, second = ended(commands, [{}, {}])
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


CONFIG = """
data = { source = "adding", steps = 5, train = 64, test = 16 }
task = { name = "regress" }
network.layers = [{ hidden_size = 4 }]

[train]
out = "unused"
steps = 4
batch_size = 8
"""


@pytest.mark.full
def test_the_command_joins_the_processes_that_slurm_starts(tmp_path):
    """Only the first one prints the outcome."""
    pytest.importorskip("orbax.checkpoint")
    config, out = tmp_path / "config.toml", tmp_path / "run"
    config.write_text(CONFIG)
    command = ("-m", "jlstm", "train", str(config), "--distributed", "--json", "--out", str(out))
    # JAX makes the port of the coordinator of the number of the job.
    job = str(free_port() % 2**12)
    slurm = {"SLURM_JOB_ID": job, "SLURM_STEP_NODELIST": "localhost", "SLURM_NTASKS": "2"}
    slurm |= {"SLURM_STEP_NUM_NODES": "1", "JAX_PLATFORMS": "cpu"}
    environments = [slurm | {"SLURM_PROCID": str(n), "SLURM_LOCALID": str(n)} for n in range(2)]
    first, second = ended([command, command], environments)
    assert json.loads(first.splitlines()[-1])["step"] == 4
    assert "{" not in second
    assert (out / "model.safetensors").is_file()


STOPPED = """
import signal, sys
import jax

from jlstm.train import launch

process, address, out = sys.argv[1:]
jax.config.update("jax_platforms", "cpu")
launch.join(address, 2, int(process))

from jlstm.train.runs import metrics
from tests.train.runs_of_devices import ran

waited = metrics.Log.write

def write(self, step, *args, **options):
    waited(self, step, *args, **options)
    if step == 2 and process == "1":
        signal.raise_signal(signal.SIGTERM)

metrics.Log.write = write
ran("a text whose carry is kept", out, mesh={})
"""

DIVERGED = """
import sys
import jax

from jlstm.train import launch

process, address, out = sys.argv[1:]
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 2)
launch.join(address, 2, int(process))

from tests.train import runs_of_devices

make, tables = runs_of_devices.CASES["lengths, dropout, an average"]
tables["optimizer"] = {"name": "sgd", "learning_rate": 1e38}
try:
    runs_of_devices.ran("lengths, dropout, an average", out, mesh={"model": 2})
except ValueError as error:
    print(error)
"""


@pytest.mark.full
def test_a_signal_to_one_process_saves_the_same_step_in_both(tmp_path):
    pytest.importorskip("orbax.checkpoint")
    address, out = f"localhost:{free_port()}", tmp_path / "run"
    ended([("-c", STOPPED, str(n), address, str(out)) for n in range(2)], [{}, {}])
    assert checkpoints.steps(out / folder.CHECKPOINTS) == [2]
    wanted = ran(TEXT, tmp_path / "one", mesh={"data": 1})
    found = ran(TEXT, out, mesh={"data": 1}, resume=True)
    np.testing.assert_allclose(found["train"], wanted["train"], rtol=0, atol=1e-5)


@pytest.mark.full
def test_a_loss_that_is_no_number_stops_both_processes(tmp_path):
    pytest.importorskip("orbax.checkpoint")
    address, out = f"localhost:{free_port()}", tmp_path / "run"
    told = ended([("-c", DIVERGED, str(n), address, str(out)) for n in range(2)], [{}, {}])
    for each in told:
        assert "the loss became" in each or "NaN or infinite numbers came into" in each, each
        assert "the state before that step is saved" in each
    assert checkpoints.steps(out / folder.CHECKPOINTS)
