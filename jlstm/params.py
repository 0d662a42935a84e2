"""Parameters and carries: what they hold, how they start, what shape they must have."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import export

from jlstm import initializers
from jlstm.config import Config, Layer, require_config
from jlstm.dtypes import require_x64, state_dtype
from jlstm.keys import require_key


class Carry(NamedTuple):
    """What a layer hands from one step to the next.

    A bidirectional layer's carry has a leading axis of 2: forward, backward.

    Attributes:
      c: cell state [*batch, H].
      h: hidden state [*batch, P], which is also the layer's output at that step; P is the layer's
        projection_size, or else H.
    """

    c: jax.Array
    h: jax.Array


class Affine(NamedTuple):
    """What follows a normalisation: times `scale` [..], plus `shift` [..] or nothing for None."""

    scale: jax.Array
    shift: jax.Array | None = None


class Norms(NamedTuple):
    """The layer normalisations of one layer, None for those that its form lacks.

    Attributes:
      x, h: of the products with the input and with the hidden state, [4H].
      z: of each gate's pre-activation, [4H].
      c: of the cell state, [H].
    """

    x: Affine | None = None
    h: Affine | None = None
    z: Affine | None = None
    c: Affine | None = None


class Highway(NamedTuple):
    """The gate that mixes a layer's input into its output: weights [I, P] and bias [P]."""

    w: jax.Array
    b: jax.Array


class LayerParams(NamedTuple):
    """The parameters of one layer; gates stand in the order i, f, g, o along the last axis.

    A bidirectional layer's arrays have a leading axis of 2: forward, backward; not `highway`.

    Attributes:
      w_x: input weights [I, 4H].
      w_h: recurrent weights [P, 4H], P being the layer's projection_size, or else H.
      b: bias [4H], or None without one.
      initial_carry: Carry of [H] and [P] where the initial carry is learned, else None (zeros).
      peepholes: weights [3, H] with which i, f and o see the cell state, or None.
      projection: weights [H, P] of the hidden state, or None.
      norms: of a layer with layer_norm, or None.
      highway: of a layer with highway, or None.
    """

    w_x: jax.Array
    w_h: jax.Array
    b: jax.Array | None = None
    initial_carry: Carry | None = None
    peepholes: jax.Array | None = None
    projection: jax.Array | None = None
    norms: Norms | None = None
    highway: Highway | None = None


class Params(NamedTuple):
    """The parameters of a stack, lowest layer first."""

    layers: tuple[LayerParams, ...]


for _node in (Carry, Affine, Norms, Highway, LayerParams, Params):
    export.register_namedtuple_serialization(_node, serialized_name=f"jlstm.{_node.__name__}")


def init(key: jax.Array, config: Config) -> Params:
    """Random parameters for `config`, in its param_dtype.

    "keras": Glorot uniform w_x, orthogonal w_h, zero bias. "torch": everything uniform within
    1/sqrt(H), the bias being the sum of two such draws, as torch keeps two. "flax": LeCun normal
    w_x and orthogonal w_h for each gate, zero bias. "haiku": truncated normal with deviation
    1/sqrt(I+H), zero bias. Each layer's forget_bias is added to the f part of b; the defaults of
    torch and flax themselves are forget_bias=0.

    A function draws w_x, then w_h, from the shapes [I, 4H] and [P, 4H]; the bias is zero.

    Peepholes are uniform within sqrt(3/H), projections Glorot uniform ("torch": within 1/sqrt(H));
    normalisations start as they are without parameters; a highway's weights are Glorot uniform and
    its bias 1, so that it starts by passing on most of its input.

    Args:
      key: a key of jax.random.
      config: the network.

    Returns:
      Params with one LayerParams a layer: w_x [I, 4H], w_h [P, 4H], b [4H], and what its variant
      adds, each with a leading axis of 2 where the layer is bidirectional.

    Raises:
      ValueError: param_dtype is "float64" and jax_enable_x64 is off, or a function that draws
        weights returns another shape than it was asked for.

    >>> params = init(jax.random.key(0), Config.stack(6, [4, 5]))
    >>> [layer.w_x.shape for layer in params.layers]
    [(6, 16), (4, 20)]
    """
    require_config(config)
    require_key(key)
    require_x64(config.param_dtype)
    return _init(key, config)


@functools.partial(jax.jit, static_argnums=1)
def _init(key: jax.Array, config: Config) -> Params:
    keys = jax.random.split(key, len(config.layers))
    sizes = zip(keys, config.layers, config.input_sizes, strict=True)
    return Params(tuple(_init_layer(key, config, layer, size) for key, layer, size in sizes))


def _init_layer(key: jax.Array, config: Config, layer: Layer, input_size: int) -> LayerParams:
    shapes = layer_shapes(layer, input_size, config.learn_initial_carry)
    dtype = config.param_dtype

    def direction(key: jax.Array) -> LayerParams:
        w_x, w_h, b = initializers.weights(key, config.initializer, shapes.w_x, shapes.w_h, dtype)
        if layer.bias:
            i, f, g, o = jnp.split(b, 4)
            b = jnp.concatenate([i, f + layer.forget_bias, g, o]).astype(w_x.dtype)
        k_peepholes, k_projection = jax.random.split(jax.random.fold_in(key, 1))
        return LayerParams(
            w_x,
            w_h,
            b if layer.bias else None,
            initial_carry=_filled(shapes.initial_carry, dtype),
            peepholes=initializers.peepholes(k_peepholes, shapes.peepholes, dtype),
            projection=initializers.projection(
                k_projection, config.initializer, shapes.projection, dtype
            ),
            norms=_filled(shapes.norms, dtype),
        )

    if layer.bidirectional:
        forward, backward = (direction(key) for key in jax.random.split(key))
        made = jax.tree.map(lambda *both: jnp.stack(both), forward, backward)
    else:
        made = direction(key)
    if layer.highway:
        w = initializers.glorot_uniform(jax.random.fold_in(key, 2), shapes.highway.w, dtype)
        made = made._replace(highway=Highway(w, jnp.ones(shapes.highway.b, dtype)))
    return made


