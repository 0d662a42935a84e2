"""Model files."""

import concurrent.futures
import json
import os
import struct
import tempfile
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings

import jlstm
from jlstm import Config, Layer
from jlstm.files import config_toml, models
from tests.examples import examples
from tests.networks import assert_close, configs, make_call, variant_calls

CALL = make_call(Config(6, (Layer(4, bidirectional=True), Layer(5))), 3, (2,), 0)


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.safetensors"
    jlstm.save(path, CALL.config, CALL.params)
    return path


def same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert x.dtype == y.dtype
        np.testing.assert_array_equal(x, y)


@given(configs())
def test_what_is_saved_is_what_is_loaded(tmp_path_factory, config):
    path = tmp_path_factory.mktemp("models") / "model.safetensors"
    params = jlstm.init(jax.random.key(0), config)
    jlstm.save(path, config, params)
    loaded, again = jlstm.load(path)
    assert loaded == config
    same(again, params)


def test_bfloat16_parameters_come_back_as_they_were(tmp_path):
    config = Config(6, (Layer(4),), dtype="bfloat16", param_dtype="bfloat16")
    params = jlstm.init(jax.random.key(0), config)
    jlstm.save(tmp_path / "model", config, params)
    same(jlstm.load(tmp_path / "model")[1], params)


def test_any_reader_of_safetensors_reads_the_tensors(model):
    tensors = safetensors.numpy.load_file(model)
    assert set(tensors) == {f"layers.{n}.{name}" for n in (0, 1) for name in ("w_x", "w_h", "b")}
    np.testing.assert_array_equal(tensors["layers.1.w_x"], CALL.params.layers[1].w_x)


def test_a_model_saved_twice_gives_the_same_bytes(tmp_path):
    seen, extra = set(), {"zä": jnp.ones(3), "a": jnp.ones(2, "int8"), "readout.b": jnp.ones(1)}
    for n in range(10):
        extra = dict(reversed(extra.items()))
        jlstm.save(tmp_path / f"model{n}", CALL.config, CALL.params, extra=extra)
        seen.add((tmp_path / f"model{n}").read_bytes())
    (content,) = seen
    size = struct.unpack("<Q", content[:8])[0]
    assert size % 8 == 0 and content[8:].startswith(b'{"__metadata__":{"config":')
    same(models.load_extra(tmp_path / "model0"), extra)


def test_further_arrays_travel_along(tmp_path):
    path = tmp_path / "model"
    extra = {"readout.w": jnp.arange(6.0).reshape(2, 3).T, "steps": jnp.asarray(7)}
    extra["nothing"] = jnp.zeros((0, 2))
    jlstm.save(path, CALL.config, CALL.params, extra=extra)
    same(models.load_extra(path), extra)
    same(jlstm.load(path)[1], jax.tree.map(jnp.asarray, CALL.params))


def test_further_arrays_cannot_take_the_networks_names(tmp_path):
    with pytest.raises(ValueError, match=r"'layers\.' is for the network"):
        jlstm.save(tmp_path / "m", CALL.config, CALL.params, extra={"layers.0.w_x": jnp.ones(3)})
    assert os.listdir(tmp_path) == []


def test_no_half_of_a_64_bit_number_is_lost(tmp_path):
    path = tmp_path / "model"
    jlstm.save(path, CALL.config, CALL.params, extra={"steps": np.asarray(2**40 + 1)})
    assert safetensors.numpy.load_file(path)["steps"] == 2**40 + 1
    with pytest.raises(ValueError, match=r"steps has 64-bit numbers .*jax_enable_x64"):
        models.load_extra(path)


@pytest.mark.usefixtures("x64")
def test_64_bit_numbers_come_back_whole_where_jax_has_them(tmp_path):
    path = tmp_path / "model"
    jlstm.save(path, CALL.config, CALL.params, extra={"steps": np.asarray(2**40 + 1)})
    assert models.load_extra(path)["steps"] == 2**40 + 1


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ([jnp.ones(3)], "extra is list; expected arrays by name"),
        ({1: jnp.ones(3)}, "extra has the name 1"),
        ({"a": "text"}, "extra holds 'a'"),
        ({"a": jnp.ones(3, "float8_e4m3fn")}, "extra holds 'a' in float8_e4m3fn, which is not"),
        ({"a": jnp.ones(3, "int4")}, "extra holds 'a' in int4"),
    ],
)
def test_further_things_that_are_no_arrays_are_refused(tmp_path, extra, words):
    with pytest.raises(TypeError, match=words):
        jlstm.save(tmp_path / "m", CALL.config, CALL.params, extra=extra)
    assert os.listdir(tmp_path) == []


