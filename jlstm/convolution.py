"""ConvLSTM in one, two and three dimensions: convolutions in place of the products with weights.

The gates and the carry are images; their arithmetic is that of `jlstm.cell`, at every place (Shi et
al., 2015, equation 3, without its peepholes).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jlstm import arguments, cell, initializers, validation
from jlstm.kernels import scan
from jlstm.keys import require_key
from jlstm.layer import Layer
from jlstm.params import Carry, LayerParams


class ConvParams(NamedTuple):
    """The parameters of a ConvLSTM; gates stand in the order i, f, g, o along the last axis.

    Attributes:
      w_x: kernel over the input [*kernel, I, 4F].
      w_h: kernel over the hidden state [*kernel, F, 4F].
      b: bias [4F], or None.
    """

    w_x: jax.Array
    w_h: jax.Array
    b: jax.Array | None = None


def init_conv_lstm(
    key: jax.Array, input_size: int, filters: int, kernel: tuple[int, ...]
) -> ConvParams:
    """Parameters as Keras draws them: Glorot uniform w_x, orthogonal w_h, forget bias 1.

    Args:
      key: a key of jax.random.
      input_size: features I of the input.
      filters: features F of the hidden state.
      kernel: its size in each of one to three dimensions.

    >>> init_conv_lstm(jax.random.key(0), 3, 4, (5, 5)).w_h.shape
    (5, 5, 4, 16)
    """
    require_key(key)
    filters = validation.positive_int("filters", filters)
    k_x, k_h = jax.random.split(key)
    w_x = initializers.glorot_uniform(k_x, (*kernel, input_size, 4 * filters), "float32")
    w_h = jax.nn.initializers.orthogonal()(k_h, (*kernel, filters, 4 * filters))
    zeros, ones = jnp.zeros(filters), jnp.ones(filters)
    return ConvParams(w_x, w_h, jnp.concatenate([zeros, ones, zeros, zeros]))


def conv_lstm(
    params: ConvParams,
    carry: Carry | None,
    xs: jax.Array,
    layer: Layer | None = None,
    *,
    strides: int = 1,
    padding: str = "valid",
    dilation: int = 1,
    mask: jax.Array | None = None,
    resets: jax.Array | None = None,
) -> tuple[Carry, jax.Array]:
    """A ConvLSTM over sequences of images, as Keras's ConvLSTM1D, 2D and 3D.

    Args:
      params: its parameters.
      carry: Carry of [batch, *space after the input's convolution, F] each; None for zeros.
      xs: inputs [T, batch, *space, I], floating point.
      layer: options of the gates: activations, clips, coupled gates; a plain layer by default.
      strides: of the convolution over the input, in every dimension.
      padding: "valid" or "same", of the convolution over the input; the one over the hidden state
        is always "same", with stride 1.
      dilation: of the convolution over the input.
      mask: booleans [T, batch]; where False the carry is held and the output zero.
      resets: booleans [T, batch]; where True the carry is zero before the step.

    Returns:
      The last carry, and the hidden states [T, batch, *space, F] in float32.

    Raises:
      TypeError, ValueError: shapes that do not fit, or options that a ConvLSTM lacks.

    >>> params = init_conv_lstm(jax.random.key(0), 3, 4, (5, 5))
    >>> carry, ys = conv_lstm(params, None, jnp.ones((2, 1, 8, 8, 3)))
    >>> ys.shape
    (2, 1, 4, 4, 4)
    """
    filters = params.w_h.shape[-2]
    layer = _checked(params, layer, xs, padding)
    dims = params.w_x.ndim - 2
    window = {"window_strides": (strides,) * dims, "rhs_dilation": (dilation,) * dims}
    flat = xs.reshape(-1, *xs.shape[2:])
    z = _convolve(flat, params.w_x, padding=padding.upper(), **window)
    z = z.reshape(*xs.shape[:2], *z.shape[1:])
    z = z if params.b is None else z + params.b
    zeros = jnp.zeros((*z.shape[1:-1], filters), z.dtype)
    carry = Carry(zeros, zeros) if carry is None else carry
    for name, a in zip(carry._fields, carry, strict=True):
        if a.shape != zeros.shape:
            raise ValueError(f"carry.{name} has shape {a.shape}; expected {zeros.shape}")
    plain = LayerParams(params.w_x, params.w_h, params.b)

    def over_space(name: str, flags: jax.Array | None) -> jax.Array | None:
        if flags is None:
            return None
        arguments.flags(name, flags, xs.shape[:2], "time steps by batch")
        return flags.reshape(*flags.shape, *(1,) * dims)

    def step(carry: Carry, step: tuple) -> tuple[Carry, jax.Array]:
        z, valid, reset = step
        carry = scan.select(reset, Carry(zeros, zeros), carry)
        z = z + _convolve(carry.h, params.w_h, padding="SAME", window_strides=(1,) * dims)
        _, c, h = cell.advance(layer, plain, z, carry, cell.NO_MASKS)
        after = Carry(c, h)
        after = after if valid is None else scan.select(valid, after, carry)
        return after, scan.where(valid, h, 0.0)

    return lax.scan(step, carry, (z, over_space("mask", mask), over_space("resets", resets)))


def _convolve(x: jax.Array, w: jax.Array, **window: object) -> jax.Array:
    """x [N, *space, I] with w [*kernel, I, O], channels last."""
    space = "DHW"[3 - (x.ndim - 2) :]
    layout = (f"N{space}C", f"{space}IO", f"N{space}C")
    return lax.conv_general_dilated(x, w, dimension_numbers=layout, **window)  # type: ignore[arg-type]


def _checked(params: ConvParams, layer: Layer | None, xs: jax.Array, padding: str) -> Layer:
    filters, dims = params.w_h.shape[-2], params.w_x.ndim - 2
    if not 1 <= dims <= 3 or params.w_h.ndim != dims + 2 or params.w_x.shape[-1] != 4 * filters:
        raise ValueError(
            f"w_x and w_h have shapes {params.w_x.shape} and {params.w_h.shape}; expected "
            "[*kernel, I, 4F] and [*kernel, F, 4F] with a kernel of one to three dimensions"
        )
    if xs.ndim != dims + 3 or xs.shape[-1] != params.w_x.shape[-2]:
        raise ValueError(
            f"xs has shape {xs.shape}; expected [T, batch, {dims} dimensions of space, "
            f"{params.w_x.shape[-2]}]"
        )
    validation.known_name("padding", padding, ("valid", "same"))
    layer = layer or Layer(filters, bias=params.b is not None)
    known = Layer(
        layer.hidden_size,
        bias=layer.bias,
        coupled_gates=layer.coupled_gates,
        activation=layer.activation,
        recurrent_activation=layer.recurrent_activation,
        cell_activation=layer.cell_activation,
        gate_clip=layer.gate_clip,
        cell_clip=layer.cell_clip,
    )
    if layer != known or layer.hidden_size != filters:
        raise ValueError(
            f"layer is {layer}; a ConvLSTM of {filters} filters knows activations, clips of gates "
            "and cell, and coupled gates, of a layer of as many units"
        )
    return layer
