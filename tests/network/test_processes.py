"""A batch divided over two processes, as on two hosts."""

import json
import pathlib
import socket
import subprocess
import sys

import jax
import numpy as np

import jlstm
from jlstm import Config, Layer
from tests.networks import assert_close, make_call

PROGRAM = """
import json, sys
import jax, numpy as np
from jax.sharding import NamedSharding, PartitionSpec as P

address, rank = sys.argv[1], int(sys.argv[2])
jax.config.update("jax_platforms", "cpu")
jax.distributed.initialize(address, num_processes=2, process_id=rank)

from tests.networks import make_call
from tests.network.test_processes import CONFIG, loss_of

mesh = jax.make_mesh((2,), ("batch",))

def placed(a, *axes):
    sharding = NamedSharding(mesh, P(*axes))
    return jax.make_array_from_callback(np.shape(a), sharding, lambda at: np.asarray(a)[at])

call = make_call(CONFIG, 6, (4,), 0, ("lengths",))
params = jax.tree.map(placed, call.params)
xs, lengths = placed(call.xs, None, "batch"), placed(call.times["lengths"], "batch")
slopes = jax.jit(jax.grad(loss_of))(params, xs, lengths)
leaves = [np.asarray(a.addressable_data(0)).tolist() for a in jax.tree.leaves(slopes)]
print(json.dumps({"devices": jax.device_count(), "leaves": leaves}))
"""


CONFIG = Config(3, (Layer(4, bidirectional=True), Layer(5)))


def loss_of(params, xs, lengths):
    _, ys = jlstm.apply(CONFIG, params, None, xs, lengths=lengths)
    return (ys * ys).sum()


def test_gradients_are_those_of_one_process():
    """They are added up over both: contract 14."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, address, str(rank)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=pathlib.Path(__file__).parents[2],
        )
        for rank in range(2)
    ]
    ended = [process.communicate(timeout=120) for process in processes]
    call = make_call(CONFIG, 6, (4,), 0, ("lengths",))
    wanted = jax.grad(loss_of)(call.params, call.xs, call.times["lengths"])
    for process, (out, errors) in zip(processes, ended, strict=True):
        assert process.returncode == 0, errors[-2000:]
        told = json.loads(out.splitlines()[-1])
        assert told["devices"] == 2
        leaves = [np.asarray(a, "float32") for a in told["leaves"]]
        assert_close(leaves, jax.tree.leaves(wanted))
