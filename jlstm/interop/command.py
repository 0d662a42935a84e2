"""The command `jlstm convert`: converts a network from one file format to another."""

import contextlib
import io
import pathlib
from typing import Any

import numpy as np

from jlstm import quantization, quantized, validation
from jlstm.config import Config
from jlstm.files import models, tensor_file, writing
from jlstm.interop import formats, keras, needs, onnx, quiet, tensorflow, torch
from jlstm.interop.keras import repeatable
from jlstm.interop.report import Report
from jlstm.params import Params
from jlstm.terminal import say

_OPTIONS = {"prefix": "torch", "node": "onnx", "layer": "keras"} | dict.fromkeys(
    ("scope", "forget_bias", "cell_clip", "projection_clip", "activation"), "tensorflow"
)

# Formats of files that hold int8 weights.
_INT8 = ("jlstm", "onnx")


def convert(
    source: pathlib.Path,
    out: pathlib.Path,
    from_: str | None = None,
    to: str | None = None,
    network_only: bool = False,
    quantize: bool = False,
    **options: Any,
) -> None:
    """Reads a network from one file, writes it to another, and prints what was done.

    Equal networks give equal bytes, with one version of each package.

    Args:
      source, out: the files. Their extensions tell their formats unless `from_` and `to` do. If
        `out` exists, it is replaced, and the output says so.
      from_, to: one of formats.FORMATS.
      network_only: leave out further arrays of a jlstm file, such as the readout of `jlstm train`.
        Otherwise a jlstm file becomes an equal jlstm file, and other formats raise ValueError.
      quantize: round the network's matrices to int8. The output must be a jlstm or onnx file.
        Without this option, int8 matrices of the source become float in files of other formats,
        and the output says so.
      options: `prefix` of `from_torch`, `node` of `from_onnx`, `layer` of `from_keras`,
        and all options of `from_tensorflow`. None has the same effect as leaving the option out.

    Raises:
      TypeError, ValueError: an extension is not known, files of the extension of `out` are only
        read, a file cannot be read, or the other format does not support the network or the further
        arrays, or source and out are the same file.
      OSError: `out` cannot be written. This, and what its extension tells, is found before the
        source is read.
    """
    read, written = formats.of_source(from_, source), formats.of_output(to, out)
    given = {name: value for name, value in options.items() if value is not None}
    for name in given:
        if _OPTIONS[name] != read:
            raise ValueError(
                f"--{name.replace('_', '-')} is an option for {_OPTIONS[name]} files, but {source} "
                f"is a {read} file; leave it out"
            )
    if network_only and read != "jlstm":
        raise ValueError(
            f"--network-only is an option for jlstm files, but {source} is a {read} file; leave it "
            "out"
        )
    if quantize and written not in _INT8:
        raise ValueError(
            f"{written} files have no place for int8 weights, which --quantize writes; choose "
            f"{' or '.join(_INT8)} as the format of the output, or leave out --quantize"
        )
    _require_apart(source, read, out, written, quantize)
    writing.try_by(out)
    replaces = out.is_file()
    report = Report()
    config, params = _read(source, read, report, given)
    if quantize:
        params = quantization.quantize(config, params)
    elif written not in _INT8 and quantized.names(params):
        params = quantization.dequantize(config, params)
        report.add(f"int8 weights became {config.param_dtype}: {written} files have none")
    extra = models.extra_names(source) if read == "jlstm" else []
    notes = models.load_notes(source) if read == "jlstm" else {}
    if extra and not network_only and written != "jlstm":
        raise ValueError(
            f"{source} also holds {validation.some(extra)}, for which {written} files of a network "
            "have no place; add --network-only to leave that out"
        )
    copied = read == written == "jlstm" and not network_only
    if copied and quantize:
        models.save(out, config, params, extra=_extra(source), notes=notes)
    elif copied:
        writing.write_bytes(out, source.read_bytes())
    else:
        with quiet.without_tensorflow_log() if written == "keras" else contextlib.nullcontext():
            _write(out, written, config, params, report)
    if replaces:
        report.add(f"{out} existed and was replaced")
    if extra:
        report.add(f"{validation.some(extra)}: {'copied' if copied else 'left out'}")
    if notes:
        report.add(f"notes {validation.some(notes)}: {'copied' if copied else 'left out'}")
    sizes = ", ".join(str(layer.hidden_size) for layer in config.layers)
    say(
        f"{source} ({read}) to {out} ({written}): hidden sizes {sizes}, "
        f"input size {config.input_size}"
    )
    for line in report:
        say(f"  {line}")


def _require_apart(
    source: pathlib.Path, read: str, out: pathlib.Path, written: str, quantize: bool
) -> None:
    """ValueError if a file would be replaced by its own conversion, which may hold less.

    A file of another framework may hold more than a network. Float weights hold more than int8.
    """
    if quantize or not read == written == "jlstm":
        what = "its own conversion, which may hold less than the file"
        writing.require_apart(source, out, what)


def _read(
    path: pathlib.Path, kind: str, report: Report, options: dict[str, Any]
) -> tuple[Config, Params]:
    if kind == "jlstm":
        return models.load(path)
    readers: dict[str, Any] = {
        "keras": keras.from_keras,
        "onnx": onnx.from_onnx,
        "tensorflow": tensorflow.from_tensorflow,
        "torch": torch.from_torch,
    }
    return readers[kind](path, report=report, **options)


def _extra(path: pathlib.Path) -> dict[str, np.ndarray]:
    """The further arrays of a jlstm file. Unlike those of `load_extra`, they keep their 64 bits."""
    names = models.extra_names(path)
    with tensor_file.opened(path) as (_, file):
        return {name: file.get_tensor(name) for name in names}


def _write(path: pathlib.Path, kind: str, config: Config, params: Params, report: Report) -> None:
    if kind == "jlstm":
        return models.save(path, config, params)
    if kind == "onnx":
        return writing.write_bytes(
            path, onnx.to_onnx(config, params, report=report).SerializeToString(deterministic=True)
        )
    if kind == "torch":
        state = torch.to_torch(config, params, report=report).state_dict()
        if path.name.lower().endswith(".safetensors"):
            content = needs.module("safetensors.torch").save(state, {"format": "pt"})
            return writing.write_bytes(path, content)
        # Not to a path: torch would write the temporary file's name into the file.
        needs.module("torch").save(state, saved := io.BytesIO())
        return writing.write_bytes(path, saved.getvalue())
    if kind == "keras":
        model = keras.to_keras(config, params, report=report)
        weights = path.name.lower().endswith(".weights.h5")

        def save(beside: pathlib.Path) -> None:
            model.save(beside)
            (repeatable.keep_weights if weights else repeatable.rewrite)(beside)

        return writing.write_by(path, save, ".keras")
    made = tensorflow.to_tensorflow(config, params, report=report)
    for name, array in made.items():
        if array.dtype.kind not in "fiu":
            made[name] = array.astype("float32")
            report.add(f"{array.dtype} became float32: .npz files have no {array.dtype}")
    return writing.write_by(path, lambda beside: np.savez(beside, **made), ".npz")  # type: ignore[arg-type]
