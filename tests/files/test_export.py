"""Networks as StableHLO, for programs that do not have this library."""

import pathlib
import re
import subprocess
import sys

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from jax.export import deserialize

import jlstm
from jlstm import Config, Layer
from jlstm.files.export import write
from jlstm.files.models import named
from tests.examples import examples
from tests.networks import apply, assert_close, calls, make_call, variant_calls

STACK = Config(
    5, (Layer(4, peepholes=True), Layer(3, projection_size=2, zoneout_h=0.1), Layer(2, skip=True))
)
SHAPE_CHECKS = {"shape_assertion"}
PLATFORM = jax.default_backend()


def pairs(carry):
    return tuple(tuple(own) for own in carry)


def again(exported):
    """What a file of it gives back."""
    return deserialize(exported.serialize())


@pytest.mark.parametrize("inside", [True, False])
@given(call=calls(batch=False, given=("lengths", "resets")))
@settings(max_examples=examples(8))
def test_the_artefact_gives_what_apply_gives(inside, call):
    call = make_call(call.config, 4, (3,), 0, call.times)
    exported = again(
        jlstm.export(
            call.config,
            call.params if inside else None,
            lengths="lengths" in call.times,
            resets="resets" in call.times,
            platforms=[PLATFORM],
        )
    )
    given = [] if inside else [named(call.params)]
    times = [call.times[name] for name in ("lengths", "resets") if name in call.times]
    carry, ys = exported.call(*given, pairs(call.carry), call.xs, *times)
    assert_close((carry, ys), (pairs(apply(call)[0]), apply(call)[1]))


@given(variant_calls(given=()))
@settings(max_examples=examples(8))
def test_every_variant_is_exported(call):
    exported = again(jlstm.export(call.config, call.params, platforms=[PLATFORM]))
    carry, ys = exported.call(pairs(call.carry), call.xs)
    assert_close((carry, ys), (pairs(apply(call)[0]), apply(call)[1]))


def test_batch_and_time_are_free_and_batch_may_come_first():
    params = jlstm.init(jax.random.key(0), STACK)
    exported = again(jlstm.export(STACK, params, time_major=False, platforms=[PLATFORM]))
    for batch, time in ((1, 1), (4, 9), (2, 3)):
        xs = np.random.default_rng(0).normal(size=(batch, time, 5)).astype("float32")
        start = jlstm.initial_carry(STACK, batch_shape=(batch,))
        _, ys = exported.call(pairs(start), xs)
        assert_close(ys, jlstm.apply(STACK, params, None, xs, time_major=False)[1])


def test_whole_sequences_and_single_steps_agree():
    """Contract 2, across artefacts."""
    params = jlstm.init(jax.random.key(0), STACK)
    whole = again(jlstm.export(STACK, params, resets=True, platforms=[PLATFORM]))
    single = again(jlstm.export(STACK, params, resets=True, streaming=True, platforms=[PLATFORM]))
    draw = np.random.default_rng(0)
    xs = draw.normal(size=(6, 3, 5)).astype("float32")
    resets = draw.random((6, 3)) < 0.3
    carry = pairs(make_call(STACK, 1, (3,), 0).carry)
    wanted = whole.call(carry, xs, resets)
    ys = []
    for x, reset in zip(xs, resets, strict=True):
        carry, y = single.call(carry, x, reset)
        ys.append(y)
    assert_close((carry, np.stack(ys)), wanted)


def test_one_file_is_for_four_platforms_and_holds_no_kernel_of_ours():
    exported = jlstm.export(STACK, jlstm.init(jax.random.key(0), STACK))
    assert exported.platforms == ("cpu", "cuda", "rocm", "tpu")
    assert set(re.findall(r"custom_call @(\w+)", exported.mlir_module())) <= SHAPE_CHECKS


def test_it_runs_where_this_library_is_not(tmp_path):
    config = Config.stack(5, [4, 3], bidirectional=True)
    params = jlstm.init(jax.random.key(0), config)
    xs = np.random.default_rng(0).normal(size=(6, 2, 5)).astype("float32")
    jlstm.save(tmp_path / "model.safetensors", config, params)
    np.savez(tmp_path / "xs.npz", xs=xs, ys=jlstm.apply(config, params, None, xs)[1])
    command = [sys.executable, "-m", "jlstm.cli", "export", "model.safetensors", "model.jax"]
    made = subprocess.run(
        [sys.executable, "-c", "from jlstm.cli import main; main()", *command[3:]],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr
    assert "readable by versions of JAX up to six months newer" in made.stdout
    code = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "jlstm":
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
import numpy as np, pathlib
from jax.export import deserialize
program = deserialize(pathlib.Path("model.jax").read_bytes())
file = np.load("xs.npz")
carry = tuple((np.zeros((2, 2, n), "float32"),) * 2 for n in (4, 3))
np.testing.assert_allclose(program.call(carry, file["xs"])[1], file["ys"], atol=1e-6)
"""
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_wrong_options():
    params = jlstm.init(jax.random.key(0), STACK)
    for platforms in (["gpu"], "cpu", [], 5, [["cpu"]], ["cpu", "cpu"]):
        with pytest.raises(ValueError, match="expected a list of some of"):
            jlstm.export(STACK, params, platforms=platforms)
    with pytest.raises(ValueError, match="no lengths"):
        jlstm.export(STACK, params, streaming=True, lengths=True)
    both = Config.stack(5, [4], bidirectional=True)
    with pytest.raises(ValueError, match="bidirectional"):
        jlstm.export(both, jlstm.init(jax.random.key(0), both), streaming=True)


def test_files_are_whole_or_not_there(tmp_path):
    out = pathlib.Path(tmp_path / "missing" / "model.jax")
    config = Config.stack(5, [4])
    jlstm.save(tmp_path / "model.safetensors", config, jlstm.init(jax.random.key(0), config))
    with pytest.raises(OSError, match=str(out)):
        write(tmp_path / "model.safetensors", out)
    assert not out.exists()
