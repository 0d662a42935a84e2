"""Checks of the arguments of calls: shapes and dtypes, and values unless they are traced."""

from collections.abc import Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jlstm import quantized
from jlstm.config import Config
from jlstm.dtypes import require_floating, require_x64
from jlstm.layer import Layer, require_joinable
from jlstm.params import MATRICES, Carry, LayerParams, Params, hint, layer_shapes

# The option of Layer that decides whether a layer has each of these parameters.
OPTION_OF = {
    "b": "bias",
    "peepholes": "peepholes",
    "projection": "projection_size",
    "norms": "layer_norm",
    "highway": "highway",
}


def as_array(what: str, value: Any) -> Any:
    """`value` as an array. Converts nested lists of numbers; raises TypeError for anything else."""
    if isinstance(value, (jax.Array, np.ndarray, np.generic)):
        return np.asarray(value) if isinstance(value, np.generic) else value
    try:
        array = np.asarray(value)
    except ValueError:
        array = np.asarray(None)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{what} is {_short(value)}; expected an array")
    return array


def features(what: str, xs: Any, layout: Sequence[str], size: int) -> None:
    """Checks an input whose last axis has `size` features; `layout` names its axes."""
    shape = ", ".join(layout)
    if xs.ndim < len([axis for axis in layout if axis != "*batch"]):
        raise ValueError(
            f"{what} has shape {xs.shape}; expected [{shape}]: add the missing axes with "
            f"{what}[None]"
        )
    if xs.shape[-1] != size:
        raise ValueError(
            f"{what} has shape {xs.shape}; expected [{shape}] with {size} features, but its last "
            f"axis has {xs.shape[-1]} features"
        )
    require_floating(what, xs.dtype)


def flags(
    what: str, value: Any, shape: tuple[int, ...], layout: str, *, either_major: bool = False
) -> None:
    """Checks an array of booleans, one for each time step and sequence.

    With `either_major`, the message suggests time_major=False if that would make the shape fit.
    """
    if value.dtype != jnp.bool_:
        raise TypeError(
            f"{what} has dtype {value.dtype}; expected booleans: convert with {what}.astype(bool)"
        )
    if value.shape != shape:
        raise ValueError(
            f"{what} has shape {value.shape}; expected {shape}: {layout}, the shape of the input "
            "without its features"
            f"{_batch_first(either_major and value.shape == (*shape[1:], shape[0]))}"
        )


def lengths(value: Any, batch_shape: tuple[int, ...], time_steps: int) -> None:
    """Checks the shape and dtype of lengths."""
    # NumPy converts an empty list to floats, so the dtype of an empty array is not checked.
    if value.size and not jnp.issubdtype(value.dtype, jnp.integer):
        raise TypeError(
            f"lengths has dtype {value.dtype}; expected whole numbers: convert with "
            'lengths.astype("int32")'
        )
    if value.shape != batch_shape:
        raise ValueError(
            f"lengths has shape {value.shape}; expected one number for each sequence of the "
            f"batch, {batch_shape}{_batch_first(value.shape == (time_steps,))}"
        )


def length_values(value: Any, time_steps: int) -> None:
    """Checks that lengths are between 0 and the number of steps, unless they are traced.

    Inside jit or vmap the values are not known. There, a length below 0 counts as 0, and one above
    the number of steps counts as all steps.
    """
    if isinstance(value, Tracer) or not getattr(value, "is_fully_addressable", True):
        return
    known = np.asarray(value)
    wrong = known[(known < 0) | (known > time_steps)]
    if wrong.size:
        raise ValueError(
            f"lengths holds {wrong.flat[0]}, but xs has {time_steps} time steps; expected lengths "
            f"between 0 and {time_steps}. If the first axis of xs is the batch instead of time, "
            "pass time_major=False"
        )


