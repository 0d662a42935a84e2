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

from jlstm import cell
from jlstm.kernels import types
from jlstm.kernels.reference import PLAIN
from jlstm.kernels.vmem import Tiles
from jlstm.params import Carry, LayerParams

VALID, RESET = 1, 2  # bits of a step's flags
_NO_WEIGHTS = LayerParams(None, None)  # type: ignore[arg-type]


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
        """Of time."""
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


def run(
    walk: Walk,
    w_h: jax.Array,
    z: jax.Array,
    carry: Carry,
    initial: Carry | None,
    flags: jax.Array | None,
    keep: bool,
    interpret: Any = False,
) -> list[jax.Array]:
    """The recurrence of groups that all have one direction.

    Args:
      walk: the order of time.
      w_h: [G, H, 4H], in the format that products are taken in.
      z: input products [G, T, B, 4H].
      carry, initial: Carry [G, B, H].
      flags: [G or 1, T, B, 1], VALID and RESET added up; None without either.
      keep: whether gates and the carry that each step read are wanted.
      interpret: how it runs where there is no TPU.

    Returns:
      The last c and h [G, B, H], h of all steps [G, T, B, H] and, if kept, gates
      [G, T, B, 4H], c and h before each step.
    """
    units = w_h.shape[1]

    def body(at: SimpleNamespace) -> None:
        @pl.when(pl.program_id(2) == 0)
        def _() -> None:
            at.c[...], at.h[...] = at.c_start[...], at.h_start[...]

        start = Carry(at.c_initial[...], at.h_initial[...]) if walk.resets else None

        first = walk.first()

        def step(n: Any, state: Carry) -> Carry:
            taken, reset = _flags(walk, at, first, n, state.c.shape)
            if not walk.backwards:
                state = _select(reset, start, state)
            before = state
            z = at.z[n] + _product(before.h, at.w_h[...])
            gates, c, h = cell.advance(PLAIN, _NO_WEIGHTS, z, before, cell.NO_MASKS)
            state = _select(taken, Carry(c, h), before)
            at.hs[n] = _where(taken, h, 0.0)
            if keep:
                for k, gate in enumerate(gates):
                    at.gates[n, :, k * units : (k + 1) * units] = _where(taken, gate, 0.0)
                at.c_before[n] = _where(taken, before.c, 0.0)
                at.h_before[n] = _where(taken, before.h, 0.0)
            if walk.backwards:
                state = _select(reset, start, state)
            return state

        state = walk.over_block(step, Carry(at.c[...], at.h[...]))
        at.c[...], at.h[...] = state

        @pl.when(pl.program_id(2) == walk.blocks - 1)
        def _() -> None:
            at.c_last[...], at.h_last[...] = state

    states = {"c_start": carry.c, "h_start": carry.h}
    if walk.resets and initial is not None:
        states |= {"c_initial": initial.c, "h_initial": initial.h}
    made = {"c_last": 0, "h_last": 0, "hs": 1}
    if keep:
        made |= {"gates": 4, "c_before": 1, "h_before": 1}
    return _call(walk, body, w_h, {"z": z}, states, flags, made, ("c", "h"), interpret)


