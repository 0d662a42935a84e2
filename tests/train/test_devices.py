"""Training over several devices: the losses of one device, whatever the mesh is."""

import jax
import numpy as np
import pytest

from jlstm import Config
from jlstm.train import devices, launch, loop, step
from jlstm.train.data import batches
from jlstm.train.optimizer import Optimizer, transformation
from jlstm.train.sections import MeshSizes
from jlstm.train.tasks.classify import Classify
from tests.train.runs_of_devices import CASES, STEPS, classes, ran

MESHES = ({"data": 8}, {"data": 4, "model": 2}, {"data": 1, "model": 8})


@pytest.fixture(autouse=True)
def eight_devices():
    if jax.device_count() < 8:
        pytest.skip("needs eight devices: run with jax_num_cpu_devices=8")


def by_hand(sizes):
    """The losses and the last state of a few steps, and the compiled programs that they took."""
    config, task = Config.stack(3, [8]), Classify(4)
    mesh = devices.mesh_of(sizes, 8)
    settings = Optimizer(name="adam", learning_rate=0.03, clip_norm=0.1, average=0.9)
    optimizer = devices.optimizer(mesh, transformation(settings, STEPS))
    one = devices.train_step(mesh, step.make_train_step(config, task, optimizer, average=0.9))
    traced = []

    def counted(*args):
        traced.append(1)
        return one(*args)

    def new(key):
        return step.new_state(key, config, task, optimizer, average=True)

    state = devices.made(mesh, new, jax.random.key(0))
    before = shardings(state)
    made = loop.updates(
        counted,
        state,
        batches.training(classes().train, 8, share=devices.share()),
        devices.key(mesh, 0),
        steps=STEPS,
        stops=lambda done: 2,
        place=lambda batch: devices.placed(mesh, batch, 8, stacked=True),
    )
    ended = list(made)
    assert shardings(ended[-1].state) == before
    return np.concatenate([each.metrics["loss"] for each in ended]), ended[-1].state, len(traced)


def shardings(state):
    """Where the arrays of a state are, if it is on several devices."""
    if len(state.step.devices()) == 1:
        return None
    return [a.sharding.spec for a in jax.tree.leaves(state)]


def test_losses_are_those_of_one_device():
    """Contract 14, in training. The state stays where it is, so each program is traced once."""
    wanted, one, traced = by_hand(MeshSizes(1, 1))
    for sizes in (MeshSizes(8, 1), MeshSizes(4, 2)):
        found, many, again = by_hand(sizes)
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)
        assert again == traced
        for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(many), strict=True):
            np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=0, atol=1e-5)


def test_each_device_holds_its_part_of_divided_parameters():
    """The optimiser's moments and the average are divided as well."""
    _, state, _ = by_hand(MeshSizes(4, 2))
    layer, moments = state.model.network.layers[0], state.optimizer[1][0]
    for a in (layer.w_x, layer.w_h, state.average.head.w, moments.mu.network.layers[0].w_h):
        assert a.sharding.shard_shape(a.shape) == (*a.shape[:-1], a.shape[-1] // 2)


@pytest.mark.full
@pytest.mark.parametrize("case", CASES)
def test_a_run_measures_what_one_device_does(case, tmp_path):
    wanted = ran(case, tmp_path / "one", mesh={"data": 1})
    for n, mesh in enumerate(MESHES):
        close(ran(case, tmp_path / str(n), mesh=mesh), wanted)


@pytest.mark.full
@pytest.mark.parametrize("case", CASES)
def test_a_run_of_eight_devices_goes_on_with_four_and_with_one(case, tmp_path):
    pytest.importorskip("orbax.checkpoint")
    wanted = ran(case, tmp_path / "whole", mesh={"data": 8})
    for n, mesh in enumerate(({"data": 4}, {"data": 1}, {"data": 2, "model": 4})):
        out = tmp_path / str(n)
        ran(case, out, steps=STEPS // 2, mesh={"data": 8})
        close(ran(case, out, mesh=mesh, resume=True), wanted)


def close(found, wanted):
    for split, values in wanted.items():
        # A run that was stopped measured the test split then, too.
        np.testing.assert_allclose(found[split][-len(values) :], values, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("sizes", "batch_size", "message"),
    [
        (MeshSizes(), 12, "12, which 8 devices cannot share evenly; set batch_size = 8 or 16"),
        (MeshSizes(2, 2), 3, "3, which 4 devices cannot share evenly; set batch_size = 4"),
        (MeshSizes(4, 4), 16, "data = 4, model = 4 needs 16 devices, but there are 8"),
        (MeshSizes(None, 16), 16, "data = 1, model = 16 needs 16 devices, but there are 8"),
    ],
)
def test_sizes_that_do_not_fit_say_what_would(sizes, batch_size, message):
    with pytest.raises(ValueError, match=message):
        devices.mesh_of(sizes, batch_size)


def test_all_devices_are_used_by_default():
    mesh = devices.mesh_of(MeshSizes(model=2), 16)
    assert dict(mesh.shape) == {"data": 4, "model": 2}
    assert devices.mesh_of(MeshSizes(data=1), 3) is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("node:1", 2, None), "--process is missing"),
        (("node", 2, 0), "--coordinator is 'node'; expected HOST:PORT"),
        (("node:1", 2, 2), "--process is 2"),
    ],
)
def test_processes_that_cannot_meet_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        launch.join(*given)
