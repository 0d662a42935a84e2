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
from jlstm.files.command import write
from jlstm.named import named
from tests.examples import examples, mostly_full
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


@pytest.mark.parametrize("inside", mostly_full([True, False], default=[False]))
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


@pytest.mark.full
@given(variant_calls(given=()))
@settings(max_examples=examples(8))
def test_every_variant_is_exported(call):
    exported = again(jlstm.export(call.config, call.params, platforms=[PLATFORM]))
    carry, ys = exported.call(pairs(call.carry), call.xs)
    assert_close((carry, ys), (pairs(apply(call)[0]), apply(call)[1]))


@pytest.mark.full
def test_batch_and_time_are_free_and_batch_may_come_first():
    params = jlstm.init(jax.random.key(0), STACK)
    exported = again(jlstm.export(STACK, params, time_major=False, platforms=[PLATFORM]))
    for batch, time in ((1, 1), (4, 9), (2, 3)):
        xs = np.random.default_rng(0).normal(size=(batch, time, 5)).astype("float32")
        start = jlstm.initial_carry(STACK, batch_shape=(batch,))
        _, ys = exported.call(pairs(start), xs)
        assert_close(ys, jlstm.apply(STACK, params, None, xs, time_major=False)[1])


EMPTY = {
    "lengths": {"lengths": True},
    "batch-major": {"resets": True, "time_major": False},
    "streaming": {"streaming": True},
    "readout": {"lengths": True, "readout": (np.ones((2, 6), "f4"), np.ones(6, "f4"))},
}


@pytest.mark.parametrize("name", mostly_full(list(EMPTY), default=["readout", "streaming"]))
def test_a_batch_may_be_empty(name):
    options = EMPTY[name]
    params = jlstm.init(jax.random.key(0), STACK)
    exported = again(jlstm.export(STACK, params, **options, platforms=[PLATFORM]))
    carry = pairs(jlstm.initial_carry(STACK, batch_shape=(0,)))
    shape = (4, 0) if options.get("time_major", True) else (0, 4)
    times = [np.zeros(0, "int32")] * options.get("lengths", False)
    times += [np.zeros(shape, bool)] * options.get("resets", False)
    shape = shape[1:] if name == "streaming" else shape
    after, ys = exported.call(carry, np.zeros((*shape, 5), "float32"), *times)
    assert jax.tree.map(np.shape, after) == jax.tree.map(np.shape, carry)
    assert ys.shape == ((0, 6) if name == "readout" else (*shape, 2))


def test_a_sequence_needs_a_step():
    exported = jlstm.export(STACK, jlstm.init(jax.random.key(0), STACK), platforms=[PLATFORM])
    carry = pairs(jlstm.initial_carry(STACK, batch_shape=(3,)))
    with pytest.raises(ValueError, match="value >= 1 for dimension variable 'time'"):
        exported.call(carry, np.zeros((0, 3, 5), "float32"))


@pytest.mark.parametrize(("dtype", "inputs"), [("bfloat16", "float32"), ("float32", "bfloat16")])
def test_a_program_takes_its_input_in_the_dtype_asked_for(dtype, inputs):
    config = Config(5, (Layer(4),), dtype=dtype)
    params = jlstm.init(jax.random.key(0), config)
    carry = pairs(jlstm.initial_carry(config, batch_shape=(3,)))
    xs = np.random.default_rng(0).normal(size=(7, 3, 5)).astype(inputs)
    exported = again(jlstm.export(config, params, input_dtype=inputs, platforms=[PLATFORM]))
    ys = exported.call(carry, xs)[1]
    assert ys.dtype == dtype
    wanted = jlstm.apply(config, params, None, xs, implementation="scan")[1]
    assert_close(ys.astype("float32"), wanted.astype("float32"))
    usual = jlstm.export(config, params, platforms=[PLATFORM])
    with pytest.raises(ValueError, match=inputs):
        usual.call(carry, xs)


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


@pytest.mark.full
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


def with_readout(config):
    """A model with a readout of 6 classes, and sequences [7, 3, 5]."""
    draw = np.random.default_rng(0)
    w, b = draw.normal(size=(config.output_size, 6)), draw.normal(size=6)
    params = jlstm.init(jax.random.key(0), config)
    xs = draw.normal(size=(7, 3, 5)).astype("float32")
    return params, (w.astype("float32"), b.astype("float32")), xs


@pytest.mark.parametrize("time_major", mostly_full([True, False], default=[False]))
@pytest.mark.parametrize("inside", mostly_full([True, False], default=[False]))
@pytest.mark.parametrize("lengths", [None, np.array([7, 3, 0], "int32")])
def test_a_readout_gives_the_scores_of_the_last_step(time_major, inside, lengths):
    """Those of each sequence by itself, without its padding."""
    config = Config.stack(5, [4, 3], bidirectional=True)
    params, (w, b), xs = with_readout(config)
    exported = jlstm.export(
        config,
        params if inside else None,
        readout=(w, b),
        lengths=lengths is not None,
        time_major=time_major,
        platforms=[PLATFORM],
    )
    given = [] if inside else [named(params) | {"readout.w": w, "readout.b": b}]
    times = [] if lengths is None else [lengths]
    carry = pairs(jlstm.initial_carry(config, batch_shape=(3,)))
    _, scores = again(exported).call(*given, carry, xs if time_major else xs.swapaxes(0, 1), *times)
    for n, length in enumerate([7, 7, 7] if lengths is None else lengths):
        ys = jlstm.apply(config, params, None, xs[:length, n])[1]
        assert_close(scores[n], ys[-1] @ w + b if length else b)


