"""Checkpoints: what is saved is what is restored, whatever happened to the process or the disk."""

import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jlstm
from jlstm.train.runs import checkpoints, fingerprints
from tests.examples import mostly_full

pytest.importorskip("orbax.checkpoint")
optax = pytest.importorskip("optax")

CONFIG = jlstm.Config.stack(3, [4, 5])


class State(NamedTuple):
    step: Any
    model: Any
    optimizer: Any
    average: Any = None
    carry: Any = None


def new():
    """A training state with all kinds of nodes, in NumPy arrays."""
    rng = np.random.default_rng(0)
    network = jlstm.init(jax.random.key(0), CONFIG)
    model = {
        "network": network,
        "query": None,
        "table": rng.normal(size=(100, 90)).astype("float32"),
    }
    model["short"] = np.zeros(3, jnp.bfloat16)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(1e-3)).init(model)
    carry = jlstm.initial_carry(CONFIG, network, (2,))
    return jax.tree.map(np.asarray, State(jnp.asarray(0), model, optimizer, None, carry))


NEW = new()


def state_at(step):
    """A training state that differs at every step."""
    return jax.tree.map(lambda a: jnp.asarray((a + step).astype(a.dtype)), NEW)


def same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert x.dtype == y.dtype
        np.testing.assert_array_equal(x, y)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Checkpoints of steps 10 and 20."""
    folder = tmp_path_factory.mktemp("written")
    with checkpoints.writer(folder, keep=2) as writer:
        for step in (5, 10, 20):
            writer.save(step, state_at(step), {"best": 0.5, "steps": step, "none": None})
    return folder


@pytest.fixture
def folder(written, tmp_path):
    """A copy of these checkpoints."""
    return shutil.copytree(written, tmp_path / "checkpoints")


def test_the_newest_is_restored_with_its_notes(written):
    found = checkpoints.restore(written, state_at(0))
    assert (found.step, found.said) == (20, ())
    assert found.notes == {"best": 0.5, "steps": 20, "none": None}
    same(found.state, state_at(20))
    assert checkpoints.steps(written) == [10, 20], "only the newest two stay"


def test_shapes_alone_tell_what_to_restore(written):
    structs = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), state_at(0))
    same(checkpoints.restore(written, structs).state, state_at(20))


def test_nothing_there_gives_nothing(tmp_path):
    assert checkpoints.restore(tmp_path, state_at(0)) is None
    assert checkpoints.restore(tmp_path / "nowhere", state_at(0)) is None


def damage(path, how):
    content = bytearray(path.read_bytes())
    if how == "removed":
        path.unlink()
    elif how == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif how == "emptied":
        path.write_bytes(b"")
    else:
        content[len(content) // 2] ^= 16
        path.write_bytes(content)


def largest(folder):
    return max((f for f in folder.rglob("*") if f.is_file()), key=lambda f: f.stat().st_size)


@pytest.mark.parametrize(
    "how", mostly_full(["changed", "truncated", "removed", "emptied"], default=["changed"])
)
def test_a_damaged_newest_falls_back_to_the_one_before(folder, how):
    damage(largest(folder / "20" / "state" / "ocdbt.process_0"), how)
    found = checkpoints.restore(folder, state_at(0))
    assert found.step == 10
    same(found.state, state_at(10))
    (line,) = found.said
    assert line.startswith("the checkpoint of step 20 is damaged, and is skipped: ")
    assert len(line) < 250 and "\n" not in line


def test_damaged_notes_fall_back_too(folder):
    about = folder / "20" / "about" / "metadata"
    about.write_text(about.read_text().replace('"best": 0.5', '"best": 0.4'))
    found = checkpoints.restore(folder, state_at(0))
    assert found.step == 10 and "its notes are not those that were saved" in found.said[0]


@pytest.mark.full
@pytest.mark.parametrize("how", ["changed", "truncated", "removed", "emptied"])
def test_no_damage_goes_unseen(written, tmp_path, how):
    """Whichever file is damaged: the newest state as it was saved, or the one before."""
    seen = set()
    for n, path in enumerate(sorted(f for f in (written / "20").rglob("*") if f.is_file())):
        copy = shutil.copytree(written, tmp_path / str(n))
        damage(copy / path.relative_to(written), how)
        found = checkpoints.restore(copy, state_at(0))
        same(found.state, state_at(found.step))
        seen.add(found.step)
    assert seen == {10, 20}


def test_an_empty_folder_of_a_step_falls_back(folder):
    shutil.rmtree(folder / "20")
    (folder / "20").mkdir()
    assert checkpoints.restore(folder, state_at(0)).step == 10


def test_no_whole_checkpoint_is_an_error(folder):
    for step in ("10", "20"):
        damage(folder / step / "about" / "metadata", "removed")
    with pytest.raises(ValueError, match=r"no checkpoint in .* is whole; add --overwrite to begin"):
        checkpoints.restore(folder, state_at(0))


def test_a_checkpoint_of_another_model_is_no_damage(written):
    other = state_at(0)._replace(carry=jlstm.initial_carry(CONFIG, None, (3,)))
    said = r"20 is the checkpoint of another model or optimiser: carry.0.c is float32\[2, 4\] there"
    with pytest.raises(ValueError, match=said):
        checkpoints.restore(written, other)
    with pytest.raises(ValueError, match=r"average is none there, but float32\[\] in this run"):
        checkpoints.restore(written, state_at(0)._replace(average=jnp.zeros(())))


def test_going_on_writes_newer_checkpoints_again(folder):
    damage(largest(folder / "20"), "removed")
    found = checkpoints.restore(folder, state_at(0))
    with checkpoints.writer(folder, keep=2, after=found.step) as writer:
        assert checkpoints.steps(folder) == [10]
        writer.save(10, state_at(7))  # is saved already
        writer.save(20, state_at(21))
    assert checkpoints.steps(folder) == [10, 20]
    found = checkpoints.restore(folder, state_at(0))
    assert found.said == () and found.notes == {}
    same(found.state, state_at(21))


def test_a_new_run_removes_old_checkpoints(folder):
    (folder / "30.orbax-checkpoint-tmp").mkdir()
    with checkpoints.writer(folder):
        assert list(folder.iterdir()) == []


@pytest.mark.full
def test_donated_arrays_are_saved_as_they_were(tmp_path):
    @jax.jit
    def new(step):
        return {"w": jnp.full((300, 300), step, "float32")}

    step = jax.jit(lambda s: {"w": s["w"] + 1}, donate_argnums=0)
    state = new(0.0)
    with checkpoints.writer(tmp_path, keep=9) as writer:
        for n in range(1, 5):
            state = step(state)
            writer.save(n, state)
            state = step(step(state))
    for n in range(1, 5):
        found = checkpoints.restore(tmp_path, state)
        assert found.step == 5 - n and found.said == ()
        assert (np.asarray(found.state["w"]) == 3 * (5 - n) - 2).all()
        shutil.rmtree(tmp_path / str(5 - n))


@pytest.mark.full
def test_checkpoints_resume_on_another_number_of_devices(tmp_path):
    def on(count, spec):
        mesh = jax.sharding.Mesh(np.array(jax.devices()[:count]), ("data",))
        return jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*spec))

    w = jnp.arange(64.0).reshape(16, 4)
    with checkpoints.writer(tmp_path) as writer:
        writer.save(1, {"w": jax.device_put(w, on(8, ("data",))), "n": jnp.asarray(3)})
    for sharding in (on(4, ("data",)), on(2, (None, "data")), on(1, ())):
        like = {"w": jax.ShapeDtypeStruct(w.shape, w.dtype, sharding=sharding), "n": jnp.asarray(0)}
        found = checkpoints.restore(tmp_path, like)
        assert found.said == () and found.state["w"].sharding == sharding
        np.testing.assert_array_equal(found.state["w"], w)


def test_equal_arrays_have_equal_fingerprints_and_others_do_not():
    devices = jax.sharding.Mesh(np.array(jax.devices()), ("data",))
    sharding = jax.sharding.NamedSharding(devices, jax.sharding.PartitionSpec(None, "data"))
    w = jax.random.normal(jax.random.key(0), (6, 8))
    told = fingerprints.described({"w": w})
    assert fingerprints.described({"w": jax.device_put(w, sharding)}) == told
    for other in (w.T.reshape(6, 8), -w, w.at[2, 3].add(1e-6), w[::-1]):
        assert fingerprints.described({"w": other}) != told
    kinds = {"bool": jnp.array([True, False]), "int8": jnp.ones(3, "int8"), "none": jnp.ones((0,))}
    kinds |= {"bf": jnp.ones(3, "bfloat16"), "complex": jnp.ones(3, "complex64")}
    assert len({value[2] for value in fingerprints.described(kinds).values()}) == 5
    assert fingerprints.described({"key": jax.random.key(0)})


@pytest.fixture
def limited():
    """Files of at most 50,000 bytes, as if the disk were full."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_is_an_error_and_the_old_checkpoint_stays(tmp_path, limited, capfd):
    state = {"w": jax.random.normal(jax.random.key(0), (200, 200))}
    said = (
        f"cannot write the checkpoint of step 2 to {tmp_path}: File too large; "
        "the checkpoint of step 1 stays"
    )
    with pytest.raises(OSError) as error, checkpoints.writer(tmp_path, keep=1) as writer:
        writer.save(1, state)
        writer.wait()
        limited()
        writer.save(2, state)
        writer.wait()
    assert str(error.value) == said
    assert [each.name for each in tmp_path.iterdir()] == ["1"]
    assert checkpoints.restore(tmp_path, state).step == 1
    assert capfd.readouterr() == ("", "")


