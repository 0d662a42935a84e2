"""The weights of one direction of one layer, gate by gate, between all conventions.

Every framework's file reads its own arrays into Side and writes them from it, as views: whoever
orders, transposes or joins gates differently says so where views are taken, and nothing is copied
until the arrays of the result are filled.
"""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jlstm import aligned
from jlstm.activations import NAMES
from jlstm.config import Config, Layer
from jlstm.dtypes import require_x64
from jlstm.interop.report import Report
from jlstm.params import LayerParams, Params, layer_shapes


class Gates(NamedTuple):
    """One array a gate."""

    i: np.ndarray
    f: np.ndarray
    g: np.ndarray
    o: np.ndarray


class Side(NamedTuple):
    """One direction of one layer: w_x [I, H] a gate, w_h [P, H], b [H]; None for what it lacks.

    `peepholes` are those of i, f and o, [H] each; `projection` is [H, P].
    """

    w_x: Gates
    w_h: Gates
    b: Gates | None = None
    peepholes: Sequence[np.ndarray] | None = None
    projection: np.ndarray | None = None


def split(array: np.ndarray, order: str, axis: int = -1) -> Gates:
    """Views of the four gates of an array in which they stand in `order`, such as "ifgo"."""
    if array.shape[axis] % 4:
        raise ValueError(
            f"an array of gates has shape {list(array.shape)}; expected four gates side by side, "
            f"so that axis {axis} can be divided by 4"
        )
    blocks = dict(zip(order, np.split(array, 4, axis), strict=True))
    return Gates(*(blocks[gate] for gate in "ifgo"))


def join(gates: Gates, order: str, axis: int = -1) -> np.ndarray:
    """The opposite of `split`, as a new array."""
    return np.concatenate([getattr(gates, gate) for gate in order], axis)


def shifted(b: Gates, forget: float) -> Gates:
    """Biases with `forget` added to that of the forget gate, in its own number format."""
    return b if forget == 0 else b._replace(f=b.f + np.asarray(forget, b.f.dtype))


def network(
    input_size: int,
    layers: Sequence[Layer],
    sides: Sequence[Sequence[Side]],
    report: Report,
    names: Sequence[str] = (),
) -> tuple[Config, Params]:
    """A config and parameters from the sides of each layer.

    Raises:
      ValueError: arrays whose shapes or number formats do not fit each other; `names` says what
        the layers are called where they come from.
    """
    dtypes = {np.asarray(a).dtype for a in jax.tree.leaves(sides)}
    if len(dtypes) > 1:
        raise ValueError(f"weights have several number formats, {_text(dtypes)}; convert to one")
    (dtype,) = dtypes
    if dtype == np.float16:
        report.add("float16 weights became float32, which holds each of them exactly")
        dtype = np.dtype("float32")
    if dtype.name not in ("float32", "float64", "bfloat16"):
        raise ValueError(f"weights are {dtype}; expected float32, bfloat16, float16 or float64")
    require_x64(dtype)
    config = Config(input_size, tuple(layers), dtype=dtype.name, param_dtype=dtype.name)
    made = []
    for n, (layer, own) in enumerate(zip(config.layers, sides, strict=True)):
        name = names[n] if names else f"layer {n}"
        shapes = layer_shapes(layer, config.input_sizes[n], learned=False)
        made.append(_layer(own, shapes, dtype, layer.bidirectional, name))
    return config, Params(tuple(made))


def sides_of(layer: Layer, params: LayerParams) -> list[Side]:
    """The directions of a layer's parameters."""
    given = {name: getattr(params, name) for name in ("w_x", "w_h", "b", "peepholes", "projection")}
    arrays = {name: np.asarray(a) for name, a in given.items() if a is not None}
    if not layer.bidirectional:
        arrays = {name: a[None] for name, a in arrays.items()}

    def side(d: int) -> Side:
        own = {name: a[d] for name, a in arrays.items()}
        b, peepholes = own.get("b"), own.get("peepholes")
        return Side(
            split(own["w_x"], "ifgo"),
            split(own["w_h"], "ifgo"),
            None if b is None else split(b, "ifgo"),
            None if peepholes is None else list(peepholes),
            own.get("projection"),
        )

    return [side(d) for d in range(len(arrays["w_x"]))]


def require(config: Config, framework: str, can: Collection[str], report: Report) -> None:
    """ValueError naming the first option that `framework` lacks; `can` are those that it has.

    What acts in training alone is left out, and the report says so.
    """
    if config.learn_initial_carry:
        raise ValueError(
            f"{framework} has no learned initial carry; convert a config with "
            "learn_initial_carry=False, and pass the carry at each call"
        )
    for n, layer in enumerate(config.layers):
        plain, runs = Layer(layer.hidden_size), layer.without_key
        for name, value in vars(runs).items():
            if name in ("hidden_size", "forget_bias", *can) or value == getattr(plain, name):
                continue
            raise ValueError(f"{framework} has no {name} (layer {n} has {name}={value!r})")
        for name, value in vars(layer).items():
            if name not in can and value != getattr(runs, name):
                report.add(f"layer {n}: {name}={value!r} acts in training alone and was left out")


def activation(name: str, names: dict[str, str], framework: str) -> str:
    """What `framework` calls an activation of ours, or the other way round."""
    if name not in names:
        raise ValueError(
            f"{framework}'s activation {name!r} has no counterpart here; known are "
            f"{', '.join(sorted(names))}"
            if name not in NAMES
            else f"{framework} has no activation {name!r}"
        )
    return names[name]


def _layer(
    own: Sequence[Side], shapes: LayerParams, dtype: np.dtype, both: bool, name: str
) -> LayerParams:
    """One layer's arrays, each filled gate by gate straight from the views."""
    lead = (len(own),) if both else ()

    def filled(what: str, shape: Any, blocks: Any, along: int) -> jax.Array | None:
        if shape is None:
            return None
        made = aligned.empty((*lead, *shape), dtype)
        rows = made if both else made[None]
        for side, row in zip(own, rows, strict=True):
            given = blocks(side)
            for block, place in zip(given, np.split(row, len(given), along), strict=True):
                place = place.reshape(place.shape[1:]) if along == 0 else place
                if block.shape != place.shape:
                    raise ValueError(
                        f"{name}: {what} is {list(block.shape)} for each gate; expected "
                        f"{list(place.shape)}, as its other weights are"
                    )
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
