"""Which LSTMs of a model read one another, with nothing but Dropouts between them."""

from collections.abc import Sequence

from jlstm.interop.keras.parts import SILENT, Part
from jlstm.interop.keras.tree import Leaf


def chain(leaves: Sequence[Leaf], kinds: Sequence[Part], lstms: Sequence[int]) -> list[int] | None:
    """The LSTMs, lowest first, if each reads the one before it, with only Dropouts between."""
    follows: dict[int | None, int] = {}
    among = set(lstms)
    for lstm in lstms:
        below = leaves[lstm].below
        while below is not None and silent(kinds[below]):
            below = leaves[below].below
        before = below if below in among else None
        if before in follows:
            return None
        follows[before] = lstm
    found: list[int] = []
    while (following := follows.get(found[-1] if found else None)) is not None:
        found.append(following)
    return found if len(found) == len(lstms) else None


def silent_below(leaves: Sequence[Leaf], kinds: Sequence[Part], lstm: int) -> list[int]:
    """The positions of the Dropouts directly below an LSTM, lowest first."""
    found: list[int] = []
    below = leaves[lstm].below
    while below is not None and silent(kinds[below]):
        found.append(below)
        below = leaves[below].below
    return found[::-1]


def silent(part: Part) -> bool:
    """Whether a layer passes its input on unchanged, except in training."""
    return part.kind in SILENT and not part.custom
