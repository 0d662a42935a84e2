"""What a program compiled for a GPU launches, counted in the text that XLA dumps of it."""

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