def carry(what: str, value: Any, layer: Layer, batch_shape: tuple[int, ...]) -> None:
    """Checks one layer's carry."""
    if not isinstance(value, Carry):
        raise TypeError(f"{what} is {_short(value)}; expected jlstm.Carry(c=..., h=...)")
    directions = (2,) if layer.bidirectional else ()
    sizes = Carry(layer.hidden_size, layer.state_size)  # type: ignore[arg-type]
    for name, array, size in zip(value._fields, value, sizes, strict=True):
        expected = (*directions, *batch_shape, size)
        if np.shape(array) != expected:
            raise ValueError(
                f"{what}.{name} has shape {np.shape(array)}; expected {expected}: "
                f"{'2 directions, ' if directions else ''}batch {batch_shape}, "
                f"{size} features. initial_carry(config, params, batch_shape) returns such a carry"
            )
        require_floating(f"{what}.{name}", jnp.result_type(array))


def carries(config: Config, value: Any, batch_shape: tuple[int, ...]) -> None:
    """Checks the carry of a network: a tuple with one Carry per layer."""
    if isinstance(value, Carry) or not isinstance(value, tuple):
        raise TypeError(
            f"carry is {type(value).__name__}; expected a tuple with one Carry for each of the "
            f"{len(config.layers)} layers, or None for the initial carry; convert a list with "
            "tuple(...)"
        )
    if len(value) != len(config.layers):
        raise ValueError(
            f"carry holds {len(value)} layers, the config has {len(config.layers)}; expected one "
            "Carry a layer"
        )
    for n, (layer, one) in enumerate(zip(config.layers, value, strict=True)):
        carry(f"carry[{n}]", one, layer, batch_shape)


def params(config: Config, value: Any) -> None:
    """Checks that parameters fit the config, and that JAX can compute in its dtype."""
    require_x64(config.dtype)
    if not isinstance(value, Params):
        raise TypeError(
            f"params is {_short(value)}; expected Params, as init(key, config) returns{hint(value)}"
        )
    if len(value.layers) != len(config.layers):
        raise ValueError(
            f"params holds {len(value.layers)} layers, the config has {len(config.layers)}; "
            "these parameters belong to another config: pass the config that they were made for"
        )
    sizes = zip(value.layers, config.layers, config.input_sizes, strict=True)
    for n, (one, layer, size) in enumerate(sizes):
        layer_params(f"params.layers[{n}]", one, layer, size, config.learn_initial_carry)


def layer_params(
    what: str, value: Any, layer: Layer, input_size: int, learned: bool | None = None
) -> None:
    """Checks one layer's parameters. If `learned` is None, an initial carry is optional."""
    if not isinstance(value, LayerParams):
        raise TypeError(f"{what} is {_short(value)}; expected LayerParams{hint(value)}")
    start = value.initial_carry
    if learned is not None and learned != (start is not None):
        raise ValueError(
            f"{what}.initial_carry is {'missing' if start is None else 'present'}, but the config "
            f"has learn_initial_carry={learned}; these parameters belong to another config"
        )
    shapes = layer_shapes(layer, input_size, start is not None)
    for name, option in OPTION_OF.items():
        if (getattr(value, name) is None) != (getattr(shapes, name) is None):
            raise ValueError(
                f"{what}.{name} is {'missing' if getattr(value, name) is None else 'present'}, but "
                f"the layer has {option}={getattr(layer, option)!r}; pass parameters that fit the "
                "layer"
            )
    directions = (2,) if layer.bidirectional else ()
    _shaped_like(what, value._replace(highway=None), shapes._replace(highway=None), directions)
    _shaped_like(f"{what}.highway", value.highway, shapes.highway, ())


