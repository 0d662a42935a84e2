"""Checkpoints that two processes write and read together, as on two hosts."""

import pathlib
import socket
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from jlstm.train.runs import checkpoints

pytest.importorskip("orbax.checkpoint")

PROGRAM = """
import sys
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import NamedSharding, PartitionSpec as P

address, rank, folder, work = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_cpu_collectives_implementation", "gloo")
jax.distributed.initialize(address, num_processes=2, process_id=rank)

from jlstm.train.runs import checkpoints, stopping

mesh = jax.make_mesh((2,), ("data",))

def placed(a, *axes):
    sharding = NamedSharding(mesh, P(*axes))
    return jax.make_array_from_callback(np.shape(a), sharding, lambda at: np.asarray(a)[at])

def state_at(step):
    w = np.random.default_rng(0).normal(size=(100, 90)).astype("float32")
    return {"w": placed(w + np.float32(step), "data"), "b": placed(np.full(3, step))}

if work == "save":
    with checkpoints.writer(folder, keep=2) as writer:
        for step in (1, 2, 3):
            writer.save(step, state_at(step), {"best": step})
    with stopping.requests() as stop:
        assert not stop.anywhere()
        stop.number = 15 if rank else None
        assert stop.anywhere()
else:
    found = checkpoints.restore(folder, state_at(0))
    for name, array in state_at(found.step).items():
        assert found.state[name].sharding == array.sharding
        mine, its = (np.asarray(a.addressable_data(0)) for a in (found.state[name], array))
        np.testing.assert_array_equal(mine, its)
    print("found", found.step, len(found.said))
"""


def together(folder, work):
    """What each of two processes prints last."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, address, str(rank), folder, work],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=pathlib.Path(__file__).parents[3],
        )
        for rank in range(2)
    ]
    try:
        ended = [process.communicate(timeout=120) for process in processes]
    finally:
        for process in processes:
            process.kill()
    for process, (_, errors) in zip(processes, ended, strict=True):
        assert process.returncode == 0, errors[-3000:]
    return [out.splitlines()[-1:] for out, _ in ended]


@pytest.mark.full
def test_two_processes_save_and_restore_together(tmp_path):
    together(tmp_path, "save")
    assert checkpoints.steps(tmp_path) == [2, 3]
    like = {"w": jnp.zeros((100, 90)), "b": jnp.zeros(3, int)}
    found = checkpoints.restore(tmp_path, like)
    assert found.step == 3 and found.said == () and found.notes == {"best": 3}
    w = np.random.default_rng(0).normal(size=(100, 90)).astype("float32") + np.float32(3)
    np.testing.assert_array_equal(found.state["w"], w)
    assert together(tmp_path, "restore") == [["found 3 0"]] * 2

    data = (f for f in (tmp_path / "3" / "state" / "ocdbt.process_1").rglob("*") if f.is_file())
    path = max(data, key=lambda f: f.stat().st_size)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert together(tmp_path, "restore") == [["found 2 1"]] * 2
    path.unlink()
    assert together(tmp_path, "restore") == [["found 2 1"]] * 2
