"""The cases: data in NumPy arrays, and the network that is trained on them."""

import dataclasses
from typing import NamedTuple

import numpy as np

from jlstm.train.data import sources


@dataclasses.dataclass(frozen=True)
class Case:
    """A network and how it is trained. The optimiser is Adam, without clipping.

    Attributes:
      name: the case in the table.
      kind: "classify", "regress", "forecast" or "language".
      hidden_sizes: the units of each layer.
      batch_size: sequences in a batch.
      outputs: classes, values or tokens that the head predicts.
      unroll: steps of a batch of a text, whose carry goes on. None: the data are sequences.
      steps: training steps of one turn, about.
    """

    name: str
    kind: str
    hidden_sizes: tuple[int, ...]
    batch_size: int
    outputs: int
    steps: int
    unroll: int | None = None

    @property
    def tokens(self) -> bool:
        """Whether the inputs are tokens."""
        return self.kind == "language"


class Arrays(NamedTuple):
    """The data of a case.

    Attributes:
      xs: float32 [N, T, features], padded with 0; or the tokens of one text, int32 [n].
      targets: int32 [N] to classify, float32 [N, values] to regress, [N, horizon] to forecast. A
        text has none.
      lengths: int32 [N]. None: all have T.
    """

    xs: np.ndarray
    targets: np.ndarray | None = None
    lengths: np.ndarray | None = None


CASES = (
    Case("digits, T 8, 2 x 128, batch 64", "classify", (128, 128), 64, 10, 100),
    Case("vowels, T 7 to 29, 128, batch 30", "classify", (128,), 30, 9, 90),
    Case("forecast, T 100, 2 x 128, batch 64", "forecast", (128, 128), 64, 24, 16),
    Case("adding, T 600, 128, batch 32", "regress", (128,), 32, 1, 12),
    Case("text, T 64, 256, batch 32", "language", (256,), 32, 96, 24, unroll=64),
    Case("text, T 64, 2 x 512, batch 32", "language", (512, 512), 32, 96, 4, unroll=64),
)


def arrays(case: Case) -> Arrays:
    """The data of a case: a data set that a package ships, or numbers of the same shape."""
    random = np.random.default_rng(0)
    if case.tokens:
        length = case.batch_size * case.unroll * case.steps + 1
        return Arrays(random.integers(case.outputs, size=length, dtype="int32"))
    count = case.batch_size * case.steps
    if case.kind == "forecast":
        xs = random.standard_normal((count, 100, 8), "float32").cumsum(1) / 10
        return Arrays(xs, random.standard_normal((count, case.outputs), "float32"))
    table = {"source": "adding", "steps": 600, "train": count, "test": 1}
    if case.kind == "classify":
        table = {"source": "digits"} if "digits" in case.name else {"source": "japanese_vowels"}
    return Arrays(*sources.load(table).train)
