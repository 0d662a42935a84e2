"""jlstm convert."""

import itertools
import os
import pathlib

import jax
import numpy as np
import pytest

import jlstm
from jlstm import Config, Layer
from jlstm.interop import command
from jlstm.interop.command import convert
from tests.interop.frameworks import assert_fits, assert_same

for _name in ("torch", "keras", "onnx", "tensorflow"):
    pytest.importorskip(_name)

pytestmark = pytest.mark.filterwarnings("ignore")
ENDINGS = (".safetensors", ".pt", ".keras", ".weights.h5", ".onnx", ".npz")


@pytest.mark.parametrize("first, second", list(itertools.permutations(ENDINGS, 2)))
def test_files_of_all_kinds_become_files_of_all_others(first, second, tmp_path, capsys):
    """Bit for bit, for biases that TensorFlow's forget bias of 1 loses nothing of."""
    config = Config.stack(5, [4, 4], bidirectional=True, forget_bias=0.0)
    params = jlstm.init(jax.random.key(0), config)
    params = params._replace(
        layers=tuple(own._replace(b=np.round(own.w_h[:, 0] * 64) / 64) for own in params.layers)
    )
    start, back = tmp_path / "start.safetensors", tmp_path / "back.safetensors"
    jlstm.save(start, config, params)
    path = start
    for n, ending in enumerate((first, second)):
        following = tmp_path / f"model{n}{ending}"
        convert(path, following)
        path = following
    convert(path, back)
    found = jlstm.load(back)
    assert_fits(found[0], config)
    assert_same(found[1], jax.tree.map(jax.numpy.asarray, params))
    assert "hidden sizes 4, 4, input size 5" in capsys.readouterr().out
    names = {file.name for file in tmp_path.iterdir()}
    assert not [name for name in names if name.startswith(".")]


def test_kinds_may_be_named(tmp_path):
    config = Config.stack(5, [4])
    jlstm.save(tmp_path / "model", config, jlstm.init(jax.random.key(0), config))
    convert(tmp_path / "model", tmp_path / "other", "jlstm", "onnx")
    convert(tmp_path / "other", tmp_path / "back.safetensors", "onnx")
    with pytest.raises(ValueError, match="its extension does not tell"):
        convert(tmp_path / "model", tmp_path / "other.onnx")
    with pytest.raises(ValueError, match="--to is 'onx'"):
        convert(tmp_path / "model", tmp_path / "other", "jlstm", "onx")


def test_an_extension_that_does_not_tell_is_answered_by_what_the_bytes_tell(tmp_path):
    config = Config.stack(5, [4])
    jlstm.save(tmp_path / "model.safetensors", config, jlstm.init(jax.random.key(0), config))
    for name, kind in (
        ("jlstm", "jlstm"),
        ("onnx", "onnx"),
        ("torch", "torch"),
        ("keras", "keras"),
    ):
        convert(tmp_path / "model.safetensors", tmp_path / name, to=kind)
        with pytest.raises(ValueError, match=f"does not tell its format; .*; add --from {kind}$"):
            convert(tmp_path / name, tmp_path / "b.safetensors")
        convert(tmp_path / name, tmp_path / "b.safetensors", from_=kind)
    (tmp_path / "damaged").write_bytes(bytes(100))
    with pytest.raises(ValueError, match="otherwise give the format by --from, one of jlstm"):
        convert(tmp_path / "damaged", tmp_path / "b.safetensors")
    with pytest.raises(ValueError, match=r"cannot read .*missing: No such file"):
        convert(tmp_path / "missing", tmp_path / "b.safetensors")


@pytest.mark.parametrize(
    "name, words",
    [
        ("b.h5", r"older \.h5 files of Keras .* \.keras or \.weights\.h5"),
        ("b.HDF5", r"older \.h5 files of Keras .* \.keras or \.weights\.h5"),
        ("b.index", r"TensorFlow checkpoints .* \.npz"),
    ],
)
def test_formats_that_are_only_read_are_refused_before_the_source_is_read(name, words, tmp_path):
    with pytest.raises(ValueError, match=f"are read but not written; .*{words[-5:]}") as caught:
        convert(tmp_path / "missing.safetensors", tmp_path / name)
    caught.match(words)


