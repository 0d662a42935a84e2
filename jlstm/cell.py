"""The equations of one LSTM time step, written once.

    z = x W_x + h' W_h + b                pre-activations of the four gates, [4H] = i, f, g, o
    i, f = sigmoid(z_i, z_f)              input and forget gate
    g = tanh(z_g)                         candidate
    c = f * c' + i * g                    cell state
    o = sigmoid(z_o)                      output gate
    h = o * tanh(c)                       hidden state, the output

where c', h' are the carry from the step before. This is the LSTM of Hochreiter & Schmidhuber
(1997) with the forget gate of Gers, Schmidhuber & Cummins (2000), in the form of Graves (2013,
arXiv:1308.0850), equations 7 to 11. The options of a layer change these equations:

    recurrent_dropout
                   h' <- d * h', or g <- d * g (Semeniuta et al., 2016, equation 7), where d is a
                   0/1 mask divided by 1 - p; with held_masks, d is the same at every step (Gal &
                   Ghahramani, 2016)
    layer_norm     N(a) = scale * (a - mean a) / sqrt(var a + epsilon) + shift (Ba et al., 2016),
                   applied to x W_x and h' W_h before they are added, or to each gate of their
                   sum, before the bias
    peepholes      z_i += p_i * c', z_f += p_f * c', z_o += p_o * c (Gers & Schmidhuber, 2000)
    gate_clip      z <- min(max(z, -bound), bound), peepholes included
    coupled_gates  i = 1 - f, or f = 1 - i (Greff et al., 2017, appendix A)
    layer_norm     c <- N(c) for all that follows, or for the output alone: h = o * tanh(N(c))
    cell_clip      c <- min(max(c, -bound), bound), before the peephole of o reads it
    projection     h <- h W_p, bounded by projection_clip (Sak et al., 2014, equation 7)
    zoneout        the carry is d * c' + (1 - d) * c and d * h' + (1 - d) * h, where d is a 0/1
                   mask, or without a key its probability (Krueger et al., 2017, equations 3
                   and 4)
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding

from jlstm import activations, normalisation
from jlstm.dtypes import state_dtype
from jlstm.layer import Layer
from jlstm.params import Affine, Carry, LayerParams, start_of_layer

OUTPUT_ALONE = "products_and_output"


class Gates(NamedTuple):
    """Activations of the gates at one step, [*batch, H] each; `g` is the candidate."""

    i: jax.Array
    f: jax.Array
    g: jax.Array
    o: jax.Array


class Masks(NamedTuple):
    """The random masks of one step, [*batch, features] each; None if none is drawn.

    Attributes:
      h, g: dropout masks that multiply the hidden state that the step reads, and the candidate.
      c_kept, h_kept: booleans, True where zoneout keeps the carry from the step before.
    """

    h: jax.Array | None = None
    g: jax.Array | None = None
    c_kept: jax.Array | None = None
    h_kept: jax.Array | None = None


NO_MASKS = Masks()


def product(a: jax.Array, w: jax.Array, dtype: jnp.dtype) -> jax.Array:
    """a [..., K] times w [K, N]: rounds operands to `dtype` and sums in the state's dtype."""
    a, w = a.astype(dtype), w.astype(dtype)
    return jnp.matmul(a, w, preferred_element_type=state_dtype(dtype))


def from_input(layer: Layer, params: LayerParams, x: jax.Array, dtype: jnp.dtype) -> jax.Array:
    """The part of z [..., 4H] that depends on the input x [..., I] alone."""
    z = product(x, params.w_x, dtype)
    if params.norms is not None and params.norms.x is not None:
        z = normalised(layer, z, params.norms.x, flat=False)
    # This form normalises the sum of both products and adds the bias after that.
    waits = layer.layer_norm == "gates_and_cell"
    return z if params.b is None or waits else z + of_rank(params.b.astype(z.dtype), z)


def read(carry: Carry, masks: Masks) -> jax.Array:
    """The hidden state that the product of a step reads: h after dropout."""
    return carry.h if masks.h is None else carry.h * masks.h


