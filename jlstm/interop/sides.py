"""The weights of one direction of one layer, gate by gate: the form of all conversions.

Each framework's module reads its arrays into a Side and writes them from one. A Side holds one view
per gate, with our axes. Nothing is copied until the arrays of the result are filled.
"""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jlstm import arguments, quantized
from jlstm.config import Config, Layer, require_config
from jlstm.dtypes import require_x64
from jlstm.files import aligned
from jlstm.interop.report import Report
from jlstm.params import LayerParams, Params, layer_shapes

ORDER = "ifgo"  # gate order of jlstm, torch, cuDNN, Flax, Equinox and Keras


class Gates(NamedTuple):
    """One array per gate."""

    i: np.ndarray
    f: np.ndarray
    g: np.ndarray
    o: np.ndarray


class Side(NamedTuple):
    """One direction of one layer. Per gate: w_x [I, H], w_h [P, H], b [H].

    `peepholes` are those of i, f and o, [H] each; `projection` is [H, P]. Weights that the layer
    does not have are None.
    """

    w_x: Gates
    w_h: Gates
    b: Gates | None = None
    peepholes: Sequence[np.ndarray] | None = None
    projection: np.ndarray | None = None


def split(array: np.ndarray, order: str = ORDER) -> Gates:
    """Views of an array's four gates. `order` is the gate order along the last axis."""
    if array.ndim == 0 or array.shape[-1] % 4:
        raise ValueError(
            f"an array of gates has shape {list(array.shape)}; expected four gates along the last "
            "axis, whose size must be a multiple of 4"
        )
    blocks = dict(zip(order, np.split(array, 4, -1), strict=True))
    return Gates(*(blocks[gate] for gate in ORDER))


