"""LSTM layers for flax.linen: `LSTM` in place of nn.RNN over a cell, and a cell for nn.RNN."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from jlstm.config import Config
from jlstm.modules import calls, networks, scopes, sources
from jlstm.modules.linen_cell import LSTMCell
from jlstm.modules.networks import Features, Initializer
from jlstm.named import params_from_dict
from jlstm.params import Params

__all__ = ["LSTM", "LSTMCell", "network", "params_from"]


class LSTM(nn.Module):
    """A stack of LSTM layers over sequences, in place of nn.RNN(nn.OptimizedLSTMCell(features)).

    Its call is that of nn.RNN. Its parameters are {"layers": {"0": {"w_x": [I, 4H], "w_h": [P, 4H],
    "b": [4H]}}}, as jlstm.Params names them.

    Attributes:
      features: the number of units, a jlstm.Layer with options, or a sequence of these for a stack.
        A number stands for Layer(features, forget_bias=0), which starts as Flax's cells do.
      gate_fn: activation function of the gates, for layers given by a number; sigmoid by default.
      activation_fn: activation function of the candidate and the output; tanh by default.
      kernel_init: initializer of w_x [I, 4H]; by default that of Flax, for each gate. The result
        of nn.with_partitioning marks w_x, as it marks w_h and b below.
      recurrent_kernel_init: initializer of w_h [P, 4H]; by default that of Flax, for each gate.
      bias_init: initializer of b [4H]; zeros by default.
      dtype: of products and outputs: float32, bfloat16 or float64; by default that of the inputs
        and parameters. The carry is float32 (float64 for float64).
      param_dtype: of the parameters.
      carry_init: initializer of the carry, if no initial_carry is passed; zeros by default.
      time_major, return_carry, reverse, keep_order: as in nn.RNN.
      initializer: distribution of all other parameters, as in jlstm.Config.
      learn_initial_carry: make the initial carry a parameter.
      deterministic: draw no dropout masks. Needed here or at the call if a layer has dropout; the
        masks come from the random stream "dropout".
      implementation, remat: as in jlstm.apply.

    >>> lstm = LSTM(4)
    >>> xs = jnp.ones((2, 7, 3))
    >>> variables = lstm.init(jax.random.key(0), xs)
    >>> lstm.apply(variables, xs).shape
    (2, 7, 4)
    """

    features: Features
    gate_fn: Callable[..., Any] | None = None
    activation_fn: Callable[..., Any] | None = None
    kernel_init: Initializer | None = None
    recurrent_kernel_init: Initializer | None = None
    bias_init: Initializer | None = None
    dtype: Any = None
    param_dtype: Any = jnp.float32
    carry_init: Initializer | None = None
    time_major: bool = False
    return_carry: bool = False
    reverse: bool = False
    keep_order: bool = False
    initializer: str | Initializer = "flax"
    learn_initial_carry: bool = False
    deterministic: bool | None = None
    implementation: str = "auto"
    remat: int | str | None = None

    @nn.compact
    def __call__(
        self,
        inputs: jax.Array,
        *,
        initial_carry: Any = None,
        init_key: jax.Array | None = None,
        seq_lengths: jax.Array | None = None,
        mask: jax.Array | None = None,
        resets: jax.Array | None = None,
        return_carry: bool | None = None,
        time_major: bool | None = None,
        reverse: bool | None = None,
        keep_order: bool | None = None,
        deterministic: bool | None = None,
    ) -> Any:
        """Runs the network over sequences.

        Arguments that are None are those of the module.

        Args:
          inputs: [*batch, T, I], or [T, *batch, I] if time_major.
          initial_carry: (c, h), c [*batch, H] and h [*batch, P]; ((c, h), (c, h)), forward and
            backward, for a bidirectional layer; a tuple of these for a stack. By default zeros, or
            what carry_init or a learned initial carry return.
          init_key: random key of carry_init.
          seq_lengths: [*batch] whole numbers. Outputs past the length are zero, where nn.RNN
            returns the results of the padding. The carry is the one at the length.
          mask: booleans [*batch, T], or [T, *batch] if time_major; False marks padding.
          resets: booleans like mask; True starts the sequence anew before that step.
          return_carry: return (carry, outputs).
          time_major: whether time is the first axis.
          reverse: run from the last valid step to the first.
          keep_order: with reverse, return outputs in the order of the inputs.
          deterministic: draw no dropout masks.

        Returns:
          Outputs [*batch, T, O] ([T, *batch, O] if time_major), or (carry, outputs). The carry has
          the form of initial_carry.

        Raises:
          TypeError, ValueError: arguments do not fit, as in jlstm.apply.
        """
        config = scopes.config(self, inputs.shape[-1], inputs, self.learn_initial_carry)
        after, ys = calls.run(
            config,
            scopes.params(self, config),
            networks.as_floating(inputs, config.dtype),
            stack=networks.is_stack(self.features),
            initial_carry=initial_carry,
            carry_init=self.carry_init,
            init_key=init_key,
            seq_lengths=seq_lengths,
            mask=mask,
            resets=resets,
            time_major=self.time_major if time_major is None else time_major,
            reverse=self.reverse if reverse is None else reverse,
            keep_order=self.keep_order if keep_order is None else keep_order,
            key=scopes.dropout_key(self, config, deterministic),
            implementation=self.implementation,
            remat=self.remat,
        )
        with_carry = self.return_carry if return_carry is None else return_carry
        return (after, ys) if with_carry else ys


def network(module: LSTM | LSTMCell, variables: Any) -> tuple[Config, Params]:
    """The config and the parameters of a module, for jlstm.apply, jlstm.save and conversions.

    Its outputs are in the order of the inputs, even if the module has reverse without keep_order.
    What carry_init draws is not part of it.

    Args:
      module: the module.
      variables: its variables, {"params": {"layers": ...}}.

    Raises:
      TypeError, ValueError: `variables` are not those of the module.

    >>> lstm = LSTM((4, 5))
    >>> config, params = network(lstm, lstm.init(jax.random.key(0), jnp.ones((2, 7, 3))))
    >>> params.layers[1].w_x.shape
    (4, 20)
    """
    try:
        tree = nn.meta.unbox(variables["params"])
        in_features = tree["layers"]["0"]["w_x"].shape[-2]
    except (KeyError, TypeError) as error:
        raise ValueError(
            'expected the variables of the module, {"params": {"layers": ...}}, with arrays such '
            f"as w_x of layer 0; {error!r:.60}"
        ) from None
    layers = isinstance(module, LSTM)
    config = scopes.config(module, in_features, None, layers and module.learn_initial_carry)
    if layers and module.reverse:
        config = calls.reversed_in_time(config)
    return config, params_from_dict(config, tree)


def params_from(source: Any) -> dict[str, Any]:
    """The "params" of an `LSTM` or `LSTMCell` with the weights of `source`.

    Args:
      source: jlstm.Params; an nnx module of this library, or variables of a module; or what Flax
        holds for an LSTMCell or an OptimizedLSTMCell, alone or in an RNN or a Bidirectional: the
        variables of linen, with or without "params", a module of nnx, or its state; or a list of
        these, one per layer.

    Raises:
      TypeError, ValueError: `source` holds no weights of an LSTM cell.

    >>> old = nn.RNN(nn.OptimizedLSTMCell(4))
    >>> xs = jax.random.normal(jax.random.key(0), (2, 7, 3))
    >>> variables = old.init(jax.random.key(1), xs)
    >>> ys = LSTM(4).apply({"params": params_from(variables)}, xs)
    >>> bool(jnp.allclose(ys, old.apply(variables, xs), atol=1e-6))
    True
    """
    return sources.tree_of(source)