def test_one_of_several_networks_is_chosen(tmp_path):
    import torch

    two = torch.nn.ModuleDict({"a": torch.nn.LSTM(5, 4), "b": torch.nn.LSTM(3, 2)})
    torch.save(two.state_dict(), tmp_path / "two.pt")
    convert(tmp_path / "two.pt", tmp_path / "b.safetensors", prefix="b.")
    assert jlstm.load(tmp_path / "b.safetensors")[0] == Config.stack(3, [2], forget_bias=0.0)

    draw = np.random.default_rng(0)
    names = {
        f"{name}/lstm_cell/{last}": draw.normal(size=shape)
        for name in ("lower", "upper")
        for last, shape in (("kernel", (8, 16)), ("bias", (16,)))
    }
    np.savez(tmp_path / "two.npz", **{name: a.astype("float32") for name, a in names.items()})
    stack = {"scope": ("lower", "upper"), "forget_bias": 0.5}
    convert(tmp_path / "two.npz", tmp_path / "stack.safetensors", **stack)
    wanted = Config.stack(4, [4, 4], forget_bias=0.5)
    assert jlstm.load(tmp_path / "stack.safetensors")[0] == wanted
    with pytest.raises(
        ValueError, match=r"--forget-bias is an option for tensorflow files, but .* torch"
    ):
        convert(tmp_path / "two.pt", tmp_path / "c.safetensors", forget_bias=1.0)


def test_layers_in_the_wrong_order_are_the_fault_of_the_order(tmp_path):
    import keras
    import torch

    two = torch.nn.ModuleDict({"a": torch.nn.LSTM(5, 4), "b": torch.nn.LSTM(4, 3)})
    torch.save(two.state_dict(), tmp_path / "two.pt")
    out = tmp_path / "out.safetensors"
    words = r"layer 0 of 'a\.' reads 5 features, but layer 0 of 'b\.', .* puts out 3; "
    with pytest.raises(ValueError, match=words + "expected layers .* the lowest first"):
        convert(tmp_path / "two.pt", out, prefix=["b", "a"])
    convert(tmp_path / "two.pt", out, prefix=["a", "b"])

    lower, upper = (keras.layers.LSTM(n, return_sequences=True, name=f"of_{n}") for n in (4, 3))
    keras.Sequential([keras.Input((None, 5)), lower, upper]).save(tmp_path / "two.keras")
    with pytest.raises(ValueError, match="of_4 reads 5 features, but of_3, the one below it, puts"):
        convert(tmp_path / "two.keras", out, layer=["of_3", "of_4"])


@pytest.mark.parametrize("name", ["a.ckpt", "pytorch_model.bin"])
def test_files_of_torch_with_endings_that_others_use(name, tmp_path):
    import torch

    torch.save({"state_dict": torch.nn.LSTM(5, 4).state_dict()}, tmp_path / name)
    convert(tmp_path / name, tmp_path / "b.safetensors")
    assert jlstm.load(tmp_path / "b.safetensors")[0].input_size == 5
    (tmp_path / name).write_bytes(b"something else")
    with pytest.raises(ValueError, match=r"does not tell its format; .*\.bin; it is a text"):
        convert(tmp_path / name, tmp_path / "b.safetensors")
    words = (
        r"does not tell its format \(\.(ckpt|bin) files are only read\); known are .*\.npz, \.pt, "
    )
    with pytest.raises(ValueError, match=words):
        convert(tmp_path / "b.safetensors", tmp_path / name)


@pytest.mark.parametrize("way", [["--{0}", "a", "--{0}", "b"], ["--{0}", "a", "b"]])
def test_names_of_a_stack_on_the_command_line(way, tmp_path, monkeypatch, capsys):
    import torch

    from jlstm import cli

    monkeypatch.chdir(tmp_path)
    two = torch.nn.ModuleDict({"a": torch.nn.LSTM(5, 4), "b": torch.nn.LSTM(4, 2)})
    torch.save(two.state_dict(), "two.pt")
    cells = {f"{own}/lstm_cell/kernel": np.ones((8, 16), "float32") for own in "ab"}
    cells |= {f"{own}/lstm_cell/bias": np.ones(16, "float32") for own in "ab"}
    np.savez("two.npz", **cells)
    for source, option, sizes in (("two.pt", "prefix", "4, 2"), ("two.npz", "scope", "4, 4")):
        flags = [word.format(option) for word in way]
        monkeypatch.setattr("sys.argv", ["jlstm", "convert", source, "out.safetensors", *flags])
        cli.main()
        assert f"hidden sizes {sizes}" in capsys.readouterr().out