MUCH = {
    "layers": ("[[layers]]\nhidden_size = 4\n" * 200_000, 0, "the header .* has"),
    "fewer layers": (config_toml.dumps(Config.stack(6, [4] * 2_000)), 1, "1 for 2000 layers"),
    "another text": ("a = [" + "1," * 4_000_000 + "]", 0, "the header .* has"),
    "tensors": (config_toml.dumps(Config.stack(6, [4] * 40)), 400_000, "the header .* has"),
    "other tensors": (config_toml.dumps(Config.stack(6, [4] * 40)), 9_000, "and 112 more; not exp"),
}


@pytest.mark.parametrize("name", MUCH)
def test_a_file_of_many_things_is_refused_at_once_in_few_words(name, tmp_path):
    text, count, words = MUCH[name]
    tensors = {f"layers.{n}.w": np.zeros(0, "float32") for n in range(count)}
    metadata = {"format": "jlstm", "format_version": "1", "config": text}
    (tmp_path / "m").write_bytes(safetensors.numpy.save(tensors, metadata))
    start = time.process_time()
    with pytest.raises(ValueError, match=words) as refusal:
        jlstm.load(tmp_path / "m")
    assert time.process_time() - start < 2
    assert len(str(refusal.value)) < 500


def test_more_than_can_be_loaded_is_not_saved(tmp_path):
    extra = {f"extra{n}": np.zeros(0, "float32") for n in range(20_000)}
    with pytest.raises(ValueError, match=r"the header .* at most 1048576"):
        jlstm.save(tmp_path / "m", CALL.config, CALL.params, extra=extra)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("kind", ["F8_E4M3", "F8_E5M2", "F8_E8M0", "F4"])
def test_numbers_of_other_formats_are_refused(model, kind):
    raw = model.read_bytes()
    size = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8 : 8 + size])
    end, more = len(raw) - 8 - size, 4 if kind == "F4" else 8
    header["a"] = {"dtype": kind, "shape": [8], "data_offsets": [end, end + more]}
    text = json.dumps(header).encode()
    model.write_bytes(struct.pack("<Q", len(text)) + text + raw[8 + size :] + bytes(more))
    with pytest.raises(
        ValueError, match=f"a has dtype {kind}, which is not .*; supported are bfloat16"
    ):
        models.load_extra(model)


def test_names_of_a_file_are_printed_without_control_characters(model):
    rewritten(model, lambda _, tensors: tensors.update({"layers.\x1b[31m\0": np.zeros(3)}))
    with pytest.raises(ValueError, match=r"not expected: layers\.\\x1b\[31m\\x00") as refusal:
        jlstm.load(model)
    assert str(refusal.value).isprintable()
    rewritten(model, lambda _, tensors: tensors.pop("layers.\x1b[31m\0"))
    rewritten(model, lambda _, tensors: tensors.update({"\x1b[31m": np.zeros(3)}))
    with pytest.raises(ValueError, match=r"\\x1b\[31m has 64-bit numbers") as refusal:
        models.load_extra(model)
    assert str(refusal.value).isprintable()


OUR_CONFIG = config_toml.dumps(Config.stack(6, [4]))
CRAFTED = {
    "version": (
        {"format_version": "\x1b" * 100_000},
        [0],
        r"has format version \\x1b.*newer jlstm$",
    ),
    "dotted config": ({"config": ". ".join("a" * 20_000)}, [0], "a key has more than 4 parts"),
    "size": ({"config": OUR_CONFIG.replace("= 4\n", f"= {2**40}\n")}, [0], "at most 2147483647"),
    "axes": ({}, [0] * 200_000, r"layers\.0\.w_x is float32\[0, 0.* needs float32\[6, 16\]$"),
    "huge axis": ({}, [0, 2**62, 2], r"layers\.0\.w_x is float32\[0, 4611686018427387904, 2\]"),
}


