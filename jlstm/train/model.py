"""A trained model: an embedding of tokens, a network, and a head that reads its outputs."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jlstm import quantized, validation
from jlstm.cell import product
from jlstm.config import Config
from jlstm.dtypes import state_dtype
from jlstm.masking import within
from jlstm.network.readout import last_output
from jlstm.network.stack import apply
from jlstm.params import Carry, Params, init

READOUTS = ("last", "mean", "attention")


class Head(NamedTuple):
    """A linear readout.

    Attributes:
      w: weights [P, outputs]. None: those of the embedding, transposed.
      b: bias [outputs].
      query: [P], by which attention weighs the steps. None: no attention.
    """

    w: Any
    b: Any
    query: Any = None


class Model(NamedTuple):
    """All parameters of a model.

    Attributes:
      embedding: a vector for each token [vocabulary, I]. None: inputs are numbers.
      network: the parameters of the LSTM.
      head: the readout.

    >>> model = new(jax.random.key(0), Config.stack(6, [4]), 10, vocabulary=30)
    >>> model.embedding.shape, model.head.w.shape
    ((30, 6), (4, 10))
    """

    embedding: Any
    network: Params
    head: Head


class Batch(NamedTuple):
    """Sequences that one step reads together. N is their number.

    Attributes:
      xs: inputs [N, T, I], or tokens [N, T].
      targets: what to predict; its shape depends on the task.
      lengths: the steps of each sequence [N]. None: all have T.
      weights: 1 for a sequence that counts, 0 for one that only fills the batch [N]. None: all 1.
      starts: True where a sequence begins anew instead of going on from the carry [N]. None: none.

    >>> Batch(xs=jnp.ones((3, 7, 6)), targets=jnp.array([1, 2, 3])).lengths is None
    True
    """

    xs: Any
    targets: Any
    lengths: Any = None
    weights: Any = None
    starts: Any = None


def new(
    key: jax.Array,
    config: Config,
    outputs: int,
    *,
    vocabulary: int | None = None,
    attention: bool = False,
    tied: bool = False,
) -> Model:
    """A model with random parameters.

    Args:
      key: a key of jax.random.
      config: the network.
      outputs: the number of outputs of the head.
      vocabulary: the number of tokens. None: inputs are numbers, and there is no embedding.
      attention: whether the head has a query.
      tied: whether the head uses the embedding's weights (Press & Wolf 2017, arXiv 1608.05859).

    Raises:
      ValueError: the head cannot read the outputs, or an embedding cannot be tied.

    >>> made = new(jax.random.key(0), Config.stack(6, [4]), 10)
    >>> made.head.w.shape
    (4, 10)
    """
    if config.layers[-1].bidirectional and config.layers[-1].merge == "none":
        raise ValueError(
            "the last layer has merge='none', which keeps two outputs apart, but a head reads one; "
            "use another merge"
        )
    size = config.output_size
    if tied and (vocabulary != outputs or size != config.input_size):
        raise ValueError(
            f"a tied embedding needs as many outputs as tokens and as many features out of the "
            f"network as into it; here are {outputs} outputs, {vocabulary} tokens, {size} features "
            f"out and {config.input_size} in; set projection_size = {config.input_size} on the "
            "last layer, or tied = false"
        )
    k_network, k_w, k_embedding = jax.random.split(key, 3)
    glorot = jax.nn.initializers.glorot_uniform()
    dtype = config.param_dtype
    embedding = None
    if vocabulary is not None:
        # A tied embedding is also the head's weights, which must give small scores at first.
        scale = size**-0.5 if tied else 1.0
        embedding = scale * jax.random.normal(k_embedding, (vocabulary, config.input_size), dtype)
    head = Head(
        None if tied else glorot(k_w, (size, outputs), dtype),
        jnp.zeros(outputs, dtype),
        jnp.zeros(size, dtype) if attention else None,
    )
    return Model(embedding, init(k_network, config), head)


def require_seen(config: Config, readout: str) -> None:
    """ValueError if the output at the last step has not seen the steps before it."""
    if readout == "last" and config.layers[-1].reverse:
        raise ValueError(
            "the last layer has reverse=True, so its output at the last step, which the prediction "
            "is made from, has seen that step alone; leave out reverse, make the layer "
            'bidirectional, or use another readout, such as "mean", where the task has one'
        )


def inputs(config: Config, model: Model, xs: jax.Array) -> jax.Array:
    """The network's inputs [N, T, I] for numbers [N, T, I] or tokens [N, T].

    Raises:
      TypeError, ValueError: xs do not fit the model.
    """
    xs = jnp.asarray(xs)
    tokens = jnp.issubdtype(xs.dtype, jnp.integer)
    if tokens != (model.embedding is not None):
        raise TypeError(
            f"xs is {xs.dtype}{list(xs.shape)}, but the model "
            + (
                "has no embedding of tokens; pass numbers [N, T, I]"
                if model.embedding is None
                else "embeds tokens; pass whole numbers [N, T]"
            )
        )
    if model.embedding is None:
        return xs
    if xs.ndim != 2:
        raise ValueError(f"tokens have shape {xs.shape}; expected [N, T]")
    return model.embedding[xs].astype(config.dtype)


def outputs(
    config: Config,
    model: Model,
    batch: Batch,
    carry: tuple[Carry, ...] | None = None,
    key: jax.Array | None = None,
) -> tuple[tuple[Carry, ...], jax.Array]:
    """The network's carry and outputs [N, T, P] for a batch.

    Args:
      config: the network.
      model: its parameters.
      batch: the sequences.
      carry: the carry that the batch goes on from. None: the initial carry.
      key: the key of dropout. None: no dropout.
    """
    xs, network = inputs(config, model, batch.xs), model.network
    if _reads_by_token(config, model):
        config, network, xs = _by_token(config, model, batch.xs)
    return apply(config, network, carry, xs, lengths=batch.lengths, key=key, time_major=False)


def _reads_by_token(config: Config, model: Model) -> bool:
    """Whether the first layer may read tokens in place of their vectors, and this is faster."""
    first = config.layers[0]
    alone = not (first.dropout or first.residual or first.highway)
    if model.embedding is None or not alone or any(layer.skip for layer in config.layers):
        return False
    return len(model.embedding) <= config.input_size


def _by_token(config: Config, model: Model, tokens: jax.Array) -> tuple[Config, Params, jax.Array]:
    """A network that gives the same outputs from tokens as ones among zeros [N, T, vocabulary].

    The product of a token's vector with the input weights depends on the token alone. So one
    product of the embedding with these weights serves all steps, and vectors need no gradient.
    """
    first = quantized.as_float(model.network.layers[0], config.dtype)
    w_x = model.embedding.astype(first.w_x.dtype) @ first.w_x  # [V, 4H] or [2, V, 4H]
    layers = (first._replace(w_x=w_x), *model.network.layers[1:])
    xs = jax.nn.one_hot(tokens, len(model.embedding), dtype=config.dtype)
    config = dataclasses.replace(config, input_size=len(model.embedding))
    return config, model.network._replace(layers=layers), xs


def scores(model: Model, ys: jax.Array) -> jax.Array:
    """The head's outputs [..., outputs] for outputs ys [..., P] of the network.

    Those of bfloat16 weights are float32, as products of the network are.
    """
    w = model.embedding.T if model.head.w is None else model.head.w
    made = product(ys, w, w.dtype)
    return made + model.head.b.astype(made.dtype)


def pooled(model: Model, ys: jax.Array, lengths: jax.Array | None, readout: str) -> jax.Array:
    """One vector [N, P] for each sequence of outputs ys [N, T, P].

    Args:
      model: its query serves attention.
      ys: the outputs. Those beyond `lengths` are zero.
      lengths: [N] or None.
      readout: "last", the output at the last step; "mean", over the steps; "attention", the mean
        weighed by the softmax of ys @ query (Yang et al. 2016, without a hidden layer).
    """
    validation.known_name("readout", readout, READOUTS)
    if readout == "last":
        return last_output(ys, lengths, time_major=False)
    steps = ys.shape[1]
    ys = ys.astype(state_dtype(model.head.b.dtype))
    if lengths is None:
        valid = jnp.ones(ys.shape[:2], bool)
    else:
        valid = within(jnp.asarray(lengths), steps).T
    if readout == "mean":
        return ys.sum(1) / jnp.maximum(valid.sum(1), 1)[:, None]
    weights = jnp.where(valid, ys @ model.head.query.astype(ys.dtype), -jnp.inf)
    # A sequence of length 0 has no step to weigh: its softmax would be NaN.
    weights = jax.nn.softmax(jnp.where(valid.any(1, keepdims=True), weights, 0.0), axis=1)
    return jnp.einsum("nt,ntp->np", jnp.where(valid, weights, 0), ys)