def test_endings_may_be_in_capitals(tmp_path):
    config = Config.stack(5, [4])
    jlstm.save(tmp_path / "A.SAFETENSORS", config, jlstm.init(jax.random.key(0), config))
    path = tmp_path / "A.SAFETENSORS"
    for name in ("A.ONNX", "A.KERAS", "A.NPZ", "A.WEIGHTS.H5", "A.PT"):
        convert(path, tmp_path / name)
        path = tmp_path / name
    convert(path, tmp_path / "b.safetensors")


def test_bfloat16_becomes_what_npz_files_hold(tmp_path, capsys):
    config = Config(5, (Layer(4),), dtype="bfloat16", param_dtype="bfloat16")
    params = jlstm.init(jax.random.key(0), config)
    jlstm.save(tmp_path / "a.safetensors", config, params)
    convert(tmp_path / "a.safetensors", tmp_path / "a.npz")
    assert "bfloat16 became float32" in capsys.readouterr().out
    convert(tmp_path / "a.npz", tmp_path / "b.safetensors")
    found = jlstm.load(tmp_path / "b.safetensors")[1].layers[0]
    np.testing.assert_array_equal(found.w_x, params.layers[0].w_x.astype("float32"))


def test_folders_are_refused_in_words(tmp_path):
    config = Config.stack(5, [4])
    jlstm.save(tmp_path / "a.safetensors", config, jlstm.init(jax.random.key(0), config))
    with pytest.raises(ValueError, match=f"{tmp_path} is a folder without a checkpoint"):
        convert(tmp_path, tmp_path / "b.pt")
    (tmp_path / "c.pt").mkdir()
    with pytest.raises(IsADirectoryError, match=r"cannot write it: it is a folder.*c\.pt"):
        convert(tmp_path / "a.safetensors", tmp_path / "c.pt")
    with pytest.raises(ValueError, match="it is a folder; pass the name of a file in it"):
        convert(tmp_path / "a.safetensors", tmp_path)
    words = r"cannot write it: the folder .*missing does not exist; make it.*missing/b\.pt"
    with pytest.raises(FileNotFoundError, match=words):
        convert(tmp_path / "a.safetensors", tmp_path / "missing" / "b.pt")
    words = r"cannot write it: .*a\.safetensors is a file, not a folder.*safetensors/b\.pt"
    with pytest.raises(NotADirectoryError, match=words):
        convert(tmp_path / "a.safetensors", tmp_path / "a.safetensors" / "b.pt")


def test_a_second_run_says_what_it_replaces(tmp_path, capsys):
    config = Config.stack(5, [4])
    jlstm.save(tmp_path / "a.safetensors", config, jlstm.init(jax.random.key(0), config))
    out = tmp_path / "a.onnx"
    for replaced in (False, True):
        convert(tmp_path / "a.safetensors", out)
        assert (f"{out} existed and was replaced" in capsys.readouterr().out) == replaced


def test_a_file_that_cannot_be_written_is_known_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "_read", lambda *_: pytest.fail("worked for nothing"))
    (tmp_path / "b.onnx").touch(0o444)
    for name, words in (("b.onnx", "read-only"), ("c" * 251 + ".onnx", "too long")):
        with pytest.raises(OSError, match=f"cannot write it.* {words}"):
            convert(tmp_path / "a.safetensors", tmp_path / name)


def test_what_cannot_be_held_leaves_the_file_that_is_there_alone(tmp_path):
    config = Config.stack(5, [4], projection_size=2)
    jlstm.save(tmp_path / "model.safetensors", config, jlstm.init(jax.random.key(0), config))
    out = tmp_path / "model.onnx"
    out.write_bytes(b"before")
    with pytest.raises(ValueError, match="projection_size"):
        convert(tmp_path / "model.safetensors", out)
    assert out.read_bytes() == b"before"


