"""Parameters and carries: their fields, initial values and shapes."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from jlstm import initializers
from jlstm.config import Config, Layer, require_config
from jlstm.dtypes import require_x64, state_dtype
from jlstm.keys import require_key

# A leaf of parameters and carries. The functions of this library return JAX arrays. NumPy's arrays,
# as checkpoints hold them, are accepted too, and trees of the same form hold shapes or bools.
Leaf = jax.Array | Any
# An array that a call takes.
Array = jax.Array | np.ndarray
# The fields of LayerParams, Highway and ConvParams that hold matrices.
MATRICES = frozenset({"w_x", "w_h", "projection", "w"})


class Carry(NamedTuple):
    """The state that a layer passes from one step to the next, float32 (float64 for float64).

    The arrays of a bidirectional layer have a leading axis of 2: forward, backward.

    Attributes:
      c: cell state [*batch, H].
      h: hidden state [*batch, P], also the output of the units at that step. P is the layer's
        projection_size, or H without a projection.

    >>> Carry(c=jnp.zeros((2, 4)), h=jnp.zeros((2, 4))).h.shape
    (2, 4)
    """

    c: Leaf
    h: Leaf


# The carry of a network: one for each layer.
Carries = tuple[Carry, ...]


class Affine(NamedTuple):
    """Learned scale and shift after a normalisation: a * scale + shift; no shift if None.

    Attributes:
      scale: factors [N], one per normalised number, in config.param_dtype.
      shift: summands [N] in the same dtype, or None.

    >>> Affine(jnp.ones(4)).shift is None
    True
    """

    scale: Leaf
    shift: Leaf | None = None


class Norms(NamedTuple):
    """The layer normalisations of one layer; None for those that its layer_norm does not use.

    All arrays are in config.param_dtype.

    Attributes:
      x, h: for the products with the input and with the hidden state, [4H].
      z: for each gate's pre-activation, [4H].
      c: for the cell state, [H].

    >>> layer = Config.stack(6, [4], layer_norm="gates_and_cell")
    >>> norms = init(jax.random.key(0), layer).layers[0].norms
    >>> norms.z.scale.shape, norms.c.scale.shape, norms.x
    ((16,), (4,), None)
    """

    x: Affine | None = None
    h: Affine | None = None
    z: Affine | None = None
    c: Affine | None = None


class Highway(NamedTuple):
    """The gate that mixes a layer's input into its output: weights [I, O] and
    bias [O], where O is the size of the output.

    Attributes:
      w: weights [I, O] from the layer's input, where O is the size of its output.
      b: bias [O], like w in config.param_dtype.

    >>> config = Config.stack(4, [4], highway=True)
    >>> init(jax.random.key(0), config).layers[0].highway.w.shape
    (4, 4)
    """

    w: Leaf
    b: Leaf


class LayerParams(NamedTuple):
    """The parameters of one layer. The order of gates along the last axis is i, f, g, o.

    `init` makes all arrays in config.param_dtype. `quantize` replaces each matrix by a Quantized.
    The arrays of a bidirectional layer have a leading axis of 2: forward, backward. Its `highway`
    does not, because it applies to the merged output.

    Attributes:
      w_x: input weights [I, 4H].
      w_h: recurrent weights [P, 4H]. P is the layer's projection_size, or H without a projection.
      b: bias [4H], or None.
      initial_carry: Carry(c [H], h [P]) if the initial carry is learned, or None (zeros).
      peepholes: weights [3, H] from the cell state to i, f and o, or None.
      projection: weights [H, P] from the units' outputs to the hidden state, or None.
      norms: scales and shifts of a layer with layer_norm, or None.
      highway: the gate of a layer with highway, or None.

    >>> layer = LayerParams(w_x=jnp.ones((6, 16)), w_h=jnp.ones((4, 16)), b=jnp.zeros(16))
    >>> layer._replace(b=None).b is None
    True
    """

    w_x: Leaf
    w_h: Leaf
    b: Leaf | None = None
    initial_carry: Carry | None = None
    peepholes: Leaf | None = None
    projection: Leaf | None = None
    norms: Norms | None = None
    highway: Highway | None = None


class Params(NamedTuple):
    """The parameters of a stack, lowest layer first.

    Attributes:
      layers: one LayerParams per layer, with arrays like w_x [I, 4H] in config.param_dtype.

    >>> params = init(jax.random.key(0), Config.stack(6, [4, 5]))
    >>> len(params.layers), params.layers[1].w_x.shape
    (2, (4, 20))
    """

    layers: tuple[LayerParams, ...]


for _node in (Carry, Affine, Norms, Highway, LayerParams, Params):
    export.register_namedtuple_serialization(_node, serialized_name=f"jlstm.{_node.__name__}")


def hint(value: Any) -> str:
    """What to do with `value` in place of parameters, for the end of an error's message."""
    if not isinstance(value, (Mapping, list)):
        return ""
    return ". Convert the dictionaries of a checkpoint with jlstm.params_from_dict(config, tree)"


