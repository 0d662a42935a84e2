"""Counts the launches of a program compiled for a GPU, in the text that XLA dumps."""

import pathlib
import re

# A numbered line: its indentation, and its kind. Of a slice with nested lines, only the nested ones
# are launched.
_LINE = re.compile(r"^( *)\d+: (k\w+)")
_NOT_LAUNCHED = ("kWhile", "kDynamicSliceFusion", "kSequential", "kConditional")


def in_loops(text: str) -> list[int]:
    """The kernels and copies that each loop launches per iteration, including its condition.

    Nested loops count as part of the outer one.

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
    """Launches in loops per time step; None if they cannot be counted.

    Args:
      folder: folder of XLA's dump.
      turns: number of iterations of each loop.
      steps: number of time steps that each loop runs.
    """
    texts = [path.read_text() for path in pathlib.Path(folder).glob("*.thunk_sequence.txt")]
    loops = max((in_loops(text) for text in texts), key=sum, default=[])
    if not loops or len(loops) != len(turns):
        return None
    return sum(n * taken for n, taken in zip(loops, turns, strict=True)) / steps
