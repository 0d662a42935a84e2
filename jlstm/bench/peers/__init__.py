"""Other LSTMs, each set up as its authors would, on this library's weights.

Each module has `forward(config, params)`, which returns (weights, function (weights, xs) -> ys)
over time-major xs, and raises UnsupportedError with the reason where it has no such network. It
can be differentiated with respect to `params`, so that gradients of all contenders can be compared
in one form.
"""


class UnsupportedError(Exception):
    """A contender has no equal of a network; the message says what it lacks."""
