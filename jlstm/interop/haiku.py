"""Haiku: the parameters of LSTM, alone or in a DeepRNN."""

import re
from collections.abc import Collection, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from jlstm.config import Config, Layer
from jlstm.interop.report import Report
from jlstm.interop.sides import (
    Side,
    bias_of,
    join,
    network,
    require,
    shifted,
    sides_of,
    split,
    split_joint,
)
from jlstm.params import Params

_ORDER = "igfo"
_NAME = re.compile(r"((?:.*/)?([^/]+?))(?:_(\d+))?/linear")  # path and name, without its number


def from_haiku(
    params: Mapping[str, Mapping[str, Any]], *, scope: str = "", report: Report | None = None
) -> tuple[Config, Params]:
    """A network with the weights of Haiku's LSTMs, in the order of their numbers.

    Haiku keeps one matrix [I + H, 4H], rows of the input first, in the order i, g, f, o, and its
    cell adds 1 to the forget gate at every step; here that is part of the bias.

    Args:
      params: Haiku's, with names like "lstm/linear" and "lstm_1/linear".
      scope: what the names of the wanted LSTMs begin with, "encoder/" or "lstm/"; all by default.
        LSTMs with names of your own are found by these alone: "my_lstm".
      report: what was done is added to it.

    Raises:
      TypeError: params are no mapping of mappings.
      ValueError: there is no LSTM, or several that are not numbered as one stack is, or shapes do
        not fit each other.

    >>> own = {"lstm/linear": {"w": np.ones((10, 16)), "b": np.zeros(16)}}
    >>> own = {name: {k: a.astype("float32") for k, a in p.items()} for name, p in own.items()}
    >>> config, ours = from_haiku(own)
    >>> config.input_size, ours.layers[0].b[4].item()
    (6, 1.0)
    """
    report = Report() if report is None else report
    _require_mappings(params)
    names = _chosen(params, scope)
    sides, layers = [], []
    for name in names:
        if missing := {"w", "b"} - set(params[name]):
            raise ValueError(f"{name} has no {' and '.join(sorted(missing))}, as an LSTM's has")
        w, b = np.asarray(params[name]["w"]), np.asarray(params[name]["b"])
        w_x, w_h = split_joint(f"w of {name}", w, _ORDER)
        sides.append([Side(w_x, w_h, shifted(split(b, _ORDER), 1))])
        layers.append(Layer(w.shape[1] // 4))
    if len(names) > 1:
        report.add(f"taken as one stack, lowest first: {', '.join(names)}")
    report.add("gates went from the order i, g, f, o to i, f, g, o")
    report.add("the forget bias of 1 that Haiku adds at every step is in the bias here")
    return network(sides[0][0].w_x.i.shape[0], layers, sides, report)


def to_haiku(
    config: Config, params: Params, *, scope: str = "", report: Report | None = None
) -> dict[str, dict[str, Any]]:
    """Parameters of hk.LSTM, or of hk.DeepRNN of these, by Haiku's names.

    Args:
      config: the network.
      params: its parameters.
      scope: what stands before the names, such as "encoder/".
      report: what was done is added to it.

    Raises:
      TypeError, ValueError: params do not fit config, or an option that Haiku's LSTM lacks.

    >>> import jax
    >>> from jlstm import init
    >>> config = Config.stack(6, [4, 5])
    >>> sorted(to_haiku(config, init(jax.random.key(0), config)))
    ['lstm/linear', 'lstm_1/linear']
    """
    report = Report() if report is None else report
    require(config, params, "Haiku's LSTM", ("bias",), report)
    report.add("gates went from the order i, f, g, o to i, g, f, o, and 1 off the forget bias")
    made = {}
    for n, (layer, own) in enumerate(zip(config.layers, params.layers, strict=True)):
        (side,) = sides_of(layer, own)
        w = np.concatenate([join(side.w_x, _ORDER), join(side.w_h, _ORDER)])
        made[f"{scope}lstm_{n}/linear" if n else f"{scope}lstm/linear"] = {
            "w": jnp.asarray(w),
            "b": jnp.asarray(join(shifted(bias_of(side), -1), _ORDER)),
        }
    return made


def _chosen(names: Collection[str], scope: str) -> list[str]:
    """Names of the linear modules of one stack of LSTMs, lowest first.

    Any module may have a linear one below it, so that only Haiku's own name says that it is an
    LSTM, or the scope.
    """
    own, where = scope.strip("/"), f" below {scope!r}" if scope else ""
    below = [m for name in names if name.startswith(scope) and (m := _NAME.fullmatch(name))]
    alone = [match for match in below if match[0] == f"{own}/linear"]
    found = (
        [match for match in below if match[1] == own]
        or alone
        or [match for match in below if match[2] == "lstm"]
    )
    if not found:
        raise ValueError(
            f"no LSTM (a name like lstm/linear) among {sorted(names)[:8]}{where}; one with a name "
            'of your own is chosen by that: scope="my_lstm"'
        )
    stacks = sorted({match[1] for match in found})
    if len(stacks) > 1:
        raise ValueError(
            f"several LSTMs{where}, {stacks[:8]}, which are not numbered as one stack is; choose "
            f'one: scope="{stacks[0]}", or give a mapping in which those of one stack are '
            "lstm/linear, lstm_1/linear"
        )
    found.sort(key=lambda match: int(match[3] or 0))
    taken = [match[0] for match in found]
    numbers = [int(match[3] or 0) for match in found]
    if numbers != list(range(len(numbers))) and found != alone:
        raise ValueError(
            f"the LSTMs {taken[:8]}{where} have the numbers {numbers[:8]}; expected all from 0 on, "
            f'each once, no number being 0: choose one, scope="{taken[0].removesuffix("/linear")}"'
            ", or give a mapping in which those of one stack are lstm/linear, lstm_1/linear"
        )
    return taken


def _require_mappings(params: Any) -> None:
    whole = isinstance(params, Mapping)
    if not whole or not all(isinstance(own, Mapping) for own in params.values()):
        raise TypeError(
            f"params is {type(params).__name__}; expected Haiku's parameters, mappings by module: "
            '{"lstm/linear": {"w": ..., "b": ...}}'
        )
