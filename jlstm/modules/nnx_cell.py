"""A step of an LSTM layer as a cell of flax.nnx."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jlstm.modules import carries, networks, variables
from jlstm.modules.networks import Features, Initializer
from jlstm.modules.variables import NO_METADATA, Metadata
from jlstm.network.step import step
from jlstm.params import Carry


class LSTMCell(variables.Recurrent):
    """One step of an LSTM layer, for nnx.RNN and loops, in place of nnx.OptimizedLSTMCell.

    `LSTM` runs whole sequences faster, with the same parameters.

    Args:
      in_features: features I of the inputs.
      hidden_features: the number of units, or a jlstm.Layer that runs forward in time.
      gate_fn, activation_fn, kernel_init, recurrent_kernel_init, bias_init, dtype, param_dtype,
        initializer, deterministic, kernel_metadata, recurrent_kernel_metadata, bias_metadata, rngs:
        as in `LSTM`.
      carry_init: initializer of the carry in initialize_carry; zeros by default.

    >>> rnn = nnx.RNN(LSTMCell(3, 4, rngs=nnx.Rngs(0)))
    >>> rnn(jnp.ones((2, 7, 3))).shape
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
        initializer: str | Initializer = "flax",
        deterministic: bool = False,
        kernel_metadata: Metadata = NO_METADATA,
        recurrent_kernel_metadata: Metadata = NO_METADATA,
        bias_metadata: Metadata = NO_METADATA,
        rngs: nnx.Rngs,
    ):
        networks.require_one(hidden_features)
        self.in_features = in_features
        self.options = networks.layers_of(hidden_features, gate_fn, activation_fn)
        self.dtype = dtype
        self.param_dtype = param_dtype
        self.carry_init = carry_init
        self.initializer = initializer
        self.learn_initial_carry = False
        self.deterministic = deterministic
        self.layers = variables.initialize(
            rngs,
            variables.config_of(self),
            {"w_x": kernel_init, "w_h": recurrent_kernel_init, "b": bias_init},
            {"w_x": kernel_metadata, "w_h": recurrent_kernel_metadata, "b": bias_metadata},
        )
        self.rngs = variables.stream(rngs, "dropout") if networks.uses_key(self.options) else None

    def __call__(
        self,
        carry: Any,
        inputs: jax.Array,
        *,
        reset: jax.Array | None = None,
        deterministic: bool | None = None,
        rngs: Any = None,
    ) -> tuple[Any, jax.Array]:
        """Runs one step.

        Args:
          carry: (c [*batch, H], h [*batch, P]).
          inputs: [*batch, I].
          reset: [*batch] booleans; True replaces the carry by zeros before the step.
          deterministic: draw no dropout masks.
          rngs: random streams or a key for dropout masks, in place of those of the module.

        Returns:
          The next carry, in the form of `carry`, and the output [*batch, P].

        Raises:
          TypeError, ValueError: arguments do not fit, as in jlstm.step.
        """
        config = variables.config_of(self, inputs)
        after, y = step(
            config,
            variables.params_of(self, config),
            carries.from_flax(config, False, carry),
            networks.as_floating(inputs, config.dtype),
            reset=reset,
            key=variables.dropout_key(self, deterministic, rngs),
        )
        return carries.to_flax(config, False, after, carry), y

    def initialize_carry(
        self, input_shape: tuple[int, ...], rngs: Any = None, carry_init: Initializer | None = None
    ) -> Carry:
        """The carry of the first step for inputs of shape [*batch, I].

        Args:
          input_shape: the shape of the inputs of one step.
          rngs: random streams, for an initializer that draws.
          carry_init: initializer, in place of that of the cell; zeros by default.
        """
        start = carry_init or self.carry_init or nnx.initializers.zeros_init()
        key = jax.random.key(0) if rngs is None else variables.key_of(rngs, "carry")
        (layer,), dtype = self.options, networks.dtype_of(self.dtype, self.param_dtype)
        return carries.initialize(key, layer, tuple(input_shape[:-1]), dtype, start)

    @property
    def num_feature_axes(self) -> int:
        """Feature axes of the inputs."""
        return 1
