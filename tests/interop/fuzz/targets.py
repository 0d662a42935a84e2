"""Each reader of files that are not trusted, whole files of its kind, and how to change them."""

import shutil
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

import jlstm
from jlstm import Config, validation
from jlstm.bench import cases
from jlstm.bench import records as of_bench
from jlstm.files import config_toml
from jlstm.interop import (
    Report,
    command,
    formats,
    from_keras,
    from_onnx,
    from_tensorflow,
    from_torch,
)
from jlstm.train import settings
from tests.interop.fuzz import (
    crafted_archives,
    crafted_folders,
    crafted_hdf5,
    crafted_onnx,
    crafted_tensorflow,
    crafted_text,
    crafted_torch,
)
from tests.interop.fuzz import mutations as change
from tests.interop.fuzz import mutations_folders as in_folders
from tests.interop.fuzz import mutations_hdf5 as in_hdf5
from tests.interop.fuzz import mutations_text as in_text
from tests.interop.fuzz.crafted_folders import DATA
from tests.interop.test_bad_files import checkpoint


class Kind(NamedTuple):
    """A kind of file.

    Attributes:
      read: its reader.
      structured: changes what the file holds; it takes the content, `draw`, and the content of the
        files beside it. It returns the content, or that of several files by name.
      crafted: writers of crafted files, and words of their errors.
      beside: files that belong to it.
    """

    read: Callable[[Any], Any]
    structured: Callable[..., Any]
    crafted: dict[str, tuple[Callable[[Any], Any], str]]
    beside: tuple[str, ...] = ()


def network(path):
    """The network of a config, as `train` and `load` read it."""
    tables = config_toml.read(path)
    with validation.plain_errors(path):
        return config_toml.network(tables.get("network", tables))


def training(path):
    """The tables of a config of `jlstm train`, as far as they need no data."""
    tables = settings.read(path)
    with validation.plain_errors(path):
        config_toml.section("[optimizer]", settings.Optimizer, tables.get("optimizer", {}))
        run = config_toml.section("[train]", settings.Run, tables["train"])
        return config_toml.network(tables["network"]), run


def saved_model(path):
    return from_keras(path.parent.parent)


def converted(path):
    """What `jlstm convert` reads, by the extension and the content."""
    return command._read(path, formats.of_source(None, path), Report(), {})


SAVED = "saved/variables/variables"
KINDS = {
    "jlstm.safetensors": Kind(jlstm.load, change.of_header, {}),
    "extra.safetensors": Kind(jlstm.load_extra, change.of_header, {}),
    "torch.safetensors": Kind(from_torch, change.of_header, {}),
    "state.pt": Kind(from_torch, change.of_archive, crafted_torch.CRAFTED),
    "state.bin": Kind(converted, change.of_archive, crafted_torch.CRAFTED),
    "script.pt": Kind(from_torch, change.of_archive, {}),
    "model.keras": Kind(from_keras, change.of_archive, crafted_archives.KERAS),
    "packed.keras": Kind(from_keras, change.of_archive, {}),
    "only.weights.h5": Kind(from_keras, in_hdf5.of_hdf5, crafted_hdf5.CRAFTED),
    "legacy.h5": Kind(from_keras, in_hdf5.of_hdf5, {}),
    "model.onnx": Kind(from_onnx, change.of_model, crafted_onnx.CRAFTED),
    "external.onnx": Kind(
        from_onnx, in_folders.of_external, crafted_folders.EXTERNAL, ("external.onnx.data",)
    ),
    "arrays.npz": Kind(from_tensorflow, change.of_archive, crafted_archives.NPZ),
    "v2.index": Kind(
        from_tensorflow, in_folders.of_index, crafted_tensorflow.CRAFTED, (f"v2.{DATA}",)
    ),
    "v1.ckpt": Kind(from_tensorflow, change.of_table, crafted_tensorflow.CRAFTED_V1),
    "keras.index": Kind(
        from_keras,
        in_folders.of_checkpoint("keras"),
        crafted_folders.OBJECTS,
        (f"keras.{DATA}",),
    ),
    f"{SAVED}.index": Kind(saved_model, in_folders.of_checkpoint(SAVED), {}, (f"{SAVED}.{DATA}",)),
    "config.toml": Kind(network, in_text.of_toml, crafted_text.TOML),
    "train.toml": Kind(training, in_text.of_toml, crafted_text.TOML),
    "suite.toml": Kind(cases.from_file, in_text.of_toml, crafted_text.SUITES),
    "records.jsonl": Kind(of_bench.read, in_text.of_records, crafted_text.RECORDS),
    "records.jsonl.gz": Kind(of_bench.read, in_text.of_packed_records, crafted_text.RECORDS),
}


def write_whole(folder):
    """Writes a whole file of each kind."""
    import onnx
    import tf_keras
    import torch

    from tests.interop.tensorflow.test_v1 import CELLS, saved

    config = Config.stack(5, [4, 4])
    params = jlstm.init(jax.random.key(0), config)
    jlstm.save(folder / "jlstm.safetensors", config, params)
    extra = {"readout.w": jax.numpy.ones((4, 10)), "readout.b": jax.numpy.ones(10)}
    jlstm.save(folder / "extra.safetensors", config, params, extra=extra)
    for name in ("state.pt", "model.keras", "only.weights.h5", "model.onnx", "arrays.npz"):
        command.convert(folder / "jlstm.safetensors", folder / name)
    shutil.copy(folder / "state.pt", folder / "state.bin")
    command.convert(folder / "jlstm.safetensors", folder / "torch.safetensors", to="torch")
    torch.jit.script(torch.nn.LSTM(5, 4)).save(folder / "script.pt")
    jlstm.interop.to_keras(config, params).save(folder / "legacy.h5")
    crafted_archives.keras(folder / "packed.keras", crafted_archives.weights())
    onnx.save(
        onnx.load(folder / "model.onnx"),
        folder / "external.onnx",
        save_as_external_data=True,
        location="external.onnx.data",
        size_threshold=0,
    )
    checkpoint(folder / "v2")
    saved(folder / "v1.ckpt", CELLS["one"])
    layers = tf_keras.layers
    model = tf_keras.Sequential([layers.Input((3, 5)), layers.LSTM(4), layers.Dense(2)])
    model.save_weights(folder / "keras", save_format="tf")
    model.save(folder / "saved", save_format="tf")
    text = config_toml.dumps(config)
    (folder / "config.toml").write_text(text)
    tables = f"[network]\n{text.replace('[[layers]]', '[[network.layers]]')}\n"
    run = '[data]\nsource = "digits"\n[task]\nname = "classify"\n[train]\nout = "a"\nsteps = 3\n'
    run += "[optimizer]\nlearning_rate = 0.1\n"
    (folder / "train.toml").write_text(tables + run)
    two = 'modes = ["forward"]\n' + crafted_text.cases(
        1, hidden_sizes="[3, 4]", directions="[1, 2]"
    )
    suite = crafted_text.cases(1, hidden_size=4, layers=2, shortest=0.5)
    (folder / "suite.toml").write_text(suite + two.replace('"0"', '"b"'))
    for ending in ("jsonl", "jsonl.gz"):
        with of_bench.appending(folder / f"records.{ending}") as write:
            write([crafted_text.TIMED, crafted_text.LEFT_OUT] * 3)