def test_an_error_of_the_last_checkpoint_is_raised_at_the_end(tmp_path, limited):
    limited()
    state = {"w": jax.random.normal(jax.random.key(0), (200, 200))}
    with (
        pytest.raises(OSError, match=r"step 1 .* File too large$"),
        checkpoints.writer(tmp_path) as w,
    ):
        w.save(1, state)


def test_another_error_is_not_hidden_by_that_of_a_checkpoint(tmp_path, limited):
    limited()
    state = {"w": jax.random.normal(jax.random.key(0), (200, 200))}
    with pytest.raises(KeyboardInterrupt), checkpoints.writer(tmp_path) as writer:
        writer.save(1, state)
        raise KeyboardInterrupt


SAVE = """
import pathlib, sys
import jax.numpy as jnp
from jlstm.train.runs import checkpoints

like = {"w": jnp.zeros((200, 200)), "step": jnp.zeros((), "int32")}
found = checkpoints.restore(sys.argv[1], like)
assert found is None or not found.said, found.said
start = 0 if found is None else found.step
seen = pathlib.Path(sys.argv[2])
with checkpoints.writer(sys.argv[1], keep=2, after=found and start) as writer:
    for step in range(start + 1, 10**6):
        state = {"w": like["w"] + step, "step": jnp.asarray(step, "int32")}
        writer.save(step, state, {"step": step})
        seen.write_text(f"{step} {writer.last}")
"""


