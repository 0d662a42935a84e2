"""ConvLSTM in one, two and three dimensions: convolutions replace the products with weights.

The gates and the carry are images. Their arithmetic is that of `jlstm.cell` at every point of the
image (Shi et al., 2015, equation 3, without its peepholes).
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jlstm import arguments, cell, initializers, masking, validation
from jlstm.dtypes import require_floating, state_dtype
from jlstm.keys import require_key
from jlstm.layer import Layer
from jlstm.params import Array, Carry, LayerParams, Leaf


class ConvParams(NamedTuple):
    """The parameters of a ConvLSTM. The order of gates along the last axis is i, f, g, o.

    `init_conv_lstm` makes all arrays in float32.

    Attributes:
      w_x: kernel over the input [*kernel, I, 4F].
      w_h: kernel over the hidden state [*kernel, F, 4F].
      b: bias [4F], or None.

    >>> ConvParams(jnp.ones((3, 3, 1, 8)), jnp.ones((3, 3, 2, 8))).b is None
    True
    """

    w_x: Leaf
    w_h: Leaf
    b: Leaf | None = None


def init_conv_lstm(
    key: jax.Array, input_size: int, filters: int, kernel: Sequence[int]
) -> ConvParams:
    """Random parameters with Keras's initializers: Glorot uniform w_x, orthogonal w_h.

    The forget part of the bias is 1, the rest 0. All parameters are float32.

    Args:
      key: a key of jax.random.
      input_size: features I of the input.
      filters: features F of the hidden state.
      kernel: size of the kernel in each of one to three dimensions.

    Returns:
      ConvParams with w_x [*kernel, I, 4F], w_h [*kernel, F, 4F] and b [4F].

    Raises:
      TypeError, ValueError: a size is not a positive whole number, or the kernel does not have one
        to three dimensions.

    >>> init_conv_lstm(jax.random.key(0), 3, 4, (5, 5)).w_h.shape
    (5, 5, 4, 16)
    """
    require_key(key)
    input_size = validation.positive_int("input_size", input_size)
    filters = validation.positive_int("filters", filters)
    if not isinstance(kernel, Sequence) or not 1 <= len(kernel) <= 3:
        raise ValueError(f"kernel is {kernel!r}; expected one to three sizes, such as (5, 5)")
    space = tuple(validation.positive_int("kernel", size) for size in kernel)
    k_x, k_h = jax.random.split(key)
    w_x = initializers.glorot_uniform(k_x, (*space, input_size, 4 * filters), "float32")
    w_h = jax.nn.initializers.orthogonal()(k_h, (*space, filters, 4 * filters))
    zeros, ones = jnp.zeros(filters), jnp.ones(filters)
    return ConvParams(w_x, w_h, jnp.concatenate([zeros, ones, zeros, zeros]))


def conv_lstm(
    params: ConvParams,
    carry: Carry | None,
    xs: Array,
    layer: Layer | None = None,
    *,
    strides: int | Sequence[int] = 1,
    padding: str = "valid",
    dilation: int | Sequence[int] = 1,
    mask: Array | None = None,
    resets: Array | None = None,
) -> tuple[Carry, jax.Array]:
    """Runs a ConvLSTM over sequences of images, like Keras's ConvLSTM1D, ConvLSTM2D and ConvLSTM3D.

    Its equations are those of Shi et al. (2015), equation 3, without peepholes.

    This function is not wrapped in `jax.jit`: call it inside your own.

    Args:
      params: the parameters.
      carry: Carry(c, h), both [batch, *space, F], where space is that of the input after its
        convolution; None for zeros.
      xs: inputs [T, batch, *space, I], floating point.
      layer: options of the gates: activations, gate_clip, cell_clip, coupled_gates. By default a
        plain layer.
      strides: strides of the convolution over the input: one number, or one for each dimension.
      padding: padding of the convolution over the input: "valid" or "same". The convolution over
        the hidden state always has padding "same" and stride 1.
      dilation: dilation of the convolution over the input: one number, or one for each dimension.
      mask: [T, batch] booleans. Where False, the carry does not change, the output is zero, and the
        input has no effect.
      resets: [T, batch] booleans. Where True, the carry is set to zero before the step.

    Returns:
      The last carry, and the hidden states [T, batch, *space, F], in float32 (float64 if xs or w_x
      is float64).

    Raises:
      TypeError, ValueError: shapes do not fit, or a ConvLSTM does not support an option of `layer`.

    >>> params = init_conv_lstm(jax.random.key(0), 3, 4, (5, 5))
    >>> carry, ys = conv_lstm(params, None, jnp.ones((2, 1, 8, 8, 3)))
    >>> ys.shape
    (2, 1, 4, 4, 4)
    """
    xs = jnp.asarray(arguments.as_array("xs", xs))
    layer = _checked(params, layer, xs)
    filters, dims = layer.hidden_size, xs.ndim - 3
    plain = LayerParams(params.w_x, params.w_h, params.b)
    dtype = cell.common_dtype(plain, xs)
    state = state_dtype(dtype)
    mask, resets = (
        _over_space(name, flags, xs) for name, flags in (("mask", mask), ("resets", resets))
    )
    # The gradient of the convolution multiplies by xs, so NaN at padding would reach it.
    xs = masking.where(mask, xs, jnp.zeros((), xs.dtype)).astype(dtype)
    window = {
        "window_strides": _each_dimension("strides", strides, dims),
        "rhs_dilation": _each_dimension("dilation", dilation, dims),
        "padding": validation.known_name("padding", padding, ("valid", "same")).upper(),
    }
    z = _convolve(xs.reshape(-1, *xs.shape[2:]), params.w_x.astype(dtype), **window)
    z = z.reshape(*xs.shape[:2], *z.shape[1:]).astype(state)
    if 0 in z.shape[2:]:
        raise ValueError(
            f"xs has shape {xs.shape}, whose images are smaller than the kernel "
            f"{params.w_x.shape[:-2]}; take larger images, a smaller kernel or padding='same'"
        )
    z = z if params.b is None else z + params.b
    zeros = jnp.sum(z[:0], axis=0)[..., :filters]
    start = Carry(zeros, zeros)
    carry = start if carry is None else _checked_carry(carry, start)

    def step(carry: Carry, step: tuple) -> tuple[Carry, jax.Array]:
        z, valid, reset = step
        held = masking.select(reset, start, carry)
        # A held carry may be NaN. Without this, it would reach gradients through skipped steps.
        carry = Carry(*(masking.where(valid, a, 0.0) for a in held))
        h = carry.h.astype(dtype)
        same = _convolve(h, params.w_h.astype(dtype), padding="SAME", window_strides=(1,) * dims)
        _, c, h = cell.advance(layer, plain, z + same.astype(state), carry, cell.NO_MASKS)
        after = Carry(c, h)
        after = after if valid is None else masking.select(valid, after, held)
        return after, masking.where(valid, h, 0.0)

    return lax.scan(step, carry, (z, mask, resets))


def _convolve(x: jax.Array, w: jax.Array, **window: object) -> jax.Array:
    """x [N, *space, I] with w [*kernel, I, O], channels last."""
    space = "DHW"[3 - (x.ndim - 2) :]
    layout = (f"N{space}C", f"{space}IO", f"N{space}C")
    return lax.conv_general_dilated(x, w, dimension_numbers=layout, **window)  # type: ignore[arg-type]


def _over_space(name: str, flags: Any, xs: jax.Array) -> jax.Array | None:
    """Flags [T, batch] as [T, batch, 1, ..], which broadcast over all points of an image."""
    if flags is None:
        return None
    flags = jnp.asarray(arguments.as_array(name, flags))
    arguments.flags(name, flags, xs.shape[:2], "time steps by batch")
    return flags.reshape(*flags.shape, *(1,) * (xs.ndim - 3))


def _each_dimension(what: str, value: Any, dims: int) -> tuple[int, ...]:
    sizes = tuple(value) if isinstance(value, Sequence) else (value,) * dims
    if len(sizes) != dims:
        raise ValueError(f"{what} is {value!r}; expected one number, or {dims} of them")
    return tuple(validation.positive_int(what, size) for size in sizes)


def _checked_carry(carry: Any, start: Carry) -> Carry:
    if not isinstance(carry, Carry):
        raise TypeError(f"carry is {type(carry).__name__}; expected jlstm.Carry(c=..., h=...)")
    for name, a, like in zip(carry._fields, carry, start, strict=True):
        if jnp.shape(a) != like.shape:
            raise ValueError(f"carry.{name} has shape {jnp.shape(a)}; expected {like.shape}")
        require_floating(f"carry.{name}", jnp.result_type(a))
    return Carry(*(jnp.asarray(a, start.c.dtype) + start.c for a in carry))


def _checked(params: Any, layer: Any, xs: jax.Array) -> Layer:
    """The layer's options, after checking that parameters, layer and input fit each other."""
    if not isinstance(params, ConvParams):
        raise TypeError(
            f"params is {type(params).__name__}; expected ConvParams, as init_conv_lstm returns"
        )
    w_x, w_h, b = (None if a is None else jnp.shape(a) for a in params)
    dims = len(w_x or ()) - 2
    if not w_x or not w_h or not 1 <= dims <= 3:
        raise ValueError(
            f"w_x has shape {w_x}, w_h {w_h}; expected [*kernel, I, 4F] and [*kernel, F, 4F] with "
            "a kernel of one to three dimensions"
        )
    filters = w_x[-1] // 4
    if len(w_h) != dims + 2 or w_h[-2:] != (filters, w_x[-1]) or w_x[-1] != 4 * filters:
        raise ValueError(
            f"w_h has shape {w_h}; expected [*kernel, F, 4F] beside w_x [*kernel, I, 4F] of shape "
            f"{w_x}"
        )
    if b not in (None, (4 * filters,)):
        raise ValueError(f"b has shape {b}; expected {(4 * filters,)}, or None for no bias")
    if xs.ndim != dims + 3 or xs.shape[-1] != w_x[-2]:
        raise ValueError(
            f"xs has shape {xs.shape}; expected [T, batch, {dims} dimensions of space, {w_x[-2]}]"
        )
    for name, a in (("xs", xs), *params._asdict().items()):
        if a is not None:
            require_floating(name, jnp.result_type(a))
    if not isinstance(layer, Layer | None):
        raise TypeError(f"layer is {layer!r:.60}; expected a Layer such as Layer({filters})")
    layer = layer or Layer(filters, bias=b is not None)
    known = Layer(
        layer.hidden_size,
        bias=b is not None,
        coupled_gates=layer.coupled_gates,
        activation=layer.activation,
        recurrent_activation=layer.recurrent_activation,
        cell_activation=layer.cell_activation,
        gate_clip=layer.gate_clip,
        cell_clip=layer.cell_clip,
    )
    if layer.hidden_size != filters:
        raise ValueError(
            f"layer has {layer.hidden_size} units, but w_x has {filters} filters; pass a layer "
            "with as many units as filters"
        )
    for field in dataclasses.fields(layer):
        given, option = getattr(layer, field.name), getattr(known, field.name)
        if given != option:
            raise ValueError(
                f"layer has {field.name}={given!r}; expected {option!r}: a ConvLSTM supports "
                "activations, gate_clip, cell_clip and coupled_gates, and has a bias unless b is "
                "None"
            )
    return layer
