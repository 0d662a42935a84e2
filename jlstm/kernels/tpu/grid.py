"""The recurrence as Pallas kernels for TPU: weights and carry stay in the core's own memory.

The grid goes over groups, blocks of the batch and, one after another, blocks of time. What one
block of time leaves in scratch memory, the next goes on with.
"""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from jlstm.kernels.primitives import device_types
from jlstm.kernels.tpu.tiling import RESET, VALID
from jlstm.kernels.tpu.vmem import Tiles, limit
from jlstm.params import Carry


class Walk(NamedTuple):
    """How a kernel goes through time.

    Attributes:
      time: steps in all.
      tiles: what of them one step of the grid works on.
      backwards: whether it begins with the last one.
      valid, resets: which flags there are.
    """

    time: int
    tiles: Tiles
    backwards: bool
    valid: bool
    resets: bool

    @property
    def blocks(self) -> int:
        """How many blocks of time there are."""
        return -(-self.time // self.tiles.steps)

    def place(self, block: Any) -> Any:
        """Where in time the block stands that the grid comes to as its `block`-th."""
        return self.blocks - 1 - block if self.backwards else block

    def first(self) -> Any:
        """The step that the block of this point of the grid begins with, in order of time."""
        return self.place(pl.program_id(2)) * self.tiles.steps

    def over_block(self, step: Callable[[Any, Any], Any], state: Any) -> Any:
        """`state` after step(n, state) of all steps of a block, in the order they are taken in."""
        last = self.tiles.steps - 1

        def body(n: Any, state: Any) -> Any:
            return step(last - n if self.backwards else n, state)

        return lax.fori_loop(0, last + 1, body, state, unroll=self.tiles.unrolled)


def call(
    walk: Walk,
    body: Callable[[SimpleNamespace], None],
    w_h: jax.Array,
    over_time: dict[str, jax.Array],
    states: dict[str, jax.Array],
    flags: jax.Array | None,
    made: dict[str, int],
    scratch: tuple[str, ...],
    interpret: Any,
) -> list[jax.Array]:
    """Runs `body` over the grid, with every operand, result and scratch array by its name.

    Args:
      walk: the order of time, and the tiles.
      body: what a point of the grid does with its blocks.
      w_h: weights [G, ..], of which a point has those of its group.
      over_time: arrays [G, T, B, features].
      states: arrays [G, B, H].
      flags: [G or 1, T, B, 1], or None.
      made: for each result how many times H features it has over time, 0 for a state.
      scratch: arrays of a block's [B, H] that the next block of time finds as they were left.
      interpret: how Pallas runs it where there is no TPU.

    Returns:
      The results, in float32.
    """
    steps, rows = walk.tiles.steps, walk.tiles.batch
    groups, batch, units = next(iter(states.values())).shape

    def block(features: int, shared: bool = False) -> pl.BlockSpec:
        return pl.BlockSpec(
            (None, steps, rows, features),
            lambda g, b, t: (0 if shared else g, walk.place(t), b, 0),
        )

    state = pl.BlockSpec((None, rows, units), lambda g, b, t: (g, b, 0))
    weights = pl.BlockSpec(
        (None, *w_h.shape[1:]), lambda g, b, t: (g, 0, 0), pipeline_mode=pl.Buffered(1)
    )
    operands = {"w_h": w_h, **over_time, **states}
    specs = [weights, *(block(a.shape[-1]) for a in over_time.values()), *[state] * len(states)]
    if flags is not None:
        operands["flags"] = flags
        specs.append(block(1, shared=flags.shape[0] == 1))
    shapes = [(groups, walk.time, batch, n * units) if n else (groups, batch, units)
              for n in made.values()]  # fmt: skip
    names, given = [*operands, *made, *scratch], device_types.alike(list(operands.values()))
    call = pl.pallas_call(
        lambda *refs: body(SimpleNamespace(**dict(zip(names, refs, strict=True)))),
        out_shape=[device_types.struct_like(given[-1], shape, jnp.float32) for shape in shapes],
        grid=(groups, -(-batch // rows), walk.blocks),
        in_specs=specs,
        out_specs=[block(n * units) if n else state for n in made.values()],
        scratch_shapes=[pltpu.VMEM((rows, units), jnp.float32) for _ in scratch],
        compiler_params=pltpu.CompilerParams(
            dimension_semantics=("parallel", "parallel", "arbitrary"),
            vmem_limit_bytes=limit(walk.tiles),
        ),
        interpret=interpret,
    )
    return call(*given)


def product(a: jax.Array, w: jax.Array) -> jax.Array:
    """a [B, K] times w [K, N], rounded as the weights are, added up in float32."""
    exact = w.dtype == jnp.float32
    return lax.dot_general(
        a.astype(w.dtype),
        w,
        (((1,), (0,)), ((), ())),
        precision=lax.Precision.HIGHEST if exact else lax.Precision.DEFAULT,
        preferred_element_type=jnp.float32,
    )


def flags_at(
    walk: Walk, at: SimpleNamespace, first: Any, n: Any, shape: tuple[int, ...]
) -> tuple[jax.Array | None, jax.Array | None]:
    """Whether step n of a block is taken, and whether it is a reset; None where that is known."""
    within = None
    if walk.time % walk.tiles.steps:
        within = jnp.full(shape, first + n, jnp.int32) < walk.time
    if not (walk.valid or walk.resets):
        return within, None
    flags = jnp.broadcast_to(at.flags[n], shape)
    taken = flags & VALID != 0 if walk.valid else None
    reset = flags & RESET != 0 if walk.resets else None
    return _both(taken, within), None if reset is None else _both(reset, within)


def _both(a: jax.Array | None, b: jax.Array | None) -> jax.Array | None:
    if a is None or b is None:
        return b if a is None else a
    return a & b


def where(flags: jax.Array | None, chosen: Any, otherwise: Any) -> Any:
    """`chosen` where the flags are True, and everywhere without flags."""
    return chosen if flags is None else jnp.where(flags, chosen, otherwise)


def where_carry(flags: jax.Array | None, chosen: Carry, otherwise: Carry) -> Carry:
    """`chosen` where the flags are True, and everywhere without flags."""
    return Carry(*(where(flags, a, b) for a, b in zip(chosen, otherwise, strict=True)))
