"""How much of a sequence a TPU core has room for at a time, beside the weights that stay there."""

from typing import NamedTuple

LANES, SUBLANES = 128, 8
_STEPS = (8, 4, 2, 1)
_LARGEST_BATCH = 256
_WRITTEN_OUT = 2**17  # units times steps; beyond that programs take long to compile
_MIB = 2**20

# Of one core, by what JAX calls the chip. Two cores share a v4 or v5p and divide the batch.
CAPACITY = {
    "TPU v2": 16 * _MIB,
    "TPU v3": 16 * _MIB,
    "TPU v4": 16 * _MIB,
    "TPU v4 lite": 16 * _MIB,
    "TPU v5 lite": 128 * _MIB,
    "TPU v5e": 128 * _MIB,
    "TPU v5": 64 * _MIB,
    "TPU v5p": 64 * _MIB,
    "TPU v6 lite": 128 * _MIB,
    "TPU v6e": 128 * _MIB,
    "TPU7": 64 * _MIB,
    "TPU7x": 64 * _MIB,
}
_TWO_CORES = ("TPU v4", "TPU v5", "TPU v5p")
# Shares of it: what is taken where that is enough, as the compiler keeps arrays there too, and what
# is taken at most.
_ENOUGH, _MOST = 0.375, 0.75

# How many arrays [T, B, H] a kernel reads and writes. A run: z and h; if it keeps them, gates, c
# and h before each step too. Backward: gates and their gradients, c and the gradient for h.
RUN, RUN_KEPT, BACKWARD = 5, 11, 10


class Tiles(NamedTuple):
    """What one step of the grid works on.

    Attributes:
      batch: rows of the batch.
      steps: steps of time.
      size: the memory it takes, in bytes.
      unrolled: whether the steps are written out one after another.
    """

    batch: int
    steps: int
    size: int
    unrolled: bool


def capacity(chip: str | None) -> int:
    """Bytes of a chip's memory for operands; of the smallest chip where it is not known."""
    return CAPACITY.get(chip or "", min(CAPACITY.values()))


def tiles(
    chip: str | None, units: int, time: int, batch: int, weight_bytes: int, over_time: int
) -> Tiles | None:
    """The tiles of a recurrence, or None where not even one step of 8 sequences has room.

    Args:
      chip: what JAX calls it, None where a program is for no chip in particular.
      units: hidden units, a multiple of 128.
      time: steps in all.
      batch: sequences in all.
      weight_bytes: bytes of a weight.
      over_time: how many arrays [T, B, H], in float32, the kernel reads and writes.
    """
    whole = capacity(chip)
    choices = [
        (rows, steps)
        for rows in _batches(batch, chip in _TWO_CORES)
        for steps in _STEPS
        if steps == 1 or steps <= time
    ]
    for room in (_ENOUGH * whole, _MOST * whole):
        for rows, steps in choices:
            size = _size(units, rows, steps, weight_bytes, over_time)
            if size <= room:
                return Tiles(min(rows, batch), steps, size, rows * units * steps <= _WRITTEN_OUT)
    return None


def largest(chip: str | None, weight_bytes: int) -> int:
    """The most hidden units with which a training step still has room."""
    units = LANES
    while tiles(chip, units + LANES, 1, SUBLANES, weight_bytes, RUN_KEPT):
        units += LANES
    return units


def limit(tiles: Tiles) -> int:
    """Bytes that the compiler is allowed, beside the operands what it makes itself."""
    return int(tiles.size / _MOST) + 2 * _MIB


def _batches(batch: int, two_cores: bool) -> list[int]:
    most = -(-batch // 2) if two_cores and batch > SUBLANES else batch
    rows = min(_LARGEST_BATCH, -(-most // SUBLANES) * SUBLANES)
    made = [rows]
    while rows > SUBLANES:
        rows = max(SUBLANES, rows // 2 // SUBLANES * SUBLANES)
        made.append(rows)
    return made


def _size(units: int, rows: int, steps: int, weight_bytes: int, over_time: int) -> int:
    """Bytes in use: weights once, what varies with time twice, states and what a step makes.

    Twice is what is fetched or stored while the block before or after is worked on.
    """
    row = 4 * rows * units
    flags = 2 * 4 * steps * rows * LANES
    states = 2 * 6 * row + 4 * row  # six are read or written at most, four kept in scratch
    one_step = 16 * row  # gates, their gradients, states, and room to spare
    return (
        4 * units * units * weight_bytes + 2 * steps * over_time * row + flags + states + one_step
    )
