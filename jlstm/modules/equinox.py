"""LSTM layers for Equinox: `LSTM`, a module that holds a network of this library."""

from typing import Any

import equinox as eqx
import jax

from jlstm import arguments
from jlstm.config import Config
from jlstm.network.stack import apply
from jlstm.params import Carries, Params, init


class LSTM(eqx.Module):
    """A network as a module of Equinox.

    Its arrays are leaves, such as lstm.params.layers[0].w_x, and its config is static. So
    eqx.filter_jit, eqx.filter_grad, eqx.tree_at, eqx.tree_serialise_leaves and optax work on it.

    Attributes:
      params: the parameters.
      config: the network, with every option of jlstm.Layer.
      implementation, remat: as in jlstm.apply.

    >>> lstm = LSTM(Config.stack(3, [4]), key=jax.random.key(0))
    >>> carry, ys = lstm(jax.numpy.ones((7, 3)))
    >>> ys.shape
    (7, 4)
    """

    params: Params
    config: Config = eqx.field(static=True)
    implementation: str = eqx.field(static=True)
    remat: int | str | None = eqx.field(static=True)

    def __init__(
        self,
        config: Config,
        params: Params | None = None,
        *,
        key: jax.Array | None = None,
        implementation: str = "auto",
        remat: int | str | None = None,
    ):
        """Holds `params`, or draws parameters from `key`.

        Args:
          config: the network.
          params: its parameters, such as those of jlstm.load or jlstm.interop.from_equinox.
          key: random key of the parameters, if params is None.
          implementation, remat: as in jlstm.apply.

        Raises:
          TypeError, ValueError: params do not fit config, or both or none of params and key are
            passed.
        """
        if params is None:
            if key is None:
                raise ValueError("neither params nor key is passed; expected one of them")
            params = init(key, config)
        elif key is not None:
            raise ValueError("both params and key are passed; leave key out to hold params")
        self.params = params
        self.config = config
        self.implementation = implementation
        self.remat = remat
        arguments.params(config, self.params)

    def __call__(
        self,
        xs: jax.Array,
        carry: Carries | None = None,
        *,
        lengths: Any = None,
        mask: Any = None,
        resets: Any = None,
        key: jax.Array | None = None,
        time_major: bool = True,
    ) -> tuple[Carries, jax.Array]:
        """Runs the network over sequences. Arguments and results are those of jlstm.apply.

        Args:
          xs: [T, I] or [T, *batch, I]; [*batch, T, I] if time_major is False.
          carry: a tuple with one Carry a layer; None means the initial carry.
          lengths, mask, resets: as in jlstm.apply.
          key: random key of dropout masks; without it there is no dropout.
          time_major: whether time is the first axis.

        Returns:
          The final carry and the outputs [T, *batch, O], or [*batch, T, O].

        Raises:
          TypeError, ValueError: arguments do not fit, as in jlstm.apply.
        """
        return apply(
            self.config,
            self.params,
            carry,
            xs,
            lengths=lengths,
            mask=mask,
            resets=resets,
            key=key,
            time_major=time_major,
            implementation=self.implementation,
            remat=self.remat,
        )