@pytest.mark.parametrize("name", CRAFTED)
def test_a_crafted_header_is_refused_in_few_words_that_name_the_file(name, tmp_path):
    metadata, shape, words = CRAFTED[name]
    own = {"format": "jlstm", "format_version": "1", "config": OUR_CONFIG} | metadata
    header: dict = {"__metadata__": own}
    for tensor in ("layers.0.w_x", "layers.0.w_h", "layers.0.b", "extra"):
        header[tensor] = {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]}
        shape = shape if name == "huge axis" else [0] * min(len(shape), 65)
    text = json.dumps(header).encode()
    (tmp_path / "m").write_bytes(struct.pack("<Q", len(text)) + text)
    with pytest.raises(ValueError, match=words) as refusal:
        jlstm.load(tmp_path / "m")
    told = [str(refusal.value)]
    if len(shape) > 1:
        with pytest.raises(ValueError, match=r"dimension|too big") as refusal:
            models.load_extra(tmp_path / "m")
        told.append(str(refusal.value))
    for said in told:
        assert said.startswith(str(tmp_path / "m")) and said.isprintable() and len(said) < 1_600


def test_a_link_stays_a_link_and_a_pipe_gets_the_bytes(model, tmp_path):
    link = tmp_path / "latest.safetensors"
    link.symlink_to("chosen.safetensors")
    jlstm.save(link, CALL.config, CALL.params)
    assert link.is_symlink()
    same(jlstm.load(tmp_path / "chosen.safetensors")[1], jlstm.load(model)[1])
    os.mkfifo(tmp_path / "pipe")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        received = pool.submit((tmp_path / "pipe").read_bytes)
        jlstm.save(tmp_path / "pipe", CALL.config, CALL.params)
    (tmp_path / "received").write_bytes(received.result())
    same(jlstm.load(tmp_path / "received")[1], jlstm.load(model)[1])


@pytest.mark.parametrize("place", ["missing/model.safetensors", ""])
def test_an_error_in_writing_names_the_file_that_was_asked_for(tmp_path, place):
    with pytest.raises(OSError, match=str(tmp_path / place)) as error:
        jlstm.save(tmp_path / place, CALL.config, CALL.params)
    assert "/." not in str(error.value)


def test_a_file_is_as_readable_as_others_or_as_it_was(model, monkeypatch):
    mask = os.umask(0)
    os.umask(mask)
    assert model.stat().st_mode & 0o777 == 0o666 & ~mask
    monkeypatch.setattr(os, "umask", None)  # it is that of all threads
    for mode in (0o600, 0o640):
        model.chmod(mode)
        jlstm.save(model, CALL.config, CALL.params)
        assert model.stat().st_mode & 0o777 == mode
    jlstm.save(model.with_name("other"), CALL.config, CALL.params)
    assert model.with_name("other").stat().st_mode & 0o777 == 0o666 & ~mask


def test_saving_replaces_the_file_at_once_or_leaves_it(model, monkeypatch):
    before = model.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        jlstm.save(model, Config.stack(6, [4]), jlstm.init(jax.random.key(0), Config.stack(6, [4])))
    assert model.read_bytes() == before
    assert os.listdir(model.parent) == [model.name]


def test_parameters_of_another_config_are_not_saved(tmp_path):
    with pytest.raises(ValueError, match="expected"):
        jlstm.save(tmp_path / "m", Config.stack(6, [4, 5]), CALL.params)
    assert os.listdir(tmp_path) == []


def test_a_config_with_a_function_is_not_saved(tmp_path):
    config = Config(6, (Layer(4),), initializer=jax.nn.initializers.normal())
    with pytest.raises(ValueError, match="cannot be written as text"):
        jlstm.save(tmp_path / "m", config, jlstm.init(jax.random.key(0), config))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("kept", [0, 4, 8, 60, 400, -100, -1])
def test_a_truncated_file_is_refused(model, kept):
    model.write_bytes(model.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"model\.safetensors is not a whole safetensors file"):
        jlstm.load(model)


@pytest.mark.parametrize("content", [b"PK\x03\x04 a zip file, perhaps", b"\xff" * 100, b"{}"])
def test_a_foreign_file_is_refused(model, content):
    model.write_bytes(content)
    with pytest.raises(ValueError, match="is not a whole safetensors file"):
        jlstm.load(model)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "nothing", tmp_path):
        with pytest.raises(ValueError, match="cannot read"):
            jlstm.load(path)