def pre_activations(layer: Layer, params: LayerParams, z_x: jax.Array, z_h: jax.Array) -> jax.Array:
    """z [*batch, 4H] without peepholes, from `from_input`'s result and the product with h'."""
    norms = params.norms
    if norms is None:
        return z_x + z_h
    if norms.h is not None:
        z_h = normalised(layer, z_h, norms.h, flat=False)
    z = z_x + z_h
    if norms.z is None:
        return z
    gates = jnp.split(z, 4, axis=-1)
    affine = jax.tree.map(lambda a: jnp.split(a, 4, axis=-1), norms.z)
    scaled = [
        normalised(layer, a, Affine(*own), flat=False)
        for a, *own in zip(gates, *affine, strict=True)
    ]
    z = jnp.concatenate(scaled, axis=-1)
    return z if params.b is None else z + of_rank(params.b.astype(z.dtype), z)


def advance(
    layer: Layer, params: LayerParams, z: jax.Array, carry: Carry, masks: Masks
) -> tuple[Gates, jax.Array, jax.Array]:
    """Gates, the new cell state, and outputs [*batch, H] before projection and zoneout.

    Args:
      layer: the layer's options.
      params: its parameters.
      z: pre-activations [*batch, 4H].
      carry: the carry from the step before.
      masks: the random masks of this step.
    """
    gate = activations.function(layer.recurrent_activation)
    z_i, z_f, z_g, z_o = jnp.split(z, 4, axis=-1)
    if params.peepholes is not None:
        p_i, p_f, p_o = (of_rank(p, z) for p in params.peepholes.astype(z.dtype))
        z_i, z_f = z_i + p_i * carry.c, z_f + p_f * carry.c
    i, f = gate(clipped(z_i, layer.gate_clip)), gate(clipped(z_f, layer.gate_clip))
    if layer.coupled_gates is not None:
        i, f = (1 - f, f) if layer.coupled_gates == "input" else (i, 1 - i)
    g = activations.function(layer.activation)(clipped(z_g, layer.gate_clip))
    c = new_cell(i, f, g if masks.g is None else g * masks.g, carry.c)
    norm, for_output_alone = params.norms and params.norms.c, layer.layer_norm == OUTPUT_ALONE
    c = c if norm is None or for_output_alone else normalised(layer, c, norm, flat=True)
    c = clipped(c, layer.cell_clip)
    if params.peepholes is not None:
        z_o = z_o + p_o * c
    o = gate(clipped(z_o, layer.gate_clip))
    seen = normalised(layer, c, norm, flat=True) if norm is not None and for_output_alone else c
    return Gates(i, f, g, o), c, o * activations.function(layer.cell_activation)(seen)


def new_cell(i: jax.Array, f: jax.Array, g: jax.Array, c: jax.Array) -> jax.Array:
    """The cell state after a step, from gates and the cell state before."""
    return f * c + i * g


def update(gates: Gates, c: jax.Array) -> Carry:
    """The next carry of a plain layer from the gates and the cell state before."""
    c = new_cell(gates.i, gates.f, gates.g, c)
    return Carry(c, gates.o * jnp.tanh(c))


def slopes(gates: Gates) -> Gates:
    """Derivative of each gate of a plain layer with respect to its pre-activation."""
    i, f, g, o = gates
    return Gates(i * (1 - i), f * (1 - f), 1 - g * g, o * (1 - o))


def zoned_out(layer: Layer, before: Carry, after: Carry, masks: Masks) -> Carry:
    """The carry after zoneout, which keeps the old state of some units."""

    def mixed(chance: float, kept: jax.Array | None, old: jax.Array, new: jax.Array) -> jax.Array:
        if kept is not None:
            return jnp.where(kept, old, new)
        return chance * old + (1 - chance) * new if chance else new

    return Carry(
        mixed(layer.zoneout_c, masks.c_kept, before.c, after.c),
        mixed(layer.zoneout_h, masks.h_kept, before.h, after.h),
    )


def clipped(a: jax.Array, bound: float | None) -> jax.Array:
    """`a` clipped to -bound and bound; None means no bound."""
    return a if bound is None else jnp.clip(a, -bound, bound)


def normalised(layer: Layer, a: jax.Array, affine: Affine, *, flat: bool) -> jax.Array:
    """`a` [..., N] normalised to mean 0 and variance 1 over its last axis, scaled and shifted.

    The derivative at vectors of equal numbers is zero if `flat`. With it for cell states, gradients
    do not grow over steps of such states, whatever the weights are. Without it for products, a
    learned initial h that starts at zero has a gradient.
    """
    a = normalisation.standardised(a, layer.norm_epsilon, flat=flat)
    a = a * of_rank(affine.scale.astype(a.dtype), a)
    return a if affine.shift is None else a + of_rank(affine.shift.astype(a.dtype), a)