def killed_runs(folder, times, rng):
    """Kills a process that saves in a loop, at random moments, and checks what is restored."""
    like = {"w": jnp.zeros((200, 200)), "step": jnp.zeros((), "int32")}
    seen, newest = folder / "seen", 0
    for _ in range(times):
        seen.unlink(missing_ok=True)
        child = subprocess.Popen([sys.executable, "-c", SAVE, folder / "c", seen])
        while not seen.exists() and child.poll() is None:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.3))
        child.send_signal(signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL
        begun, last = seen.read_text().split() or (newest, "None")
        found = checkpoints.restore(folder / "c", like)
        if found is None:
            assert last == "None"
            continue
        assert found.said == () and found.notes == {"step": found.step}
        assert (np.asarray(found.state["w"]) == found.step).all()
        assert found.state["step"] == found.step
        # The one that was begun last, the one before, or one begun since `seen` was written.
        assert max(newest, int(begun) - 1) <= found.step <= int(begun) + 1
        newest = found.step
    assert newest > 0


@pytest.mark.full
def test_a_killed_process_loses_no_more_than_one_interval(tmp_path):
    killed_runs(tmp_path, 2, random.Random(0))


@pytest.mark.long
def test_kills_at_50_random_moments(tmp_path):
    killed_runs(tmp_path, 50, random.Random(1))


def test_without_orbax_an_error_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "orbax.checkpoint", None)
    said = r"checkpoints need the package orbax-checkpoint: pip install 'jlstm\[train\]'"
    with pytest.raises(ImportError, match=said), checkpoints.writer(tmp_path):
        pass