def _filled(shapes: Any, dtype: str) -> Any:
    """Ones for scales, zeros for all else, in the shapes of a tree."""
    if isinstance(shapes, Affine):
        shift = None if shapes.shift is None else jnp.zeros(shapes.shift, dtype)
        return Affine(jnp.ones(shapes.scale, dtype), shift)
    if shapes is None or not hasattr(shapes, "_fields"):
        return None if shapes is None else jnp.zeros(shapes, dtype)
    return type(shapes)(*(_filled(part, dtype) for part in shapes))


def shaped(config: Config) -> Params:
    """What `init` would make, as jax.ShapeDtypeStruct, without making it."""
    dtype = jnp.dtype(config.param_dtype)

    def structs(tree: Any, *ways: int) -> Any:
        if tree is None:
            return None
        if hasattr(tree, "_fields"):
            return type(tree)(*(structs(part, *ways) for part in tree))
        return jax.ShapeDtypeStruct((*ways, *tree), dtype)

    def layer(own: Layer, input_size: int) -> LayerParams:
        shapes = layer_shapes(own, input_size, config.learn_initial_carry)
        ways = (2,) if own.bidirectional else ()
        return structs(shapes, *ways)._replace(highway=structs(shapes.highway))

    return Params(tuple(map(layer, config.layers, config.input_sizes)))


def layer_shapes(layer: Layer, input_size: int, learned: bool) -> Any:
    """LayerParams with the shape of each array of one direction; None for what the layer lacks."""
    units, size = layer.hidden_size, layer.state_size
    affine: Any = Affine
    norms: Any = Norms
    gates, of_gates, of_cell = (4 * units,), affine(*2 * [(4 * units,)]), affine(*2 * [(units,)])
    forms = {
        "gates_and_cell": norms(z=of_gates, c=of_cell),
        "products_and_cell": norms(x=of_gates, h=of_gates, c=of_cell),
        "products_and_output": norms(x=affine(gates), h=affine(gates), c=of_cell),
    }
    made: Any = LayerParams
    start: Any = Carry
    highway: Any = Highway
    return made(
        w_x=(input_size, *gates),
        w_h=(size, *gates),
        b=gates if layer.bias else None,
        initial_carry=start((units,), (size,)) if learned else None,
        peepholes=(3, units) if layer.peepholes else None,
        projection=(units, size) if layer.projection_size else None,
        norms=None if layer.layer_norm is None else forms[layer.layer_norm],
        highway=highway((input_size, layer.output_size), (layer.output_size,))
        if layer.highway
        else None,
    )


def initial_carry(
    config: Config, params: Params | None = None, batch_shape: Sequence[int] = ()
) -> tuple[Carry, ...]:
    """The carry that a network starts from: zeros, or what `params` learned; one Carry a layer.

    Args:
      config: the network.
      params: needed only where config.learn_initial_carry.
      batch_shape: leading axes of the carry.

    Returns:
      Carry(c [*batch, H], h [*batch, P]) for each layer, with a leading axis of 2 where the layer
      is bidirectional, in float32 (float64 for a float64 config).

    Raises:
      ValueError: a learned carry is asked for without `params`.

    >>> [carry.c.shape for carry in initial_carry(Config.stack(6, [4, 5]), batch_shape=(1,))]
    [(1, 4), (1, 5)]
    """
    require_config(config)
    if params is not None and not isinstance(params, Params):
        raise TypeError(
            f"params is {type(params).__name__}; expected Params, as init(key, config) makes, or "
            "None. The batch is named: initial_carry(config, batch_shape=(2,))"
        )
    if isinstance(batch_shape, (int, str)):
        raise TypeError(f"batch_shape is {batch_shape!r}; expected the batch axes: (2,)")
    if config.learn_initial_carry and params is None:
        raise ValueError(
            "the config has learn_initial_carry=True, so its initial carry stands in the "
            "parameters; pass params: initial_carry(config, params, batch_shape)"
        )
    dtype = state_dtype(config.dtype)
    carries = []
    for n, layer in enumerate(config.layers):
        learned = params.layers[n].initial_carry if params is not None else None
        carries.append(start_of_layer(layer, learned, tuple(batch_shape), dtype))
    return tuple(carries)


def start_of_layer(
    layer: Layer, learned: Carry | None, batch_shape: tuple[int, ...], dtype: jnp.dtype
) -> Carry:
    """One layer's initial carry over a batch, from zeros or from a learned Carry of [H] and [P]."""
    directions = (2,) if layer.bidirectional else ()
    ones = (1,) * len(batch_shape)

    def over_batch(size: int, a: jax.Array | None) -> jax.Array:
        shape = (*directions, *batch_shape, size)
        if a is None:
            return jnp.zeros(shape, dtype)
        return jnp.broadcast_to(a.astype(dtype).reshape(*directions, *ones, size), shape)

    c, h = learned or (None, None)
    return Carry(over_batch(layer.hidden_size, c), over_batch(layer.state_size, h))
