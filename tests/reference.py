"""An LSTM in float64 NumPy, one step and one unit at a time; shares no code with the package."""

import math

import numpy as np


def sigmoid(a):
    return 1 / (1 + math.exp(-a)) if a >= 0 else math.exp(a) / (1 + math.exp(a))


def unit_step(w_x, w_h, b, c, h, x):
    """Next c [H] and h [H] of one sequence."""
    units = len(c)
    new_c, new_h = np.zeros(units), np.zeros(units)
    for n in range(units):
        z = []
        for gate in range(4):
            column = gate * units + n
            total = 0.0 if b is None else float(b[column])
            total += float(np.dot(x, w_x[:, column])) + float(np.dot(h, w_h[:, column]))
            z.append(total)
        i, f, g, o = sigmoid(z[0]), sigmoid(z[1]), math.tanh(z[2]), sigmoid(z[3])
        new_c[n] = f * c[n] + i * g
        new_h[n] = o * math.tanh(new_c[n])
    return new_c, new_h


def direction(w_x, w_h, b, c, h, xs, length, mask, resets, initial, backward):
    """One direction over one sequence xs [T, I]; returns c, h and outputs [T, H]."""
    ys = np.zeros((len(xs), len(c)))
    steps = range(len(xs))
    for t in reversed(steps) if backward else steps:
        if t >= length:
            continue
        if resets[t] and not backward:
            c, h = initial
        if mask[t]:
            c, h = unit_step(w_x, w_h, b, c, h, xs[t])
            ys[t] = h
        if resets[t] and backward:
            c, h = initial
    return c, h, ys


def network(layers, weights, carry, xs, lengths=None, mask=None, resets=None):
    """A stack over xs [T, B, I].

    layers: dictionaries with bidirectional, reverse, merge, residual. weights: for each layer a
    list of (w_x, w_h, b, initial c, initial h), one a direction. carry: for each layer a list of
    (c [B, H], h [B, H]), one a direction. Returns carry and ys of the same forms.
    """
    time, batch = xs.shape[:2]
    lengths = [time] * batch if lengths is None else lengths
    mask = np.ones((time, batch), bool) if mask is None else mask
    resets = np.zeros((time, batch), bool) if resets is None else resets
    valid = mask & (np.arange(time)[:, None] < np.asarray(lengths)[None])
    below, last = np.where(valid[..., None], np.asarray(xs, np.float64), 0.0), []
    for options, sides, states in zip(layers, weights, carry, strict=True):
        outputs, after = [], []
        for d, ((w_x, w_h, b, c0, h0), (cs, hs)) in enumerate(zip(sides, states, strict=True)):
            backward = options["reverse"] or d == 1
            runs = [
                direction(
                    w_x, w_h, b, cs[n], hs[n], below[:, n], lengths[n], mask[:, n], resets[:, n],
                    (c0, h0), backward,
                )
                for n in range(batch)
            ]  # fmt: skip
            units = cs.shape[-1]
            after.append(
                (
                    np.array([run[0] for run in runs]).reshape(batch, units),
                    np.array([run[1] for run in runs]).reshape(batch, units),
                )
            )
            ys = np.zeros((time, batch, units))
            for n, run in enumerate(runs):
                ys[:, n] = run[2]
            outputs.append(ys)
        if len(outputs) == 2:
            a, b = outputs
            ys = {
                "concat": np.concatenate([a, b], -1),
                "sum": a + b,
                "mul": a * b,
                "average": (a + b) / 2,
            }[options["merge"]]
        else:
            ys = outputs[0]
        below = below + ys if options["residual"] else ys
        last.append(after)
    return last, below