def test_a_readout_of_single_steps_gives_the_scores_of_each():
    config = Config.stack(5, [4, 3])
    params, (w, b), xs = with_readout(config)
    options = {"streaming": True, "platforms": [PLATFORM]}
    exported = again(jlstm.export(config, params, readout=(w, b), **options))
    carry = pairs(jlstm.initial_carry(config, batch_shape=(3,)))
    for x, y in zip(xs, jlstm.apply(config, params, None, xs)[1], strict=True):
        carry, scores = exported.call(carry, x)
        assert_close(scores, y @ w + b)


def test_a_program_of_bfloat16_reads_out_in_the_dtype_of_the_readout():
    config = Config(5, (Layer(4),), dtype="bfloat16")
    params, readout, xs = with_readout(config)
    exported = jlstm.export(config, params, readout=readout, platforms=[PLATFORM])
    _, scores = exported.call(
        pairs(jlstm.initial_carry(config, batch_shape=(3,))), xs.astype("bfloat16")
    )
    assert scores.dtype == "float32"
    ys = jlstm.apply(config, params, None, xs, implementation="scan")[1].astype("float32")
    assert_close(scores, ys[-1] @ readout[0] + readout[1])


@pytest.mark.parametrize(
    ("readout", "error", "words"),
    [
        (np.ones((3, 6)), TypeError, "readout is ndarray; expected a pair"),
        ((np.ones((3, 6)),), TypeError, "readout is tuple; expected a pair"),
        ((np.ones((4, 6)), np.ones(6)), ValueError, r"expected \(3, classes\) and \(classes,\)"),
        ((np.ones((3, 6)), np.ones(5)), ValueError, r"has weights \(3, 6\) and a bias \(5,\)"),
        ((np.ones((3, 6)), "b"), TypeError, r"readout\[1\] is str 'b'"),
        ((np.ones((3, 6), int), np.ones(6)), TypeError, r"readout\[0\] has dtype int64"),
    ],
)
def test_a_readout_that_does_not_fit_is_refused(readout, error, words):
    config = Config.stack(5, [4, 3])
    with pytest.raises(error, match=words):
        jlstm.export(config, None, readout=readout)


def test_a_readout_of_two_outputs_is_refused():
    config = Config.stack(5, [3], bidirectional=True, merge="none")
    with pytest.raises(ValueError, match="merge='none'"):
        jlstm.export(config, None, readout=(np.ones((3, 6)), np.ones(6)))


def saved(path, **extra):
    config = Config.stack(5, [4, 3])
    params, (w, b), xs = with_readout(config)
    jlstm.save(path, config, params, extra=extra or {"readout.w": w, "readout.b": b})
    carry = pairs(jlstm.initial_carry(config, batch_shape=(3,)))
    return (carry, xs), jlstm.apply(config, params, None, xs)[1], (w, b)


def test_the_command_exports_what_the_file_holds_or_is_told_not_to(tmp_path, capsys):
    model, out = tmp_path / "model.safetensors", tmp_path / "model.jax"
    given, ys, (w, b) = saved(model)
    write(model, out, platforms=[PLATFORM])
    assert_close(deserialize(out.read_bytes()).call(*given)[1], ys[-1] @ w + b)
    printed = capsys.readouterr().out
    assert "carry, scores = program.call(carry, xs)" in printed
    assert "scores are those of 6 classes after the last step, by" in printed
    assert "(c [batch, 4], h [batch, 4]), (c [batch, 3], h [batch, 3]), in float32." in printed
    assert "xs is [time, batch, 5] in float32." in printed
    write(model, out, platforms=[PLATFORM], lengths=True)
    said = "scores are those of 6 classes after the last step within each length, by"
    assert said in capsys.readouterr().out
    write(model, out, platforms=[PLATFORM], network_only=True)
    assert_close(deserialize(out.read_bytes()).call(*given)[1], ys)
    assert "carry, ys = program.call(carry, xs)" in capsys.readouterr().out


def test_the_command_does_not_drop_what_it_does_not_know(tmp_path):
    model, out = tmp_path / "model.safetensors", tmp_path / "model.jax"
    given, ys, _ = saved(model, steps=np.asarray(3, "int32"))
    words = r"also holds steps, which is not the readout .*; not expected: steps\).* --netw"
    with pytest.raises(ValueError, match=words):
        write(model, out, platforms=[PLATFORM])
    assert not out.exists()
    write(model, out, platforms=[PLATFORM], network_only=True)
    assert_close(deserialize(out.read_bytes()).call(*given)[1], ys)


def test_wrong_options():
    params = jlstm.init(jax.random.key(0), STACK)
    for platforms in (["gpu"], "cpu", [], 5, [["cpu"]], ["cpu", "cpu"]):
        with pytest.raises(ValueError, match="expected a list of some of"):
            jlstm.export(STACK, params, platforms=platforms)
    with pytest.raises(ValueError, match="input_dtype is 'int32', which is not known"):
        jlstm.export(STACK, params, input_dtype="int32")
    with pytest.raises(ValueError, match="jax_enable_x64"):
        jlstm.export(STACK, params, input_dtype=np.float64)
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