def backward(
    walk: Walk,
    w_h: jax.Array,
    gates: jax.Array,
    c_before: jax.Array,
    d_hs: jax.Array,
    d_last: Carry,
    flags: jax.Array | None,
    interpret: Any = False,
) -> list[jax.Array]:
    """Gradients of a run, going through time the other way.

    Args:
      walk: the order of time, opposite to that of the run.
      w_h: transposed, [G, 4H, H], in the format that products are taken in.
      gates, c_before: what the run kept.
      d_hs: gradients for the outputs [G, T, B, H].
      d_last: gradients for the last carry [G, B, H].
      flags: as for the run.
      interpret: as for the run.

    Returns:
      Gradients for z [G, T, B, 4H], for the carry and, with resets, for what they put into it.
    """
    units = w_h.shape[2]

    def body(at: SimpleNamespace) -> None:
        @pl.when(pl.program_id(2) == 0)
        def _() -> None:
            at.d_c[...], at.d_h[...] = at.d_c_last[...], at.d_h_last[...]
            if walk.resets:
                at.d_ci[...] = jnp.zeros_like(at.d_ci)
                at.d_hi[...] = jnp.zeros_like(at.d_hi)

        first = walk.first()

        def step(n: Any, state: tuple[Carry, Carry | None]) -> tuple[Carry, Carry | None]:
            d, d_initial = state
            taken, reset = _flags(walk, at, first, n, d.c.shape)
            if not walk.backwards:  # then the run went backwards, and was reset after its steps
                d, d_initial = _cut(reset, d, d_initial)
            own = cell.Gates(*(at.gates[n, :, k * units : (k + 1) * units] for k in range(4)))
            _, pull = jax.vjp(cell.update, own, at.c_before[n])
            d_gates, d_c = pull(Carry(d.c, d.h + at.d_hs[n]))
            parts = [a * b for a, b in zip(cell.slopes(own), d_gates, strict=True)]
            parts = [_where(taken, a, 0.0) for a in parts]
            for k, part in enumerate(parts):
                at.d_z[n, :, k * units : (k + 1) * units] = part
            d_h = _product(jnp.concatenate(parts, axis=-1), at.w_h[...])
            d = _select(taken, Carry(d_c, d_h), d)
            if walk.backwards:
                d, d_initial = _cut(reset, d, d_initial)
            return d, d_initial

        d_initial = Carry(at.d_ci[...], at.d_hi[...]) if walk.resets else None
        d, d_initial = walk.over_block(step, (Carry(at.d_c[...], at.d_h[...]), d_initial))
        at.d_c[...], at.d_h[...] = d
        if d_initial is not None:
            at.d_ci[...], at.d_hi[...] = d_initial

        @pl.when(pl.program_id(2) == walk.blocks - 1)
        def _() -> None:
            at.d_c_start[...], at.d_h_start[...] = d
            if d_initial is not None:
                at.d_c_initial[...], at.d_h_initial[...] = d_initial

    over_time = {"gates": gates, "c_before": c_before, "d_hs": d_hs}
    states = {"d_c_last": d_last.c, "d_h_last": d_last.h}
    made = {"d_z": 4, "d_c_start": 0, "d_h_start": 0}
    scratch: tuple[str, ...] = ("d_c", "d_h")
    if walk.resets:
        made |= {"d_c_initial": 0, "d_h_initial": 0}
        scratch += ("d_ci", "d_hi")
    return _call(walk, body, w_h, over_time, states, flags, made, scratch, interpret)


def _call(
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

    `made` says how many times H features a result over time has, 0 for a state.
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
    names, given = [*operands, *made, *scratch], types.alike(list(operands.values()))
    call = pl.pallas_call(
        lambda *refs: body(SimpleNamespace(**dict(zip(names, refs, strict=True)))),
        out_shape=[types.struct_like(given[-1], shape, jnp.float32) for shape in shapes],
        grid=(groups, -(-batch // rows), walk.blocks),
        in_specs=specs,
        out_specs=[block(n * units) if n else state for n in made.values()],
        scratch_shapes=[pltpu.VMEM((rows, units), jnp.float32) for _ in scratch],
        compiler_params=pltpu.CompilerParams(
            dimension_semantics=("parallel", "parallel", "arbitrary"),
            vmem_limit_bytes=_limit(walk.tiles),
        ),
        interpret=interpret,
    )
    return call(*given)


def _limit(tiles: Tiles) -> int:
    return tiles.size * 4 // 3 + 2**21


def _product(a: jax.Array, w: jax.Array) -> jax.Array:
    """a [B, K] times w [K, N], rounded as the weights are, added up in float32."""
    exact = w.dtype == jnp.float32
    return lax.dot_general(
        a.astype(w.dtype),
        w,
        (((1,), (0,)), ((), ())),
        precision=lax.Precision.HIGHEST if exact else lax.Precision.DEFAULT,
        preferred_element_type=jnp.float32,
    )


def _flags(
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


def _where(flags: jax.Array | None, chosen: Any, otherwise: Any) -> Any:
    return chosen if flags is None else jnp.where(flags, chosen, otherwise)


def _select(flags: jax.Array | None, chosen: Carry | None, otherwise: Carry) -> Carry:
    """`chosen` where the flags are True; without them a step is taken, and nothing is reset."""
    if chosen is None:
        return otherwise
    return Carry(*(_where(flags, a, b) for a, b in zip(chosen, otherwise, strict=True)))


def _cut(reset: jax.Array | None, d: Carry, d_initial: Carry | None) -> tuple[Carry, Carry | None]:
    """Where there was a reset, gradients belong to what it put into the carry."""
    if reset is None or d_initial is None:
        return d, d_initial
    gone = Carry(*(jnp.where(reset, a, 0.0) for a in d))
    left = Carry(*(jnp.where(reset, 0.0, a) for a in d))
    return left, Carry(*(a + b for a, b in zip(d_initial, gone, strict=True)))