def of_rank(a: jax.Array, like: jax.Array) -> jax.Array:
    """`a` with new leading axes of size 1, up to the rank of `like`.

    Programs that set `jax_numpy_rank_promotion="raise"` do not let JAX add them.
    """
    return jax.lax.expand_dims(a, range(like.ndim - a.ndim))


def projected(
    layer: Layer,
    params: LayerParams,
    units: jax.Array,
    dtype: jnp.dtype,
    moved: jax.Array | None = None,
) -> jax.Array:
    """The hidden state [*batch, P] from the units' outputs [*batch, H].

    `moved` is added to the product, before the clip.
    """
    if params.projection is None:
        return units
    return clipped(added(product(units, params.projection, dtype), moved), layer.projection_clip)


def added(a: jax.Array, b: jax.Array | None) -> jax.Array:
    """a + b, or a if b is None."""
    return a if b is None else a + b


def one_step(
    layer: Layer,
    params: LayerParams,
    carry: Carry,
    x: jax.Array,
    dtype: jnp.dtype,
    masks: Masks = NO_MASKS,
) -> Carry:
    """The carry after one step of one direction. The arguments have been checked."""
    z_x, z_h = from_input(layer, params, x, dtype), product(read(carry, masks), params.w_h, dtype)
    z = pre_activations(layer, params, z_x, z_h)
    _, c, h = advance(layer, params, z, carry, masks)
    return zoned_out(layer, carry, Carry(c, projected(layer, params, h, dtype)), masks)


def output(
    layer: Layer, params: LayerParams, x: jax.Array, h: jax.Array, dtype: jnp.dtype
) -> jax.Array:
    """A layer's output in `dtype`, from its input [..., I] and its hidden state [..., P]."""
    x, h = x.astype(dtype), h.astype(dtype)
    if layer.residual:
        return x + h
    if params.highway is None:
        return h
    z = product(x, params.highway.w, dtype)
    z = z + of_rank(params.highway.b.astype(z.dtype), z)
    passed = jax.nn.sigmoid(z).astype(dtype)
    return passed * x + (1 - passed) * h


def common_dtype(params: LayerParams, x: jax.Array) -> jnp.dtype:
    """The dtype of products if there is no config to name it: the wider one of x and w_x."""
    dtype = jnp.promote_types(params.w_x.dtype, x.dtype)
    return dtype if dtype in (jnp.float64, jnp.bfloat16) else jnp.dtype("float32")


def started(layer: Layer, learned: Carry | None, x: jax.Array, dtype: jnp.dtype) -> Carry:
    """One layer's initial carry over the batch of x [*batch, I], with its sharding type.

    Under an explicit mesh, the gradient of a learned carry that is broadcast first would be
    gathered, to be summed on every device.
    """
    ones = (1,) * (x.ndim - 1)
    return like_data(start_of_layer(layer, learned, ones, state_dtype(dtype)), x, dtype)


def like_data(carry: Carry, x: jax.Array, dtype: jnp.dtype) -> Carry:
    """`carry` [*batch, ..] in the state's dtype, with the sharding type of the data x [*batch, I].

    A scan requires its carry to have the same type at every step. Under an explicit mesh or in
    shard_map that type includes how the batch is sharded. Plain zeros do not have it.
    """
    zero = jnp.sum(x[..., :0], axis=-1, keepdims=True, dtype=state_dtype(dtype))

    def typed(a: jax.Array) -> jax.Array:
        a, own = of_rank(a.astype(zero.dtype), zero), of_rank(zero, a)
        shape, sharding = jnp.broadcast_shapes(a.shape, own.shape), jax.typeof(own).sharding
        if a.shape != shape and AxisType.Explicit in sharding.mesh.axis_types:
            # Before jax 0.9, the tangent of the sum below would lose the sharding.
            sharding = NamedSharding(sharding.mesh, sharding.spec)
            a = jax.lax.broadcast_in_dim(a, shape, range(a.ndim), out_sharding=sharding)
        return a + own

    return Carry(*map(typed, carry))