def split_joint(name: str, w: np.ndarray, order: str, state: int | None = None) -> list[Gates]:
    """w_x and w_h from one matrix [I + P, 4H], whose first I rows are those of the input.

    `state` is P; None means H. Error messages call the matrix `name`.

    Raises:
      ValueError: the array does not have that shape.
    """
    if w.ndim != 2 or w.shape[1] % 4 or w.shape[0] <= (state or w.shape[1] // 4):
        raise ValueError(
            f"{name} has shape {list(w.shape)}; expected [I + P, 4H], the input's rows above the "
            "state's rows"
        )
    inputs = w.shape[0] - (state or w.shape[1] // 4)
    return [split(w[:inputs], order), split(w[inputs:], order)]


def join(gates: Gates, order: str = ORDER) -> np.ndarray:
    """The inverse of `split`, as a new array."""
    return np.concatenate([getattr(gates, gate) for gate in order], -1)


def bias_of(side: Side) -> Gates:
    """The biases of `side`; zeros if it has none."""
    return side.b or Gates(*(np.zeros_like(gate[0]) for gate in side.w_x))


def shifted(b: Gates, forget: float) -> Gates:
    """Biases with `forget` added to that of the forget gate, in the same dtype.

    Raises:
      ValueError: the dtype cannot hold `forget`.
    """
    with np.errstate(over="ignore"):
        added = np.asarray(forget, b.f.dtype)
    if not np.isfinite(added):
        raise ValueError(
            f"forget_bias is {forget:g}, which is infinite in the biases' dtype, {b.f.dtype}; "
            "choose a smaller number"
        )
    return b if forget == 0 else b._replace(f=b.f + added)


def network(
    input_size: int,
    layers: Sequence[Layer],
    sides: Sequence[Sequence[Side]],
    report: Report,
    names: Sequence[str] = (),
) -> tuple[Config, Params]:
    """The config and the parameters of a network, from the sides of each layer.

    Error messages call the layers by `names`, their names in the source.

    Raises:
      ValueError: shapes or dtypes do not fit each other.
    """
    dtypes = {np.asarray(a).dtype for a in jax.tree.leaves(sides)}
    if len(dtypes) > 1:
        raise ValueError(f"weights have several dtypes, {_text(dtypes)}; convert them to one")
    (dtype,) = dtypes
    if dtype == np.float16:
        report.add("float16 weights became float32, which holds each of them exactly")
        dtype = np.dtype("float32")
    if dtype.name not in ("float32", "float64", "bfloat16"):
        raise ValueError(f"weights are {dtype}; expected float32, bfloat16, float16 or float64")
    require_x64(dtype)
    config = Config(input_size, tuple(layers), dtype=dtype.name, param_dtype=dtype.name)
    made = []
    names = names or [f"layer {n}" for n in range(len(sides))]
    for n, (layer, own) in enumerate(zip(config.layers, sides, strict=True)):
        name = names[n]
        if n:
            _require_on_top(own, name, config.input_sizes[n], names[n - 1])
        shapes = layer_shapes(layer, config.input_sizes[n], learned=False)
        made.append(_layer(own, shapes, dtype, layer.bidirectional, name))
    return config, Params(tuple(made))


def sides_of(layer: Layer, params: LayerParams) -> list[Side]:
    """The sides of a layer's parameters: one, or forward and backward."""
    given = {name: getattr(params, name) for name in ("w_x", "w_h", "b", "peepholes", "projection")}
    arrays = {name: np.asarray(a) for name, a in given.items() if a is not None}
    if not layer.bidirectional:
        arrays = {name: a[None] for name, a in arrays.items()}

    def side(d: int) -> Side:
        own = {name: a[d] for name, a in arrays.items()}
        b, peepholes = own.get("b"), own.get("peepholes")
        return Side(
            split(own["w_x"]),
            split(own["w_h"]),
            None if b is None else split(b),
            None if peepholes is None else list(peepholes),
            own.get("projection"),
        )

    return [side(d) for d in range(len(arrays["w_x"]))]


def require(
    config: Config, params: Params, framework: str, can: Collection[str], report: Report
) -> None:
    """ValueError naming the first option that `framework` does not support.

    `can` holds the options that it supports, and "int8" if it takes quantized parameters. Options
    that act only in training, such as dropout, are left out, and the report says so. TypeError or
    ValueError if params do not fit config.
    """
    require_config(config)
    arguments.params(config, params)
    if "int8" not in can:
        quantized.refuse(framework, params)
    if config.learn_initial_carry and "learn_initial_carry" not in can:
        raise ValueError(
            f"{framework} has no learned initial carry; convert a config with "
            "learn_initial_carry=False, and pass the carry at each call"
        )
    if config.dtype != config.param_dtype and "dtype" not in can:
        report.add(f"products are in {config.dtype} in jlstm, but in {config.param_dtype} there")
    for n, layer in enumerate(config.layers):
        plain, runs = Layer(layer.hidden_size), layer.without_key
        for name, value in vars(runs).items():
            if name in ("hidden_size", "forget_bias", *can) or value == getattr(plain, name):
                continue
            raise ValueError(f"{framework} does not support {name}; layer {n} has {name}={value!r}")
        for name, value in vars(layer).items():
            if name not in can and value != getattr(runs, name):
                report.add(f"layer {n}: {name}={value!r} was left out: it acts only in training")


def require_one_activation(config: Config, framework: str) -> None:
    """ValueError if a layer's candidate and output activations differ, for frameworks with one."""
    for n, layer in enumerate(config.layers):
        if layer.activation != layer.cell_activation:
            raise ValueError(
                f"{framework} uses one activation for the candidate and the output, but layer {n} "
                f"has activation={layer.activation!r} and cell_activation={layer.cell_activation!r}"
            )


def _require_on_top(own: Sequence[Side], name: str, size: int, below: str) -> None:
    """ValueError if a layer's weights fit each other, but not the outputs of the layer below."""
    shapes = {np.shape(block) for side in own for block in side.w_x}
    if len(shapes) == 1 and len(shape := shapes.pop()) == 2 and shape[0] != size:
        raise ValueError(
            f"{name} reads {shape[0]} features, but {below}, the one below it, puts out {size}; "
            "expected layers that form one stack, the lowest first"
        )


def _layer(
    own: Sequence[Side], shapes: LayerParams, dtype: np.dtype, both: bool, name: str
) -> LayerParams:
    """One layer's parameters. Each array is filled gate by gate, directly from the views."""
    lead = (len(own),) if both else ()

    def filled(what: str, shape: Any, blocks: Any, along: int) -> jax.Array | None:
        if shape is None:
            return None
        given = [blocks(side) for side in own]
        count = len(given[0])
        wanted = shape[1:] if along == 0 else (*shape[:-1], shape[-1] // count)
        for block in (block for side in given for block in side):
            if block.shape != wanted:  # checked before memory is allocated
                raise ValueError(
                    f"{name}: {what} has shape {list(block.shape)} per gate; expected "
                    f"{list(wanted)} to fit the layer's other weights"
                )
        made = aligned.empty((*lead, *shape), dtype)
        for side, row in zip(given, made if both else made[None], strict=True):
            for block, place in zip(side, np.split(row, count, along), strict=True):
                place[...] = block
        return aligned.to_jax(made)

    return LayerParams(
        w_x=filled("the input weight", shapes.w_x, lambda s: s.w_x, -1),  # type: ignore[arg-type]
        w_h=filled("the recurrent weight", shapes.w_h, lambda s: s.w_h, -1),  # type: ignore[arg-type]
        b=filled("the bias", shapes.b, lambda s: s.b, -1),
        peepholes=filled("the peephole weight", shapes.peepholes, lambda s: s.peepholes, 0),
        projection=filled("the projection", shapes.projection, lambda s: (s.projection,), -1),
    )


def _text(dtypes: Collection[np.dtype]) -> str:
    return ", ".join(sorted(map(str, dtypes)))
