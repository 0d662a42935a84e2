"""A step of an LSTM layer as a cell of flax.linen."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from jlstm.modules import carries, networks, scopes
from jlstm.modules.networks import Features, Initializer
from jlstm.network.step import step
from jlstm.params import Carry


class LSTMCell(nn.RNNCellBase):
    """One step of an LSTM layer, for nn.RNN, nn.scan and loops, in place of nn.OptimizedLSTMCell.

    `LSTM` runs whole sequences faster, with the same parameters. nn.RNN over a cell with dropout
    needs split_rngs={"params": False, "dropout": True}.

    Attributes:
      features: the number of units, or a jlstm.Layer that runs forward in time.
      gate_fn, activation_fn, kernel_init, recurrent_kernel_init, bias_init, dtype, param_dtype,
        initializer, deterministic: as in `LSTM`.
      carry_init: initializer of the carry in initialize_carry; zeros by default.

    >>> rnn = nn.RNN(LSTMCell(4))
    >>> ys, variables = rnn.init_with_output(jax.random.key(0), jnp.ones((2, 7, 3)))
    >>> ys.shape
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
    initializer: str | Initializer = "flax"
    deterministic: bool | None = None

    @nn.compact
    def __call__(
        self,
        carry: Any,
        inputs: jax.Array,
        *,
        reset: jax.Array | None = None,
        deterministic: bool | None = None,
    ) -> tuple[Any, jax.Array]:
        """Runs one step.

        Args:
          carry: (c [*batch, H], h [*batch, P]).
          inputs: [*batch, I].
          reset: [*batch] booleans; True replaces the carry by zeros before the step.
          deterministic: draw no dropout masks.

        Returns:
          The next carry, in the form of `carry`, and the output [*batch, P].

        Raises:
          TypeError, ValueError: arguments do not fit, as in jlstm.step.
        """
        networks.require_one(self.features)
        config = scopes.config(self, inputs.shape[-1], inputs, False)
        after, y = step(
            config,
            scopes.params(self, config),
            carries.from_flax(config, False, carry),
            networks.as_floating(inputs, config.dtype),
            reset=reset,
            key=scopes.dropout_key(self, config, deterministic),
        )
        return carries.to_flax(config, False, after, carry), y

    @nn.nowrap
    def initialize_carry(self, rng: jax.Array, input_shape: tuple[int, ...]) -> Carry:
        """The carry of the first step for inputs of shape [*batch, I]."""
        networks.require_one(self.features)
        (layer,) = networks.layers_of(self.features, self.gate_fn, self.activation_fn)
        dtype = networks.dtype_of(self.dtype, self.param_dtype)
        start = nn.initializers.zeros_init() if self.carry_init is None else self.carry_init
        return carries.initialize(rng, layer, tuple(input_shape[:-1]), dtype, start)

    @property
    def num_feature_axes(self) -> int:
        """Feature axes of the inputs."""
        return 1