def _shaped_like(what: str, value: Any, shape: Any, directions: tuple[int, ...]) -> None:
    """Checks a tree of arrays against a tree of shapes; None stands for an absent array."""
    if value is None and shape is None:
        return
    if hasattr(shape, "_fields"):
        if value is None or not isinstance(value, type(shape)):
            raise TypeError(
                f"{what} is {_short(value)}; expected {type(shape).__name__}{hint(value)}"
            )
        for name, part, its_shape in zip(shape._fields, value, shape, strict=True):
            _shaped_like(f"{what}.{name}", part, its_shape, directions)
        return
    if value is None or shape is None:
        raise ValueError(
            f"{what} is {'missing' if value is None else 'present'}; this form of layer_norm "
            f"{'needs' if value is None else 'does not use'} it"
        )
    if np.shape(value) != (*directions, *shape):
        raise ValueError(
            f"{what} has shape {np.shape(value)}; expected {(*directions, *shape)}"
            f"{', 2 directions first' if directions else ''}, from the sizes of the layer and of "
            "its input"
        )
    if not quantized.is_quantized(value):
        require_floating(what, jnp.result_type(value))
    elif what.rpartition(".")[2] in MATRICES:
        quantized.require_fitting(what, value)
    else:
        raise TypeError(f"{what} is int8; expected floating-point numbers: only matrices are int8")


def layer_of(value: Any, layer: Layer | None) -> Layer:
    """`layer`, checked against parameters `value`; for None, a plain layer that fits them."""
    if not isinstance(value, LayerParams):
        raise TypeError(
            f"params is {_short(value)}; expected the LayerParams of one layer, such as "
            f"params.layers[0]{hint(value)}"
        )
    if layer is not None and not isinstance(layer, Layer):
        raise TypeError(f"layer is {_short(layer)}; expected a Layer such as Layer(4), or None")
    if layer is None:
        if np.ndim(value.w_h) != 2:
            raise ValueError(
                f"params.w_h has shape {np.shape(value.w_h)}; expected [H, 4H]. For parameters "
                "of two directions pass layer=Layer(..., bidirectional=True)"
            )
        for name in ("norms", "highway"):
            if getattr(value, name) is not None:
                raise ValueError(
                    f"params has {name}, which a plain layer does not use; pass the layer that the "
                    f"parameters belong to, which has {OPTION_OF[name]}: layer=config.layers[0]"
                )
        layer = Layer(
            value.w_h.shape[1] // 4,
            bias=value.b is not None,
            peepholes=value.peepholes is not None,
            projection_size=None if value.projection is None else value.w_h.shape[0],
        )
    if layer.skip:
        raise ValueError(
            "layer has skip=True, which joins the network's input to the layer's input; a single "
            "layer has no second input: concatenate the two and leave skip out, or use apply"
        )
    size = np.shape(value.w_x)[-2] if np.ndim(value.w_x) > 1 else 0
    layer_params("params", value, layer, size)
    require_joinable("layer", layer, size)
    return layer


def forward_in_time(layers: Iterable[Layer]) -> None:
    """Raises ValueError if a layer is bidirectional or runs backward."""
    for n, layer in enumerate(layers):
        if not layer.streams:
            way = "bidirectional" if layer.bidirectional else "reverse"
            raise ValueError(
                f"layer {n} is {way}: it needs the whole sequence before its first output, so it "
                "cannot take one step at a time; use apply (or lstm, for one layer)"
            )


def nothing_held(layers: Iterable[Layer]) -> None:
    """Raises ValueError if a layer uses one mask for a whole sequence, unknown to a single step."""
    for n, layer in enumerate(layers):
        if layer.held_masks or layer.weight_dropout:
            option = "held_masks" if layer.held_masks else "weight_dropout"
            raise ValueError(
                f"layer {n} has {option}: all steps of a sequence use the same mask, which a "
                "single step cannot know; use apply, or leave the key out"
            )


def _batch_first(fits: bool) -> str:
    return ". If the first axis of xs is the batch, pass time_major=False" if fits else ""


def _short(value: Any) -> str:
    if isinstance(value, Tracer):
        return f"an array {value.aval.str_short()}"
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) < 60 else text[:57] + '...'}"
