"""What a program compiled for a GPU launches, counted in the text that XLA dumps of it."""

import pathlib
import re

# A numbered line: how deep it stands, and what it does. Of a slice with something inside it, only
# what is inside is launched.
_LINE = re.compile(r"^( *)\d+: (k\w+)")
_NOT_LAUNCHED = ("kWhile", "kDynamicSliceFusion", "kSequential", "kConditional")


def in_loops(text: str) -> list[int]:
    """How many kernels and copies each loop launches a turn, its condition included.

    Loops within loops count with the one that they are in.

    >>> text = "1: kWhile\\n  body:\\n    2: kCustomKernel\\n    3: kCopy\\n4: kCopy"
    >>> in_loops(text)
    [2]
    """
    loops: list[int] = []
    inside = False
    for line in text.splitlines():
        found = _LINE.match(line)
        if found is None:
            continue
        depth, kind = len(found.group(1)), found.group(2)
        if depth == 0:
            inside = kind == "kWhile"
            loops += [0] if inside else []
        elif inside and kind not in _NOT_LAUNCHED:
            loops[-1] += 1
    return loops


def a_step(folder: str, turns: list[int], steps: int) -> float | None:
    """Launches in loops, shared out over the steps that the loops take; None if not to be told.

    Args:
      folder: where XLA dumped what it compiled.
      turns: of each loop.
      steps: that each loop takes.
    """
    texts = [path.read_text() for path in pathlib.Path(folder).glob("*.thunk_sequence.txt")]
    loops = max((in_loops(text) for text in texts), key=sum, default=[])
    if not loops or len(loops) != len(turns):
        return None
    return sum(n * taken for n, taken in zip(loops, turns, strict=True)) / steps
