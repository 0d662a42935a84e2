"""Contenders that are wrong, slow or broken on purpose."""

import itertools
import os
import time

import numpy as np

from jlstm.bench.contenders import CONTENDERS, Contender
from jlstm.bench.peers import UnsupportedError, ours

OURS = CONTENDERS[0]


def planted(name, rounding=""):
    return Contender(name, __name__, {"fault": name}, install="planted", rounding=rounding)


def swapped(layer):
    """The layer with two gates in the wrong order."""
    gates = (np.split(a, 4, -1) for a in layer)
    return type(layer)(*(np.concatenate([f, i, g, o], -1) for i, f, g, o in gates))


def requirement(fault):
    if fault == "missing":
        raise ImportError("no module named planted")
    return ""


def prepare(problem, mode, fault):
    """This library, but for one fault."""
    if fault == "lacking":
        raise UnsupportedError("it has no layers of 4 units")
    if fault == "crashing" and problem.xs.shape[-1] == 3:
        os._exit(7)
    if fault == "hanging" and problem.xs.shape[-1] == 3:
        time.sleep(60)
    if fault == "raising":
        raise RuntimeError("out of luck")
    right = ours.prepare(problem, mode, "scan")
    if fault == "wrong":
        layers = tuple(swapped(layer) for layer in problem.layers)
        return ours.prepare(problem._replace(layers=layers), mode, "scan")
    if fault == "crashing later" and problem.xs.shape[-1] == 3:
        calls = itertools.count(1)
        return right._replace(call=lambda: right.call() if next(calls) < 4 else os._exit(8))
    if fault == "slow":

        def slow():
            time.sleep(0.01)
            right.call()

        return right._replace(call=slow)
    changes = {
        "detached": lambda name, a: a if name == "outputs" else 0 * a,
        "not a number": lambda name, a: a * np.nan,
        "short": lambda name, a: a[:-1],
        "rounded": lambda name, a: a * (1 + 1e-3),
    }
    if fault in changes:
        change = changes[fault]
        return right._replace(
            results=lambda: {name: change(name, a) for name, a in right.results().items()}
        )
    return right
