"""LSTM layers for flax.nnx: `LSTM` in place of nnx.RNN over a cell, and a cell for nnx.RNN."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jlstm import quantized
from jlstm.config import Config
from jlstm.modules import calls, networks, sources, variables
from jlstm.modules.networks import Features, Initializer
from jlstm.modules.nnx_cell import LSTMCell
from jlstm.modules.variables import NO_METADATA, Metadata
from jlstm.named import named, params_from_dict
from jlstm.params import Params

__all__ = ["LSTM", "LSTMCell", "network", "set_params"]


class LSTM(variables.Recurrent):
    """A stack of LSTM layers over sequences, in place of nnx.RNN(nnx.OptimizedLSTMCell(I, H)).

    Its call is that of nnx.RNN. Its parameters are nnx.Param, such as lstm.layers[0].w_x, with the
    fields of jlstm.LayerParams.

    Args:
      in_features: features I of the inputs.
      hidden_features: the number of units, a jlstm.Layer with options, or a sequence of these for a
        stack. A number stands for Layer(hidden_features, forget_bias=0), which starts as Flax's
        cells do.
      gate_fn: activation function of the gates, for layers given by a number; sigmoid by default.
      activation_fn: activation function of the candidate and the output; tanh by default.
      kernel_init: initializer of w_x [I, 4H]; by default that of Flax. The result of
        nnx.with_partitioning marks w_x, as it marks w_h and b below.
      recurrent_kernel_init: initializer of w_h [P, 4H]; by default that of Flax, for each gate.
      bias_init: initializer of b [4H]; zeros by default.
      dtype: of products and outputs: float32, bfloat16 or float64; by default that of the inputs
        and parameters. The carry is float32 (float64 for float64).
      param_dtype: of the parameters.
      carry_init: initializer of the carry, if no initial_carry is passed; zeros by default.
      time_major, return_carry, reverse, keep_order: as in nnx.RNN.
      initializer: distribution of all other parameters, as in jlstm.Config.
      learn_initial_carry: make the initial carry a parameter.
      deterministic: draw no dropout masks. eval() and train() set it.
      implementation, remat: as in jlstm.apply.
      kernel_metadata, recurrent_kernel_metadata, bias_metadata: metadata of w_x, w_h and b.
      rngs: random streams: "params" for the parameters and "dropout" for dropout masks.

    >>> lstm = LSTM(3, 4, rngs=nnx.Rngs(0))
    >>> lstm(jnp.ones((2, 7, 3))).shape
    (2, 7, 4)
    """

    def __init__(
        self,
        in_features: int,
        hidden_features: Features,
        *,
        gate_fn: Callable[..., Any] | None = None,
        activation_fn: Callable[..., Any] | None = None,
        kernel_init: Initializer | None = None,
        recurrent_kernel_init: Initializer | None = None,
        bias_init: Initializer | None = None,
        dtype: Any = None,
        param_dtype: Any = jnp.float32,
        carry_init: Initializer | None = None,
        time_major: bool = False,
        return_carry: bool = False,
        reverse: bool = False,
        keep_order: bool = False,
        initializer: str | Initializer = "flax",
        learn_initial_carry: bool = False,
        deterministic: bool = False,
        implementation: str = "auto",
        remat: int | str | None = None,
        kernel_metadata: Metadata = NO_METADATA,
        recurrent_kernel_metadata: Metadata = NO_METADATA,
        bias_metadata: Metadata = NO_METADATA,
        rngs: nnx.Rngs,
    ):
        self.in_features = in_features
        self.options = networks.layers_of(hidden_features, gate_fn, activation_fn)
        self.stack = networks.is_stack(hidden_features)
        self.dtype = dtype
        self.param_dtype = param_dtype
        self.carry_init = carry_init
        self.time_major = time_major
        self.return_carry = return_carry
        self.reverse = reverse
        self.keep_order = keep_order
        self.initializer = initializer
        self.learn_initial_carry = learn_initial_carry
        self.deterministic = deterministic
        self.implementation = implementation
        self.remat = remat
        self.layers = variables.initialize(
            rngs,
            variables.config_of(self),
            {"w_x": kernel_init, "w_h": recurrent_kernel_init, "b": bias_init},
            {"w_x": kernel_metadata, "w_h": recurrent_kernel_metadata, "b": bias_metadata},
        )
        self.rngs = variables.stream(rngs, "dropout") if networks.uses_key(self.options) else None
        self.carry_rngs = None if carry_init is None else variables.stream(rngs, "carry")

    def __call__(
        self,
        inputs: jax.Array,
        *,
        initial_carry: Any = None,
        seq_lengths: jax.Array | None = None,
        mask: jax.Array | None = None,
        resets: jax.Array | None = None,
        return_carry: bool | None = None,
        time_major: bool | None = None,
        reverse: bool | None = None,
        keep_order: bool | None = None,
        deterministic: bool | None = None,
        rngs: Any = None,
    ) -> Any:
        """Runs the network over sequences.

        Arguments that are None are those of the module.

        Args:
          inputs: [*batch, T, I], or [T, *batch, I] if time_major.
          initial_carry: (c, h), c [*batch, H] and h [*batch, P]; ((c, h), (c, h)), forward and
            backward, for a bidirectional layer; a tuple of these for a stack. By default zeros, or
            what carry_init or a learned initial carry return.
          seq_lengths: [*batch] whole numbers. Outputs past the length are zero, where nnx.RNN
            returns the results of the padding. The carry is the one at the length.
          mask: booleans [*batch, T], or [T, *batch] if time_major; False marks padding.
          resets: booleans like mask; True starts the sequence anew before that step.
          return_carry: return (carry, outputs).
          time_major: whether time is the first axis.
          reverse: run from the last valid step to the first.
          keep_order: with reverse, return outputs in the order of the inputs.
          deterministic: draw no dropout masks.
          rngs: random streams for dropout masks and carry_init, or a key for dropout masks, in
            place of those of the module.

        Returns:
          Outputs [*batch, T, O] ([T, *batch, O] if time_major), or (carry, outputs). The carry has
          the form of initial_carry.

        Raises:
          TypeError, ValueError: arguments do not fit, as in jlstm.apply.
        """
        config = variables.config_of(self, inputs)
        after, ys = calls.run(
            config,
            variables.params_of(self, config),
            networks.as_floating(inputs, config.dtype),
            stack=self.stack,
            initial_carry=initial_carry,
            carry_init=self.carry_init,
            init_key=variables.carry_key(self, initial_carry, rngs),
            seq_lengths=seq_lengths,
            mask=mask,
            resets=resets,
            time_major=self.time_major if time_major is None else time_major,
            reverse=self.reverse if reverse is None else reverse,
            keep_order=self.keep_order if keep_order is None else keep_order,
            key=variables.dropout_key(self, deterministic, rngs),
            implementation=self.implementation,
            remat=self.remat,
        )
        with_carry = self.return_carry if return_carry is None else return_carry
        return (after, ys) if with_carry else ys


def network(module: LSTM | LSTMCell) -> tuple[Config, Params]:
    """The config and the parameters of a module, for jlstm.apply, jlstm.save and conversions.

    Its outputs are in the order of the inputs, even if the module has reverse without keep_order.
    What carry_init draws is not part of it.

    >>> config, params = network(LSTM(3, (4, 5), rngs=nnx.Rngs(0)))
    >>> params.layers[1].w_x.shape
    (4, 20)
    """
    config = variables.config_of(module)
    if isinstance(module, LSTM) and module.reverse:
        config = calls.reversed_in_time(config)
    return config, variables.params_of(module, config)


def set_params(module: LSTM | LSTMCell, source: Any) -> None:
    """Sets the parameters of a module to the weights of `source`.

    Args:
      module: an `LSTM` or `LSTMCell` of the same sizes.
      source: jlstm.Params; another module of this library, or its variables; or what Flax holds
        for an LSTMCell or an OptimizedLSTMCell, alone or in an RNN or a Bidirectional: a module of
        nnx, its state, or the variables of linen; or a list of these, one per layer.

    Raises:
      TypeError, ValueError: `source` holds no weights of an LSTM cell, or of other sizes.

    >>> old = nnx.RNN(nnx.OptimizedLSTMCell(3, 4, rngs=nnx.Rngs(0)))
    >>> lstm = LSTM(3, 4, rngs=nnx.Rngs(1))
    >>> set_params(lstm, old)
    >>> xs = jax.random.normal(jax.random.key(0), (2, 7, 3))
    >>> bool(jnp.allclose(lstm(xs), old(xs), atol=1e-6))
    True
    """
    tree = sources.tree_of(source)
    params = params_from_dict(variables.config_of(module), tree)
    quantized.refuse("a module", params)
    for name, array in named(params).items():
        variables.assign(module.layers, name.split(".")[1:], array)
