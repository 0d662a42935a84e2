"""The grid of the Pallas kernels for TPU. Weights and carry stay in VMEM, the core's memory.

The axes of the grid are groups, blocks of the batch, and blocks of time. Blocks of time run one
after another; each passes its state to the next in scratch memory.
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
    """The order in which a kernel visits the steps of time.

    Attributes:
      time: number of steps T.
      tiles: steps and batch rows of one point of the grid.
      backwards: whether the kernel begins with the last step.
      valid, resets: which flags exist.
    """

    time: int
    tiles: Tiles
    backwards: bool
    valid: bool
    resets: bool

    @property
    def blocks(self) -> int:
        """Number of blocks of time."""
        return -(-self.time // self.tiles.steps)

    def place(self, block: Any) -> Any:
        """Time position of the block that the grid visits `block`-th."""
        return self.blocks - 1 - block if self.backwards else block

    def first(self) -> Any:
        """Index of the earliest step in the block of this point of the grid."""
        return self.place(pl.program_id(2)) * self.tiles.steps

    def over_block(self, step: Callable[[Any, Any], Any], state: Any) -> Any:
        """Applies step(n, state) -> state for all steps n of a block, in the order of the walk."""
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
    """Runs `body` over the grid. It reads and writes its blocks by name, as attributes.

    Args:
      walk: the order of time, and the tiles.
      body: function of the blocks of one point of the grid.
      w_h: weights [G, ..]; a point reads those of its group.
      over_time: operands [G, T, B, features], by name.
      states: operands [G, B, H], by name.
      flags: [G or 1, T, B, 1], or None.
      made: for each result [G, T, B, n * H] the number n; 0 for a state [G, B, H].
      scratch: names of scratch arrays [rows of a block, H], which persist between blocks of time.
      interpret: how Pallas runs the kernel on a machine without a TPU.

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
    """a [B, K], rounded to the dtype of the weights, times w [K, N]; sums in float32."""
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
    """Flags (taken, reset) of step n of a block; None for always taken, or never reset."""
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
