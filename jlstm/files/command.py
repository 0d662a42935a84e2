"""The command `jlstm export`: writes a saved model as a program."""

import json
import pathlib
from typing import Any

import jax
from jax import export as jax_export

from jlstm import quantized, validation
from jlstm.config import Config
from jlstm.files import models
from jlstm.files.export import BATCH, Pairs, export
from jlstm.files.writing import require_apart, try_by, write_bytes
from jlstm.network import readout as readouts
from jlstm.terminal import say

# The compatibility that JAX documents for jax.export.
PROMISE = (
    "readable by versions of JAX up to six months newer than the one that wrote it, and up to "
    "three weeks older"
)


def write(
    model: pathlib.Path,
    out: pathlib.Path,
    *,
    without_params: bool = False,
    network_only: bool = False,
    **options: Any,
) -> None:
    """Exports a saved model to a file, and prints how to run it.

    The program returns the scores of classes if the file holds a readout, as `jlstm train` saves
    it, and the outputs of the network otherwise.

    Args:
      model: the file that `save` or `jlstm train` wrote.
      out: the file to write. If it exists, it is replaced, and the output says so.
      without_params: leave the parameters out; each call takes them as an argument.
      network_only: leave out a readout, and other arrays that the file holds beside the network.
      options: options of `export`.

    Raises:
      TypeError, ValueError: for the same reasons as `load` and `export`, or the file holds arrays
        that are neither network nor readout, and `network_only` is not set, or int8 weights and
        `without_params` is set, or `model` and `out` are the same file.
      OSError: `out` cannot be written. This is found before the work.
    """
    require_apart(model, out, "its own program, from which it cannot be read back")
    try_by(out)
    replaces = out.is_file()
    config, params = models.load(model)
    if without_params and quantized.names(params):
        raise ValueError(
            f"{model} holds int8 weights, but a program of --without-params takes float weights; "
            "to store the int8 weights in the program, leave out --without-params"
        )
    readout = None if network_only else _readout(model, config)
    exported = export(config, None if without_params else params, readout=readout, **options)
    content = bytes(exported.serialize())
    write_bytes(out, content)
    say(f"{out}: {len(content)} bytes, for {', '.join(exported.platforms)}")
    if replaces:
        say("The file existed and was replaced.")
    say(f"It is {PROMISE}. On a CPU it runs a scan, without the kernels of this library.")
    say("    import pathlib")
    say("    from jax.export import deserialize")
    say(f"    program = deserialize(pathlib.Path({str(out)!r}).read_bytes())")
    names = "params, " * without_params + "carry, xs"
    names += ", lengths" * bool(options.get("lengths")) + ", resets" * bool(options.get("resets"))
    say(f"    carry, {'ys' if readout is None else 'scores'} = program.call({names})")
    pairs, xs = _carry_and_xs(exported)
    shapes = [f"(c {_shape(c)}, h {_shape(h)})" for c, h in pairs]
    say(f"The carry has one pair per layer: {', '.join(shapes)}, in {pairs[0][0].dtype}.")
    say(f"xs is {_shape(xs)} in {xs.dtype}.")
    if readout is not None:
        step = "each step" if options.get("streaming") else "the last step"
        step += " within each length" * bool(options.get("lengths"))
        say(
            f"scores are those of {len(readout[1])} classes after {step}, by the readout in "
            f"{model}; --network-only exports the network's outputs instead."
        )


def _readout(path: pathlib.Path, config: Config) -> tuple[jax.Array, jax.Array] | None:
    """The weights and bias of a file's readout; None if the file holds a network alone."""
    names = models.extra_names(path)
    if not names:
        return None
    if differs := validation.difference(names, readouts.NAMES):
        raise ValueError(
            f"{path} also holds {validation.some(names)}, which is not the readout of a model that "
            f"`jlstm train` saved ({differs}); add --network-only to export the network without "
            "it"
        )
    if (task := _other_task(path)) is not None:
        raise ValueError(
            f"{path} holds a model of the task {validation.shown(task)}, but only the readout of a "
            "classifier that reads the last step can be exported; add --network-only to export the "
            "network without it"
        )
    extra = models.load_extra(path)
    w, b = (extra[name] for name in readouts.NAMES)
    return w, b


def _other_task(path: pathlib.Path) -> str | None:
    """The task of a file's readout if it is not to classify by the last step."""
    text = models.load_notes(path).get("task")
    if text is None:
        return None
    try:
        task = json.loads(text)
        name, readout = task.get("name"), task.get("readout")
    except (ValueError, AttributeError, RecursionError):
        return "unknown"
    if name != "classify":
        return str(name)
    return None if readout == "last" else f"classify with the readout {readout}"


def _carry_and_xs(exported: jax_export.Exported) -> tuple[Pairs, Any]:
    """The types of the carry and the input of an exported program."""
    given, _ = jax.tree.unflatten(exported.in_tree, exported.in_avals)
    at = next(n for n, value in enumerate(given) if isinstance(value, tuple))
    return given[at], given[at + 1]


def _shape(a: Any) -> str:
    sizes = ["batch" if str(size) == str(BATCH) else str(size) for size in a.shape]
    return f"[{', '.join(sizes)}]"
