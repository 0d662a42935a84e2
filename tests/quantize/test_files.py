"""Model files with int8 weights, and the commands that read and write them."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

import jlstm
from jlstm import Config, Layer
from jlstm.files import command as export_command
from tests.examples import mostly_full
from tests.networks import apply, assert_close, make_call
from tests.quantize.made import CONFIG, quantized_call
from tests.test_variants import NETWORKS


def same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert x.dtype == y.dtype
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("name", mostly_full([*NETWORKS], default=["projections and clips"]))
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_is_saved_is_what_is_loaded(name, dtype, tmp_path):
    config = Config(3, NETWORKS[name], param_dtype=dtype, learn_initial_carry=True)
    params = jlstm.quantize(config, make_call(config, 1, (), 0, (), dtype).params)
    jlstm.save(tmp_path / "model", config, params, extra={"values": jnp.ones(3)})
    loaded, again = jlstm.load(tmp_path / "model")
    assert loaded == config
    same(again, params)
    same(jlstm.load_extra(tmp_path / "model"), {"values": jnp.ones(3)})


def test_some_layers_may_stay_float(tmp_path):
    call, exact = quantized_call(CONFIG)
    mixed = jlstm.Params((call.params.layers[0], exact.params.layers[1]))
    jlstm.save(tmp_path / "model", CONFIG, mixed)
    same(jlstm.load(tmp_path / "model")[1], mixed)


def test_any_reader_of_safetensors_reads_values_and_scales(tmp_path):
    config = Config(64, (Layer(64),))
    params = jlstm.init(jax.random.key(0), config)
    small = jlstm.quantize(config, params)
    for name, own in (("float", params), ("int8", small)):
        jlstm.save(tmp_path / name, config, own)
    tensors = safetensors.numpy.load_file(tmp_path / "int8")
    parts = {f"w_{way}.{part}" for way in "xh" for part in ("values", "scale")}
    assert set(tensors) == {f"layers.0.{name}" for name in (*parts, "b")}
    np.testing.assert_array_equal(tensors["layers.0.w_x.values"], small.layers[0].w_x.values)
    ratio = (tmp_path / "float").stat().st_size / (tmp_path / "int8").stat().st_size
    assert ratio > 3.5


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("w_x.values", lambda a: a.astype("int16"), r"w_x.values is int16.*needs int8\[3, 20\]"),
        ("w_x.values", lambda a: a[:, :16], r"int8\[3, 16\].*needs int8\[3, 20\]"),
        ("w_x.scale", lambda a: a.astype("float16"), r"scale is float16.*needs float32\[20\]"),
        ("w_x.scale", lambda a: a[None], r"scale is float32\[1, 20\].*needs float32\[20\]"),
        ("w_x.scale", lambda a: None, r"layers\.0\.w_x\.scale"),
        ("w_x.values", lambda a: None, r"layers\.0\.w_x"),
        ("b.values", lambda a: np.zeros(20, "int8"), r"layers\.0\.b\.values"),
    ],
)
def test_files_whose_parts_do_not_fit_are_refused(name, change, words, tmp_path):
    path = tmp_path / "model.safetensors"
    call, _ = quantized_call(CONFIG)
    jlstm.save(path, CONFIG, call.params)
    with safetensors.safe_open(path, "numpy") as file:
        metadata = file.metadata()
    tensors = safetensors.numpy.load_file(path)
    changed = change(tensors.pop(f"layers.0.{name}", None))
    if changed is not None:
        tensors[f"layers.0.{name}"] = np.ascontiguousarray(changed)
    safetensors.numpy.save_file(tensors, path, metadata)
    with pytest.raises(ValueError, match=words):
        jlstm.load(path)


def test_the_command_exports_int8_and_says_what_it_cannot(tmp_path, capsys):
    call, exact = quantized_call(CONFIG)
    jlstm.save(tmp_path / "model", CONFIG, call.params)
    export_command.write(tmp_path / "model", tmp_path / "program", platforms=["cpu"])
    program = jax.export.deserialize(bytearray((tmp_path / "program").read_bytes()))
    _, ys = program.call(tuple(map(tuple, call.carry)), call.xs)
    assert_close(ys, apply(exact)[1])
    with pytest.raises(ValueError, match=r"holds int8 weights.*leave out --without-params"):
        export_command.write(tmp_path / "model", tmp_path / "other", without_params=True)
    assert not (tmp_path / "other").exists()
    assert "bytes" in capsys.readouterr().out


@pytest.fixture
def model(tmp_path):
    """A model file as training writes it, and a number that JAX would cut."""
    path = tmp_path / "model.safetensors"
    params = jlstm.init(jax.random.key(0), CONFIG)
    extra = {"readout.w": np.ones((4, 3), "float32"), "steps": np.asarray(2**40 + 1)}
    jlstm.save(path, CONFIG, params, extra=extra, notes={"task": "x"})
    return path


def test_convert_rounds_the_weights_and_keeps_all_else(model, capsys):
    command = pytest.importorskip("jlstm.interop.command")
    out = model.with_name("small.safetensors")
    command.convert(model, out, quantize=True)
    assert "readout.w, steps: copied" in capsys.readouterr().out
    config, params = jlstm.load(model)
    same(jlstm.load(out), (config, jlstm.quantize(config, params)))
    assert safetensors.numpy.load_file(out)["steps"] == 2**40 + 1
    assert jlstm.load_notes(out) == {"task": "x"}
    copy = model.with_name("copy.safetensors")
    command.convert(out, copy)
    assert copy.read_bytes() == out.read_bytes()
    with pytest.raises(ValueError, match="quantized already"):
        command.convert(out, copy, quantize=True)
    with pytest.raises(ValueError, match="may hold less than the file"):
        command.convert(model, model, quantize=True)
    with pytest.raises(ValueError, match="tensorflow files have no place"):
        command.convert(model, model.with_name("model.npz"), quantize=True, network_only=True)


def test_convert_writes_floats_for_frameworks_without_int8(model, capsys):
    command = pytest.importorskip("jlstm.interop.command")
    small, out = model.with_name("small.safetensors"), model.with_name("model.npz")
    command.convert(model, small, quantize=True, network_only=True)
    command.convert(small, out, to="tensorflow")
    assert "int8 weights became float32: tensorflow files have none" in capsys.readouterr().out
    back = model.with_name("back.safetensors")
    command.convert(out, back)
    config, params = jlstm.load(small)
    exact = jlstm.dequantize(config, params)
    np.testing.assert_array_equal(jlstm.load(back)[1].layers[1].w_h, exact.layers[1].w_h)


def test_the_command_line_has_the_option(model, monkeypatch):
    cli = pytest.importorskip("jlstm.cli")
    out = str(model.with_name("small.safetensors"))
    monkeypatch.setattr("sys.argv", ["jlstm", "convert", str(model), out, "--quantize"])
    with contextlib.suppress(SystemExit):
        cli.main()
    assert jlstm.load(out)[1].layers[0].w_x.values.dtype == "int8"
