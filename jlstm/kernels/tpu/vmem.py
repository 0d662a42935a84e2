"""Tile sizes: how much of a sequence fits into a TPU core's VMEM at once, beside the weights."""

from typing import NamedTuple

LANES, SUBLANES = 128, 8
_STEPS = (8, 4, 2, 1)
_LARGEST_BATCH = 256
_WRITTEN_OUT = 2**17  # rows times units times steps; larger unrolled loops compile slowly
_MIB = 2**20

# VMEM of one core, by JAX's device_kind. The two cores of a v4 or v5p divide the batch.
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
# Fractions of VMEM to use. Tiles use at most the first if any tile fits into it, because the
# compiler stores arrays there too. Otherwise they use at most the second.
_ENOUGH, _MOST = 0.375, 0.75

# How many arrays [T, B, H] a kernel reads and writes. A run: z (4) and h. With residuals: also the
# gates (4), c and h before each step. Backward: gates and their cotangents (4 each), c, and the
# cotangent of h.
RUN, RUN_KEPT, BACKWARD = 5, 11, 10


class Tiles(NamedTuple):
    """The part of the data that one point of the grid processes.

    Attributes:
      batch: rows of the batch.
      steps: steps of time.
      size: the VMEM that it needs, in bytes.
      unrolled: whether the loop over the steps is unrolled.
    """

    batch: int
    steps: int
    size: int
    unrolled: bool


def capacity(chip: str | None) -> int:
    """VMEM of a core in bytes; that of the smallest chip if the chip is not known."""
    return CAPACITY.get(chip or "", min(CAPACITY.values()))


def tiles(
    chip: str | None, units: int, time: int, batch: int, weight_bytes: int, over_time: int
) -> Tiles | None:
    """The tiles of a recurrence, or None if not even one step of 8 sequences fits.

    Args:
      chip: JAX's device_kind of the chip, None if it is not known.
      units: hidden units, a multiple of 128.
      time: total number of steps.
      batch: total number of sequences.
      weight_bytes: bytes of one weight.
      over_time: how many arrays [T, B, H] of float32 the kernel reads and writes.
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
    """The largest number of hidden units for which a training step fits."""
    units = LANES
    while tiles(chip, units + LANES, 1, SUBLANES, weight_bytes, RUN_KEPT):
        units += LANES
    return units


def limit(tiles: Tiles) -> int:
    """VMEM limit for the compiler in bytes: operands plus its temporaries."""
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
    """Bytes of VMEM: weights once, arrays over time twice, states, and temporaries of a step.

    Arrays over time are double-buffered: one block is copied while another one is processed.
    """
    row = 4 * rows * units
    flags = 2 * 4 * steps * rows * LANES
    states = 2 * 6 * row + 4 * row  # at most six operands or results, and four scratch arrays
    one_step = 16 * row  # gates, their cotangents, states, and a margin
    return (
        4 * units * units * weight_bytes + 2 * steps * over_time * row + flags + states + one_step
    )
