"""The equations of one LSTM time step, written once.

    z = x W_x + h' W_h + b             pre-activations of the four gates, [4H] = i, f, g, o
    i, f, o = sigmoid(z_i, z_f, z_o)   input, forget and output gate
    g = tanh(z_g)                      candidate
    c = f * c' + i * g                 cell state
    h = o * tanh(c)                    hidden state, the output

where c', h' are the carry from the step before. This is the LSTM of Hochreiter & Schmidhuber
(1997) with the forget gate of Gers, Schmidhuber & Cummins (2000), in the form of Graves (2013,
arXiv:1308.0850), equations 7 to 11, without their peephole terms.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jlstm import arguments
from jlstm.config import Layer
from jlstm.dtypes import state_dtype
from jlstm.params import Carry, LayerParams, start_of_layer


class Gates(NamedTuple):
    """Activations of the gates at one step, [*batch, H] each; `g` is the candidate."""

    i: jax.Array
    f: jax.Array
    g: jax.Array
    o: jax.Array


def product(a: jax.Array, w: jax.Array, dtype: jnp.dtype) -> jax.Array:
    """a [..., K] times w [K, N]: operands rounded to `dtype`, sums in the state's dtype."""
    a, w = a.astype(dtype), w.astype(dtype)
    return jnp.matmul(a, w, preferred_element_type=state_dtype(dtype))


def from_input(params: LayerParams, x: jax.Array, dtype: jnp.dtype) -> jax.Array:
    """The part of z that needs no earlier step, x W_x + b: [..., I] to [..., 4H]."""
    z = product(x, params.w_x, dtype)
    return z if params.b is None else z + params.b.astype(z.dtype)


def advance(z: jax.Array, c: jax.Array) -> tuple[Gates, Carry]:
    """Gates and next carry from the pre-activations z [*batch, 4H] and the cell state before."""
    z_i, z_f, z_g, z_o = jnp.split(z, 4, axis=-1)
    i, f, o = jax.nn.sigmoid(z_i), jax.nn.sigmoid(z_f), jax.nn.sigmoid(z_o)
    gates = Gates(i, f, jnp.tanh(z_g), o)
    return gates, update(gates, c)


def update(gates: Gates, c: jax.Array) -> Carry:
    """The next carry from the gates and the cell state before."""
    c = gates.f * c + gates.i * gates.g
    return Carry(c, gates.o * jnp.tanh(c))


def slopes(gates: Gates) -> Gates:
    """How fast each gate rises with its pre-activation, from its activation alone."""
    i, f, g, o = gates
    return Gates(i * (1 - i), f * (1 - f), 1 - g * g, o * (1 - o))


def one_step(params: LayerParams, carry: Carry, x: jax.Array, dtype: jnp.dtype) -> Carry:
    """The carry after one step of one direction, for arguments known to fit."""
    z = from_input(params, x, dtype) + product(carry.h, params.w_h, dtype)
    return advance(z, carry.c)[1]


def output(layer: Layer, x: jax.Array, h: jax.Array, dtype: jnp.dtype) -> jax.Array:
    """A layer's output from its input [..., I] and the h [..., P] of its units, in `dtype`."""
    h = h.astype(dtype)
    return x.astype(dtype) + h if layer.residual else h


def lstm_cell(
    params: LayerParams, carry: Carry | None, x: jax.Array, layer: Layer | None = None
) -> tuple[Carry, jax.Array]:
    """One layer, one step.

    Products are taken in the wider of the dtypes of x and w_x.

    Args:
      params: the layer's parameters: w_x [I, 4H], w_h [H, 4H], b [4H] or None.
      carry: Carry(c [*batch, H], h [*batch, H]); None for the initial one.
      x: input [*batch, I], floating point.
      layer: the layer's options; by default a plain layer of H units, with a bias if b is there.
        Nothing is dropped, as there is no random key here.

    Returns:
      The next carry, and the output [*batch, H] in the dtype that products are taken in: the h
      of the carry, with the layer's input added where the layer is residual.

    Raises:
      TypeError, ValueError: shapes or dtypes that do not fit, or a layer that is bidirectional or
        runs backwards, which has no single next step.

    >>> params = LayerParams(jnp.ones((6, 16)), jnp.ones((4, 16)), jnp.zeros(16))
    >>> carry, y = lstm_cell(params, None, jnp.ones((1, 6)))
    >>> carry.c.shape, y.shape
    ((1, 4), (1, 4))
    """
    layer = arguments.layer_of(params, layer)
    arguments.forward_in_time((layer,))
    x = jnp.asarray(arguments.as_array("x", x))
    arguments.features("x", x, ("*batch", "I"), params.w_x.shape[-2])
    dtype = common_dtype(params, x)
    batch_shape = x.shape[:-1]
    if carry is None:
        carry = start_of_layer(layer, params.initial_carry, batch_shape, state_dtype(dtype))
    arguments.carry("carry", carry, layer, batch_shape)
    carry = like_data(carry, x, dtype)
    carry = one_step(params, carry, x, dtype)
    return carry, output(layer, x, carry.h, dtype)


def common_dtype(params: LayerParams, x: jax.Array) -> jnp.dtype:
    """What products are taken in where no config says: the wider dtype of x and w_x."""
    dtype = jnp.promote_types(params.w_x.dtype, x.dtype)
    return dtype if dtype in (jnp.float64, jnp.bfloat16) else jnp.dtype("float32")


def like_data(carry: Carry, x: jax.Array, dtype: jnp.dtype) -> Carry:
    """`carry` [*batch, H] in the state's dtype, laid out over devices as the data [*batch, I] is.

    A scan wants its carry to have one type from first step to last, and under an explicit mesh or
    in shard_map that type says where the batch lies, which a carry made of plain zeros lacks.
    """
    zero = jnp.sum(x[..., :0], axis=-1, keepdims=True, dtype=state_dtype(dtype))
    return Carry(*(a.astype(zero.dtype) + zero for a in carry))
