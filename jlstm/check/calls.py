"""The calls that test the contracts, and the difference between two results."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jlstm
from jlstm.config import Config
from jlstm.params import Carry, Params

STEPS, BATCH = 24, 6


@dataclasses.dataclass(frozen=True)
class Call:
    """A network with its arguments and the implementation to run it with."""

    implementation: str
    config: Config
    params: Params
    carry: tuple[Carry, ...] | None
    xs: jax.Array

    def run(self, params: Any = None, carry: Any = None, xs: Any = None, **times: Any) -> Any:
        """`apply` with the call's arguments, some of them replaced."""
        return jlstm.apply(
            self.config,
            self.params if params is None else params,
            self.carry if carry is None else carry,
            self.xs if xs is None else xs,
            implementation=self.implementation,
            **times,
        )

    def loss(self, params: Any = None, xs: Any = None, **times: Any) -> jax.Array:
        """A scalar that depends on every output and on the final carry."""
        out = jax.tree.leaves(self.run(params, None, xs, **times))
        weigh = [jnp.cos(jnp.arange(a.size, dtype=a.dtype)).reshape(a.shape) for a in out]
        return sum((jnp.sum(a * w) for a, w in zip(out, weigh, strict=True)), jnp.zeros(()))


def made(implementation: str, *layers: jlstm.Layer, seed: int = 0, dtype: str = "float32") -> Call:
    """A random call; by default a unidirectional layer below a bidirectional one."""
    layers = layers or (jlstm.Layer(20), jlstm.Layer(17, bidirectional=True))
    config = Config(5, layers, dtype=dtype)
    draw = np.random.default_rng(seed)
    carry = jax.tree.map(
        lambda a: jnp.asarray(draw.normal(size=a.shape), a.dtype) / 2,
        jlstm.initial_carry(config, batch_shape=(BATCH,)),
    )
    params = jlstm.init(jax.random.key(seed), config)
    xs = jnp.asarray(draw.normal(size=(STEPS, BATCH, 5)), jnp.float32)
    return Call(implementation, config, params, carry, xs)


def apart(seen: Any, wanted: Any) -> float:
    """The largest difference between two pytrees; inf if one is NaN.

    Each array's difference is divided by the largest magnitude in `wanted`'s array, or by 1 if that
    is smaller.
    """
    worst = 0.0
    for a, b in zip(jax.tree.leaves(seen), jax.tree.leaves(wanted), strict=True):
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        off = np.abs(a - b) / max(1.0, float(np.abs(b).max(initial=0.0)))
        worst = max(worst, float(np.where(np.isnan(off), np.inf, off).max(initial=0.0)))
    return worst
