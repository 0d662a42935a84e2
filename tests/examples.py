"""How many random examples a test draws, and which members of a product run by default."""

import os

import pytest

# A number, or `all` for as many as each test says.
ASKED = os.environ.get("JLSTM_EXAMPLES", "3")


def examples(usual, more=False):
    """`usual`, or fewer if fewer are asked for; with `more`, as many as are asked for."""
    if ASKED == "all":
        return usual
    return int(ASKED) if more else min(usual, int(ASKED))


def mostly_full(values, default):
    """Of `values`, those in `default` run always, and the others under the marker `full`."""
    assert all(v in values for v in default)
    return [
        v if v in default else pytest.param(*astuple(v), marks=pytest.mark.full) for v in values
    ]


def astuple(value):
    return value if isinstance(value, tuple) else (value,)
