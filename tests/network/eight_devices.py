"""A call whose batch is divided over eight devices, and the collectives of compiled programs."""

import re

import jax
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import jlstm
from jlstm import Config, Layer
from tests.examples import mostly_full
from tests.networks import make_call

CONFIG = Config(5, (Layer(6, bidirectional=True), Layer(4)), learn_initial_carry=True)
CALL = make_call(CONFIG, 7, (16,), 0, ("lengths", "resets"))
COLLECTIVES = r"\b(all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter)(?:-start)?\("
SPECS = (P(), P(None, "data"), P("data"), P(None, "data"))
_KINDS = [AxisType.Auto, AxisType.Explicit]
KINDS = pytest.mark.parametrize("kind", _KINDS, ids=lambda kind: kind.name)
# For slow tests: the explicit mesh is marked `full`.
AUTO_MESH = pytest.mark.parametrize(
    "kind", mostly_full(_KINDS, [AxisType.Auto]), ids=lambda kind: kind.name
)


def outputs(params, xs, lengths, resets):
    return jlstm.apply(CONFIG, params, None, xs, lengths=lengths, resets=resets)


def loss(*args):
    return (outputs(*args)[1] ** 2).sum()


gradients = jax.grad(loss, (0, 1))

ARGS = (CALL.params, CALL.xs, CALL.times["lengths"], CALL.times["resets"])


def mesh(kind):
    """A mesh of eight devices along "data"."""
    if jax.device_count() < 8:
        pytest.skip("needs eight devices: run with jax_num_cpu_devices=8")
    return jax.make_mesh((8,), ("data",), axis_types=(kind,))


def sharded_args(mesh):
    return [
        jax.device_put(arg, NamedSharding(mesh, spec))
        for arg, spec in zip(ARGS, SPECS, strict=True)
    ]


def collectives(function, args):
    return re.findall(COLLECTIVES, jax.jit(function).lower(*args).compile().as_text())


def fetched(tree):
    return jax.tree.map(np.asarray, tree)
