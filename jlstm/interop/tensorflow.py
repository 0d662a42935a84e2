"""TensorFlow 1: the variables of its LSTM cells, by name or in a checkpoint."""

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jlstm.config import Config, Layer
from jlstm.interop import checkpoint
from jlstm.interop.report import Report
from jlstm.interop.sides import (
    Side,
    join,
    network,
    require,
    require_one_activation,
    shifted,
    sides_of,
    split,
    split_joint,
)
from jlstm.params import Carry, Params

_ORDER = "igfo"
_PEEPHOLES = ("w_i_diag", "w_f_diag", "w_o_diag")
_OPTIONS = ("bidirectional", "projection_size", "peepholes", "cell_clip", "projection_clip")


def from_tensorflow(
    source: Mapping[str, Any] | str | os.PathLike,
    *,
    scope: str = "",
    forget_bias: float | None = None,
    cell_clip: float | None = None,
    projection_clip: float | None = None,
    activation: str = "tanh",
    report: Report | None = None,
) -> tuple[Config, Params]:
    """A network with the weights of BasicLSTMCell, LSTMCell, LSTMBlockCell, CudnnLSTM or a stack.

    TensorFlow 1 keeps one kernel [I + P, 4H], rows of the input first, in the order i, g, f, o,
    and adds `forget_bias` at every step; here it is part of the bias.

    Args:
      source: arrays by variable name, or the path of a checkpoint, as tf.train.Saver returns it.
        TensorFlow is not needed to read one.
      scope: what the names of the wanted cells begin with: "encoder/rnn"; all by default.
      forget_bias: that of the cells, which variables do not hold: by default 1, as the cells have
        it, and 0 for the saved form of CudnnLSTM.
      cell_clip, projection_clip, activation: those of the cells, likewise.
      report: what was done is added to it.

    Returns:
      config and params. Cells named fw and bw become the directions of one layer. Whether the
      state is a tuple is no part of the weights; see `carry_from_tensorflow`.

    Raises:
      ValueError: there is no cell, or its arrays do not fit each other; the checkpoint is not
        whole.

    >>> kernel, bias = np.ones((10, 16), "float32"), np.zeros(16, "float32")
    >>> names = {"rnn/lstm_cell/kernel": kernel, "rnn/lstm_cell/bias": bias}
    >>> config, params = from_tensorflow(names)
    >>> config.input_size, config.layers[0].hidden_size, params.layers[0].b[4].item()
    (6, 4, 1.0)
    """
    report = Report() if report is None else report
    arrays = checkpoint.read(source, _wanted(scope)) if _is_path(source) else dict(source)  # type: ignore[arg-type]
    cells = _cells({str(name): np.asarray(a) for name, a in arrays.items()}, scope)
    layers, sides = [], []
    for own in cells:
        cudnn = any("cudnn_compatible" in prefix for prefix, _ in own)
        added = (0.0 if cudnn else 1.0) if forget_bias is None else forget_bias
        read = [_side(prefix, arrays, added) for prefix, arrays in own]
        first = read[0]
        if added:
            report.add(f"the forget bias of {added:g} that is added at every step is in the bias")
        layers.append(
            Layer(
                first.w_h.i.shape[-1],
                projection_size=None if first.projection is None else first.projection.shape[-1],
                bidirectional=len(own) == 2,
                bias=first.b is not None,
                forget_bias=added if first.b is not None else 1.0,
                peepholes=first.peepholes is not None,
                activation=activation,
                cell_activation=activation,
                cell_clip=cell_clip,
                projection_clip=projection_clip,
            )
        )
        sides.append(read)
    report.add("gates went from the order i, g, f, o to i, f, g, o")
    return network(sides[0][0].w_x.i.shape[0], layers, sides, report)


def to_tensorflow(
    config: Config,
    params: Params,
    *,
    forget_bias: float = 1.0,
    scope: str = "rnn",
    report: Report | None = None,
) -> dict[str, np.ndarray]:
    """Arrays by the names that LSTMCell, alone or in a MultiRNNCell, gives its variables.

    They fit cells with num_proj, use_peepholes and the clips of each layer, and this forget_bias,
    which is taken off the bias; load them with variable.load(array, session).

    Raises:
      ValueError: an option that TensorFlow 1 lacks.

    >>> import jax
    >>> from jlstm import init
    >>> config = Config.stack(6, [4])
    >>> {k: v.shape for k, v in to_tensorflow(config, init(jax.random.key(0), config)).items()}
    {'rnn/lstm_cell/kernel': (10, 16), 'rnn/lstm_cell/bias': (16,)}
    """
    report = Report() if report is None else report
    require(config, params, "TensorFlow 1", (*_OPTIONS, "activation", "cell_activation"), report)
    require_one_activation(config, "TensorFlow 1")
    report.add("gates went from the order i, f, g, o to i, g, f, o")
    made = {}
    many = len(config.layers) > 1
    ways = any(layer.bidirectional for layer in config.layers)
    for n, (layer, own) in enumerate(zip(config.layers, params.layers, strict=True)):
        cell = "bidirectional_rnn/{}/lstm_cell" if layer.bidirectional else "lstm_cell"
        if many:
            cell = f"cell_{n}/{cell}" if ways else f"multi_rnn_cell/cell_{n}/{cell}"
        for side, way in zip(sides_of(layer, own), ("fw", "bw"), strict=False):
            name = f"{scope}/{cell.format(way)}" if scope else cell.format(way)
            rows = [join(side.w_x, _ORDER), join(side.w_h, _ORDER)]
            made[f"{name}/kernel"] = np.concatenate(rows)
            if side.b is not None:
                made[f"{name}/bias"] = join(shifted(side.b, -forget_bias), _ORDER)
            for peephole, array in zip(_PEEPHOLES, side.peepholes or (), strict=False):
                made[f"{name}/{peephole}"] = array
            if side.projection is not None:
                made[f"{name}/projection/kernel"] = side.projection
    return made