def init(key: jax.Array, config: Config) -> Params:
    """Random parameters for `config`, in its param_dtype.

    config.initializer chooses the distribution of w_x, w_h and the bias:

    - "keras": Glorot uniform w_x, orthogonal w_h, zero bias.
    - "torch": all uniform within 1/sqrt(H). The bias is the sum of two draws, because torch has two
      biases.
    - "flax": LeCun normal w_x and orthogonal w_h for each gate, zero bias.
    - "haiku": truncated normal with deviation 1/sqrt(I+H), zero bias.
    - a function: called for w_x with the shape [I, 4H], then for w_h with [P, 4H]. Zero bias.

    Then each layer's forget_bias, 1 by default, is added to the f part of its bias. torch and flax
    add none by default: use forget_bias=0 to match them.

    Other parameters: peepholes are uniform within sqrt(3/H). Projections are Glorot uniform (within
    1/sqrt(H) for "torch"). Normalisations start with scale 1 and shift 0. Highway weights are
    Glorot uniform with bias 1, so that most of the input passes at first.

    Args:
      key: a key of jax.random.
      config: the network.

    Returns:
      Params with one LayerParams per layer: w_x [I, 4H], w_h [P, 4H], b [4H], and the parameters
      that its variant adds. All but a highway have a leading axis of 2 if the layer is
      bidirectional.

    Raises:
      ValueError: param_dtype is "float64" and jax_enable_x64 is off, or an initializer function
        returns a shape other than the one it was called with.

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
    """Arrays in the shapes of a tree: ones for scales, zeros for all else."""
    if isinstance(shapes, Affine):
        shift = None if shapes.shift is None else jnp.zeros(shapes.shift, dtype)
        return Affine(jnp.ones(shapes.scale, dtype), shift)
    if shapes is None or not hasattr(shapes, "_fields"):
        return None if shapes is None else jnp.zeros(shapes, dtype)
    return type(shapes)(*(_filled(part, dtype) for part in shapes))


def shaped(config: Config) -> Params:
    """The shapes and dtypes of what `init` returns, as jax.ShapeDtypeStruct."""
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
    """LayerParams with the shape of each array of one direction; None for absent parameters."""
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
    """The carry from which a network starts: zeros, or the learned initial carry of `params`.

    Args:
      config: the network.
      params: its parameters; needed only if config.learn_initial_carry.
      batch_shape: the batch axes of the carry.

    Returns:
      Carry(c [*batch, H], h [*batch, P]) for each layer, with a leading axis of 2 if the layer is
      bidirectional, in float32 (float64 for a float64 config).

    Raises:
      TypeError: an argument has the wrong type.
      ValueError: config.learn_initial_carry is True and `params` is None.

    >>> [carry.c.shape for carry in initial_carry(Config.stack(6, [4, 5]), batch_shape=(1,))]
    [(1, 4), (1, 5)]
    """
    require_config(config)
    if params is not None and not isinstance(params, Params):
        raise TypeError(
            f"params is {type(params).__name__}; expected Params, as init(key, config) returns, or "
            "None. Pass a batch shape by name: initial_carry(config, batch_shape=(2,))"
            f"{hint(params)}"
        )
    if isinstance(batch_shape, (int, str)):
        raise TypeError(f"batch_shape is {batch_shape!r}; expected a tuple, such as (2,)")
    if config.learn_initial_carry and params is None:
        raise ValueError(
            "the config has learn_initial_carry=True, so the initial carry is part of the "
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
    """One layer's initial carry over a batch: zeros, or a learned Carry(c [H], h [P])."""
    directions = (2,) if layer.bidirectional else ()
    ones = (1,) * len(batch_shape)

    def over_batch(size: int, a: jax.Array | None) -> jax.Array:
        shape = (*directions, *batch_shape, size)
        if a is None:
            return jnp.zeros(shape, dtype)
        return jnp.broadcast_to(a.astype(dtype).reshape(*directions, *ones, size), shape)

    c, h = learned or (None, None)
    return Carry(over_batch(layer.hidden_size, c), over_batch(layer.state_size, h))