@pytest.fixture
def classifier(tmp_path):
    """A file that holds more than a network: a readout, and a number that JAX would cut."""
    config = Config.stack(5, [4], forget_bias=0.0)
    readout = {"readout.w": np.ones((4, 3), "float32"), "readout.b": np.arange(3.0)}
    path = tmp_path / "model.safetensors"
    extra = readout | {"steps": np.asarray(2**40 + 1)}
    jlstm.save(path, config, jlstm.init(jax.random.key(0), config), extra=extra)
    return path


def test_our_files_become_equal_files_with_all_that_they_hold(classifier, tmp_path, capsys):
    before = classifier.read_bytes()
    for out in (tmp_path / "other.safetensors", classifier):
        convert(classifier, out)
        assert out.read_bytes() == before
        assert "readout.b, readout.w, steps: copied" in capsys.readouterr().out
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "model.safetensors",
        "other.safetensors",
    ]


def test_a_file_is_replaced_by_itself_at_once_or_left(classifier, monkeypatch):
    before = classifier.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        convert(classifier, classifier)
    assert classifier.read_bytes() == before


@pytest.mark.parametrize("ending", [e for e in ENDINGS if e != ".safetensors"])
def test_what_other_formats_have_no_place_for_is_left_out_only_if_told(
    classifier, ending, tmp_path, capsys
):
    out = tmp_path / f"out{ending}"
    with pytest.raises(ValueError, match=r"also holds readout\.b, readout\.w, steps, .* --network"):
        convert(classifier, out)
    assert not out.exists()
    convert(classifier, out, network_only=True)
    assert "readout.b, readout.w, steps: left out" in capsys.readouterr().out
    convert(out, tmp_path / "back.safetensors")
    same_bits = jlstm.load(classifier)[1].layers[0].w_x
    np.testing.assert_array_equal(
        jlstm.load(tmp_path / "back.safetensors")[1].layers[0].w_x, same_bits
    )


def test_our_files_too_may_be_reduced_to_the_network(classifier):
    config, params = jlstm.load(classifier)
    convert(classifier, classifier, network_only=True)
    assert jlstm.load_extra(classifier) == {}
    assert jlstm.load(classifier)[0] == config
    assert_same(jlstm.load(classifier)[1], params)


def test_files_of_others_are_not_replaced_by_their_own_conversion(tmp_path):
    import torch

    path = tmp_path / "whole.pt"
    whole = torch.nn.ModuleDict({"lstm": torch.nn.LSTM(5, 4), "head": torch.nn.Linear(4, 2)})
    torch.save(whole.state_dict(), path)
    before = path.read_bytes()
    for options in ({}, {"to": "jlstm"}):
        with pytest.raises(ValueError, match="would be replaced by its own conversion"):
            convert(path, path, prefix="lstm.", **options)
    assert path.read_bytes() == before
    with pytest.raises(ValueError, match="--network-only is an option for jlstm files"):
        convert(path, tmp_path / "a.safetensors", prefix="lstm.", network_only=True)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no /dev/full")
@pytest.mark.parametrize("to", ["jlstm", "onnx", "torch"])
def test_a_full_disk_is_an_error_of_the_system_that_names_the_file(to, tmp_path):
    """torch.save and safetensors would raise errors of their own if they wrote to the disk."""
    config = Config.stack(3, [4])
    jlstm.save(tmp_path / "m.safetensors", config, jlstm.init(jax.random.key(0), config))
    with pytest.raises(OSError, match="No space left on device: '/dev/full'"):
        convert(tmp_path / "m.safetensors", pathlib.Path("/dev/full"), to=to)


def test_notes_are_copied_or_said_to_be_left_out(tmp_path, capsys):
    path, out = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    config = jlstm.Config.stack(3, [4])
    params = jlstm.init(jax.random.key(0), config)
    jlstm.save(path, config, params, notes={"author": "me"})
    convert(path, out)
    assert jlstm.load_notes(out) == {"author": "me"}
    assert "notes author: copied" in capsys.readouterr().out
    convert(path, out, network_only=True)
    assert jlstm.load_notes(out) == {}
    assert "notes author: left out" in capsys.readouterr().out