def carry_from_tensorflow(config: Config, state: Any) -> tuple[Carry, ...]:
    """A carry from a TensorFlow 1 state: (c, h) a layer, or [B, H + P] with state_is_tuple=False.

    A whole stack's state that is no tuple, [B, sum of H + P], is taken apart as well.

    >>> carry_from_tensorflow(Config.stack(6, [1, 2]), np.arange(6.0)[None])[1].c.tolist()
    [[2.0, 3.0]]
    """
    import jax.numpy as jnp

    sizes = [size for layer in config.layers for size in (layer.hidden_size, layer.state_size)]
    if any(layer.bidirectional for layer in config.layers):
        raise ValueError("TensorFlow 1 keeps one state a direction; convert each on its own")
    if not isinstance(state, (tuple, list)):
        arrays = np.split(np.asarray(state), np.cumsum(sizes)[:-1], -1)
    else:
        one = len(config.layers) == 1 and len(state) == 2 and np.ndim(state[0]) == 2
        arrays = []
        for layer, own in zip(config.layers, [state] if one else state, strict=True):
            if not isinstance(own, (tuple, list)):
                own = np.split(np.asarray(own), [layer.hidden_size], -1)
            arrays += list(own)
    found = [np.shape(a)[-1] for a in arrays]
    if found != sizes:
        raise ValueError(f"the state's arrays have {found} features; expected {sizes}")
    return tuple(
        Carry(jnp.asarray(c), jnp.asarray(h))
        for c, h in zip(arrays[::2], arrays[1::2], strict=True)
    )


def carry_to_tensorflow(
    carry: Sequence[Carry], *, state_is_tuple: bool = True
) -> tuple[tuple[np.ndarray, np.ndarray], ...] | np.ndarray:
    """The opposite of `carry_from_tensorflow`."""
    pairs = tuple((np.asarray(own.c), np.asarray(own.h)) for own in carry)
    return pairs if state_is_tuple else np.concatenate([a for pair in pairs for a in pair], -1)


def _is_path(source: Any) -> bool:
    if isinstance(source, (str, os.PathLike)):
        return True
    if not isinstance(source, Mapping):
        raise TypeError(
            f"source is {type(source).__name__}; expected arrays by name, or a checkpoint's path"
        )
    return False


def _wanted(scope: str) -> Any:
    """Whether a variable of a checkpoint is read: those of optimisers are not."""
    ends = ("kernel", "bias", "weights", "biases", *_PEEPHOLES)

    def wanted(name: str) -> bool:
        return name.startswith(scope) and name.rpartition("/")[2] in ends

    return wanted


def _cells(arrays: Mapping[str, np.ndarray], scope: str) -> list[list[tuple[str, dict]]]:
    """The cells of each layer, forward before backward, as (prefix, arrays by last name)."""
    found: dict[str, dict[str, np.ndarray]] = {}
    for name, array in arrays.items():
        if not name.startswith(scope) or re.search(r"/Adam(_\d+)?$|/Momentum$|/RMSProp", name):
            continue
        name = name.removesuffix(":0")
        prefix, _, last = name.rpartition("/")
        last = {"weights": "kernel", "biases": "bias"}.get(last, last)
        if prefix.endswith("projection"):
            prefix, last = prefix.rpartition("/")[0], f"projection/{last}"
        found.setdefault(prefix, {})[last] = array
    cells = {
        prefix: own
        for prefix, own in found.items()
        if "kernel" in own and re.search(r"lstm|rnn|cell", prefix.lower())
    }
    if not cells:
        raise ValueError(
            f"no LSTM cell (a name like rnn/lstm_cell/kernel) among {sorted(arrays)[:8]}"
            + (f" below {scope!r}" if scope else "")
        )
    layers: dict[tuple, list[tuple[str, dict]]] = {}
    for prefix, own in cells.items():
        key = re.sub(r"(^|/)(fw|bw)(/|$)", r"\1*\3", prefix)
        order = tuple(int(p) if p.isdigit() else p for p in re.split(r"(\d+)", key))
        layers.setdefault(order, []).append((prefix, own))
    made = []
    for order in sorted(layers, key=lambda parts: [(isinstance(p, str), p) for p in parts]):
        own = sorted(layers[order], key=lambda cell: "/bw" in cell[0])
        if len(own) > 2 or (len(own) == 2 and ("/fw" in own[0][0]) == ("/fw" in own[1][0])):
            raise ValueError(f"cannot tell the directions of {[prefix for prefix, _ in own]} apart")
        made.append(own)
    return made


def _side(prefix: str, arrays: dict[str, np.ndarray], added: float) -> Side:
    kernel, projection = arrays["kernel"], arrays.get("projection/kernel")
    if "projection/bias" in arrays:
        raise ValueError(f"{prefix}/projection/bias: a projection with a bias is not an LSTM's")
    state = None if projection is None else projection.shape[-1]
    w_x, w_h = split_joint(f"{prefix}/kernel", kernel, _ORDER, state)
    b = arrays.get("bias")
    peepholes = [arrays[name] for name in _PEEPHOLES if name in arrays]
    if peepholes and len(peepholes) < 3:
        raise ValueError(f"{prefix} has {len(peepholes)} of three peepholes")
    return Side(
        w_x,
        w_h,
        None if b is None else shifted(split(b, _ORDER), added),
        peepholes or None,
        projection,
    )
