"""Exports networks as StableHLO, to run with JAX but without this library."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import export as jax_export

from jlstm import arguments, validation
from jlstm.config import Config, require_config
from jlstm.dtypes import dtype_name, require_x64, state_dtype
from jlstm.named import named
from jlstm.network import readout as readouts
from jlstm.network.stack import apply
from jlstm.network.step import step
from jlstm.params import Carry, Params, shaped

INPUT_DTYPES = ("bfloat16", "float16", "float32", "float64")
PLATFORMS = ("cpu", "cuda", "rocm", "tpu")

# The size of the batch. JAX takes a symbol to be 1 or more; written so, the batch may be empty.
# Time may not be empty: a scan reads its first step.
BATCH = "batch_and_1 - 1"

Pairs = tuple[tuple[jax.Array, jax.Array], ...]
# A network's parameters and the weights and bias of its readout, if any.
Model = tuple[Params, Sequence[Any] | None]


def export(
    config: Config,
    params: Params | None,
    *,
    readout: tuple[Any, Any] | None = None,
    streaming: bool = False,
    lengths: bool = False,
    resets: bool = False,
    time_major: bool = True,
    input_dtype: Any = None,
    platforms: Sequence[str] = PLATFORMS,
) -> jax_export.Exported:
    """The network as a program for several platforms, with dynamic batch and time sizes.

    The batch may be empty. A sequence needs at least one step.

    Call the result as `call(carry, xs)`; it returns `(carry, ys)`. If params is None, the
    parameters are the first argument. If asked for, `lengths` and `resets` are the last arguments.
    All values are plain tuples, dictionaries and arrays, so the caller does not need this library.
    The carry has a pair (c, h) per layer, [B, H] and [B, P], with a leading axis of 2 for a
    bidirectional layer. Start from zeros, or from the values of `initial_carry`.

    `serialize()` gives the bytes of a file. Versions of JAX up to six months newer than the one
    that wrote it, and up to three weeks older, can read it. The program runs the scan on every
    platform, CPU included: the kernels of this library are not part of it.

    Args:
      config: the network.
      params: its parameters, which become part of the program. If None, each call takes them as a
        dictionary of arrays under the names that `save` uses: "layers.0.w_x".
      readout: weights w [P, classes] and bias b [classes] of a linear readout. The program then
        returns scores [B, classes] in place of ys: ys @ w + b for the last output. With `lengths`,
        this is the output at the length; it counts as zero at length 0. With `streaming`, each
        call returns the scores of its step. If params is None, each call takes the readout too, as
        "readout.w" and "readout.b".
      streaming: run one step per call: xs is [B, I] and ys [B, P]. Otherwise xs is [T, B, I] and ys
        [T, B, P].
      lengths: add an argument for the sequences' lengths [B], int32.
      resets: add an argument for reset flags [T, B], or [B] with `streaming`.
      time_major: whether a sequence is [T, B, I] or [B, T, I].
      input_dtype: the dtype of xs, by default config.dtype. A program takes xs in one dtype, unlike
        `apply`: "float32" suits callers of a bfloat16 network that have no bfloat16. The program
        rounds xs to config.dtype, as `apply` does.
      platforms: the platforms to export for, some of "cpu", "cuda", "rocm" and "tpu".

    Returns:
      The program, of jax.export. `call` runs it, and `serialize` gives the bytes of a file.

    Raises:
      TypeError, ValueError: a platform is not known, `streaming` is set but the network cannot run
        one step at a time, input_dtype is not floating point, or options contradict each other.

    >>> from jax.export import deserialize
    >>> from jlstm import init
    >>> config = Config.stack(6, [4, 5])
    >>> exported = export(config, init(jax.random.key(0), config))
    >>> again = deserialize(exported.serialize())
    >>> carry, ys = again.call(((jnp.zeros((3, 4)),) * 2, (jnp.zeros((3, 5)),) * 2),
    ...                        jnp.ones((7, 3, 6)))
    >>> ys.shape
    (7, 3, 5)
    """
    require_config(config)
    if params is not None:
        arguments.params(config, params)
    if readout is not None:
        readout = readouts.checked(config, readout)
    input_dtype = config.dtype if input_dtype is None else dtype_name(input_dtype)
    validation.known_name("input_dtype", input_dtype, INPUT_DTYPES)
    require_x64(input_dtype)
    _require_platforms(platforms)
    if streaming:
        arguments.forward_in_time(config.layers)
        if lengths or not time_major:
            raise ValueError(
                "streaming=True runs one step per call, which has no lengths and no time axis; "
                "leave out lengths and time_major"
            )

    def run(model: Model, pairs: Pairs, xs: jax.Array, times: dict[str, Any]) -> tuple:
        params, readout = model
        carry = tuple(Carry(*pair) for pair in pairs)
        if streaming:
            after, ys = step(config, params, carry, xs, reset=times.get("resets"))
        else:
            options = {**times, "time_major": time_major, "implementation": "scan"}
            after, ys = apply(config, params, carry, xs, **options)
        if readout is not None:
            ys = ys if streaming else readouts.last_output(ys, times.get("lengths"), time_major)
            w, b = readout
            ys = readouts.scores(w, b, ys)
        return tuple(tuple(own) for own in after), ys

    names = ["lengths"] * lengths + ["resets"] * resets
    shapes = _shapes(config, streaming, names, time_major, input_dtype)
    if params is not None:

        def fixed(carry: Pairs, xs: jax.Array, *times: jax.Array) -> tuple:
            return run((params, readout), carry, xs, dict(zip(names, times, strict=True)))

        program, given = fixed, shapes
    else:
        own = shaped(config)
        wanted = named(own) | dict(zip(readouts.NAMES, _structs(readout or ()), strict=False))

        def free(params: dict, carry: Pairs, xs: jax.Array, *times: jax.Array) -> tuple:
            leaves = [params[name] for name in named(own)]
            whole = jax.tree.unflatten(jax.tree.structure(own), leaves)
            read = None if readout is None else [params[name] for name in readouts.NAMES]
            return run((whole, read), carry, xs, dict(zip(names, times, strict=True)))

        program, given = free, [wanted, *shapes]
    return jax_export.export(jax.jit(program), platforms=tuple(platforms))(*given)


def _require_platforms(platforms: Any) -> None:
    listed = isinstance(platforms, Sequence) and not isinstance(platforms, str)
    known = listed and all(name in PLATFORMS for name in platforms)
    if not known or not platforms or len(set(platforms)) < len(platforms):
        raise ValueError(
            f"platforms is {platforms!r}; expected a list of some of {PLATFORMS}, each once"
        )


def _structs(arrays: Sequence[Any]) -> list[jax.ShapeDtypeStruct]:
    return [jax.ShapeDtypeStruct(a.shape, a.dtype) for a in arrays]


def _shapes(
    config: Config, streaming: bool, times: Sequence[str], time_major: bool, input_dtype: str
) -> list[Any]:
    """The shapes of carry, xs, lengths and resets, with symbols for batch and time."""
    batch, time = jax_export.symbolic_shape(f"{BATCH}, time")
    state = state_dtype(config.dtype)

    def pair(layer: Any) -> tuple[jax.ShapeDtypeStruct, ...]:
        ways = (2,) if layer.bidirectional else ()
        sizes = (layer.hidden_size, layer.state_size)
        return tuple(jax.ShapeDtypeStruct((*ways, batch, size), state) for size in sizes)

    lead = (batch,) if streaming else (time, batch) if time_major else (batch, time)
    made: list[Any] = [tuple(pair(layer) for layer in config.layers)]
    made.append(jax.ShapeDtypeStruct((*lead, config.input_size), jnp.dtype(input_dtype)))
    of_times = {"lengths": ((batch,), "int32"), "resets": (lead, "bool")}
    made += [
        jax.ShapeDtypeStruct(of_times[name][0], jnp.dtype(of_times[name][1])) for name in times
    ]
    return made