def rewritten(path, change):
    """The file with `change` applied to its metadata and tensors."""
    raw = path.read_bytes()
    size = struct.unpack("<Q", raw[:8])[0]
    metadata = json.loads(raw[8 : 8 + size])["__metadata__"]
    tensors = safetensors.numpy.load(raw)
    change(metadata, tensors)
    path.write_bytes(safetensors.numpy.save(tensors, metadata or None))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m, t: m.clear(), "jlstm did not write it"),
        (lambda m, t: m.update(format="pt"), "jlstm did not write it"),
        (lambda m, t: m.update(format_version="99"), "format version 99.*install a newer jlstm"),
        (lambda m, t: m.update(config="input_sise = 3"), "did you mean 'input_size'"),
        (lambda m, t: t.pop("layers.1.b"), "missing: layers.1.b; not expected: none"),
        (
            lambda m, t: t.update({"layers.2.b": t["layers.1.b"]}),
            "not expected: layers.2.b",
        ),
        (lambda m, t: t.update({"layers.1.b": t["layers.1.b"][:3]}), r"layers.1.b is float32\[3\]"),
        (lambda m, t: t.update({"layers.1.b": t["layers.1.b"].astype("float16")}), "float16"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(model, change, words):
    rewritten(model, change)
    with pytest.raises(ValueError, match=words):
        jlstm.load(model)


@settings(max_examples=examples(15))
@given(variant_calls(noisy=True))
def test_every_variant_comes_back_as_it_was(call):
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/model.safetensors"
        jlstm.save(path, call.config, call.params)
        config, params = jlstm.load(path)
    assert config == call.config
    assert_close(params, call.params, atol=0)


def test_an_activation_that_is_a_function_cannot_be_written_down(tmp_path):
    config = Config(3, (Layer(4, activation=jax.nn.silu),))
    with pytest.raises(ValueError, match="the activation of layer 0 is the function"):
        jlstm.save(tmp_path / "model.safetensors", config, jlstm.init(jax.random.key(0), config))


def test_parameters_spread_over_devices_are_saved_whole(model, tmp_path):
    mesh = jax.make_mesh((2,), ("units",))

    def spread(a):
        axes = [None] * (a.ndim - 1) + (["units"] if a.shape[-1] % 2 == 0 else [])
        spec = jax.sharding.PartitionSpec(*axes)
        return jax.device_put(a, jax.sharding.NamedSharding(mesh, spec))

    params = jax.tree.map(spread, CALL.params)
    assert not params.layers[0].w_x.sharding.is_fully_replicated
    jlstm.save(tmp_path / "spread.safetensors", CALL.config, params)
    same(jlstm.load(tmp_path / "spread.safetensors")[1], jlstm.load(model)[1])


def test_notes_travel_along(tmp_path):
    notes = {"author": "ä\U0001f600\x00", "": "", "config": "not the network's", "format": "x"}
    jlstm.save(tmp_path / "a", CALL.config, CALL.params, notes=notes)
    jlstm.save(tmp_path / "b", CALL.config, CALL.params, notes=dict(reversed(notes.items())))
    assert jlstm.load_notes(tmp_path / "a") == notes
    assert jlstm.load(tmp_path / "a")[0] == CALL.config
    assert models.load_extra(tmp_path / "a") == {}
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_file_without_notes_has_none(model):
    assert jlstm.load_notes(model) == {}


@pytest.mark.parametrize(
    ("notes", "said"),
    [
        (["a"], "notes is list; expected texts by name"),
        ({"a": 1}, "notes holds 'a': 1; expected a string for a string"),
        ({1: "a"}, "expected a string for a string"),
        ({"a": "\ud800"}, "halves of characters"),
        ({"a": "x" * 2**20}, r"the header \(the config, notes and the names of arrays\) has"),
    ],
)
@pytest.mark.parametrize("save", [jlstm.save, models.try_save])
def test_notes_that_a_file_cannot_hold_are_refused(tmp_path, notes, said, save):
    with pytest.raises((TypeError, ValueError), match=said):
        save(tmp_path / "model", CALL.config, CALL.params, notes=notes)
    assert list(tmp_path.iterdir()) == []
