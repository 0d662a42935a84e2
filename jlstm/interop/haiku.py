"""Haiku: the parameters of hk.LSTM, alone or in hk.DeepRNN."""

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
_NAME = re.compile(r"((?:.*/)?([^/]+?))(?:_(\d+))?/linear")  # groups: path and name, name, number


def from_haiku(
    params: Mapping[str, Mapping[str, Any]], *, scope: str = "", report: Report | None = None
) -> tuple[Config, Params]:
    """Converts the weights of Haiku's LSTMs, in the order of their numbers.

    Haiku stores one matrix [I + H, 4H] with the input's rows first, in the gate order i, g, f, o.
    Its cell adds 1 to the forget gate at every step. Here that 1 is part of the bias.

    Args:
      params: Haiku's parameters, with names like "lstm/linear" and "lstm_1/linear".
      scope: prefix of the LSTMs' names, such as "encoder/" or "lstm/"; by default all are read. An
        LSTM with a name of your own needs that name as its scope: "my_lstm".
      report: receives lines that say what the conversion did.

    Returns:
      config and params, in the dtype of the weights: float32, bfloat16 or float64. float16 becomes
      float32.

    Raises:
      TypeError: params is not a mapping of mappings.
      ValueError: there is no LSTM, several LSTMs are not numbered as one stack, or shapes do not
        fit each other.

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
            raise ValueError(f"{name} has no {' and '.join(sorted(missing))}; an LSTM has both")
        w, b = np.asarray(params[name]["w"]), np.asarray(params[name]["b"])
        w_x, w_h = split_joint(f"w of {name}", w, _ORDER)
        sides.append([Side(w_x, w_h, shifted(split(b, _ORDER), 1))])
        layers.append(Layer(w.shape[1] // 4))
    if len(names) > 1:
        report.add(f"read as one stack, lowest first: {', '.join(names)}")
    report.add("gates were reordered from i, g, f, o to i, f, g, o")
    report.add("1, which Haiku adds to the forget gate at every step, is now in the bias")
    return network(sides[0][0].w_x.i.shape[0], layers, sides, report)


def to_haiku(
    config: Config, params: Params, *, scope: str = "", report: Report | None = None
) -> dict[str, dict[str, Any]]:
    """Parameters for hk.LSTM, or for hk.DeepRNN of hk.LSTMs, under Haiku's names.

    Args:
      config: the network.
      params: its parameters.
      scope: prefix of the names, such as "encoder/".
      report: receives lines that say what the conversion did.

    Returns:
      {"lstm/linear": {"w": [I + H, 4H], "b": [4H]}, "lstm_1/linear": ...}, in config.param_dtype.

    Raises:
      TypeError, ValueError: params do not fit config, or Haiku's LSTM does not support an option.

    >>> import jax
    >>> from jlstm import init
    >>> config = Config.stack(6, [4, 5])
    >>> sorted(to_haiku(config, init(jax.random.key(0), config)))
    ['lstm/linear', 'lstm_1/linear']
    """
    report = Report() if report is None else report
    require(config, params, "Haiku's LSTM", ("bias",), report)
    report.add(
        "gates were reordered from i, f, g, o to i, g, f, o, and 1 was subtracted from the forget "
        "bias"
    )
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
    """The names of the linear modules of one stack of LSTMs, lowest first.

    Any module may contain a linear module. Only the default name "lstm" or the scope tells that a
    module is an LSTM.
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
            f"no LSTM (a name like lstm/linear) among {sorted(names)[:8]}{where}; if your LSTM has "
            'a custom name, pass that name: scope="my_lstm"'
        )
    stacks = sorted({match[1] for match in found})
    if len(stacks) > 1:
        raise ValueError(
            f"several LSTMs{where}, {stacks[:8]}, which are not numbered as one stack; choose one "
            f'by scope="{stacks[0]}", or pass a mapping in which the LSTMs of one stack are '
            "lstm/linear, lstm_1/linear"
        )
    found.sort(key=lambda match: int(match[3] or 0))
    taken = [match[0] for match in found]
    numbers = [int(match[3] or 0) for match in found]
    if numbers != list(range(len(numbers))) and found != alone:
        raise ValueError(
            f"the LSTMs {taken[:8]}{where} have the numbers {numbers[:8]}; expected 0, 1, 2, ..., "
            "each once (a name without a number counts as 0); choose one by "
            f'scope="{taken[0].removesuffix("/linear")}", or pass a mapping in which the LSTMs of '
            "one stack are lstm/linear, lstm_1/linear"
        )
    return taken


def _require_mappings(params: Any) -> None:
    whole = isinstance(params, Mapping)
    if not whole or not all(isinstance(own, Mapping) for own in params.values()):
        raise TypeError(
            f"params is {type(params).__name__}; expected Haiku's parameters, a mapping by module: "
            '{"lstm/linear": {"w": ..., "b": ...}}'
        )
