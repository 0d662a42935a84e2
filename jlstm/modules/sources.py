"""Weights of Flax's own LSTM cells and of the modules of this library, in any form of Flax."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from flax import linen, nnx

from jlstm import quantized
from jlstm.interop.linen import from_linen
from jlstm.modules.parameters import nested
from jlstm.params import Params

_GATES = "ifgo"  # the order of an OptimizedLSTMCell of nnx


def tree_of(source: Any) -> dict[str, Any]:
    """Parameters as nested dictionaries {"layers": {"0": {"w_x": ...}}}.

    Args:
      source: jlstm.Params, variables of linen, a module of nnx, its state, or a list of the latter
        three, one per layer. They belong to modules of this library, or to Flax's LSTMCell or
        OptimizedLSTMCell, around which RNN and Bidirectional may stand.

    Raises:
      TypeError, ValueError: `source` holds no weights of an LSTM cell, or int8 ones.
    """
    if isinstance(source, Params):
        quantized.refuse("a module", source)
        return nested(source)
    if isinstance(source, (list, tuple, getattr(nnx, "List", list))):
        return nested(from_linen([_by_gate(own) for own in source])[1])
    tree = _by_gate(source)
    layers = _layers(tree)
    return {"layers": layers} if layers else nested(from_linen(tree)[1])


def _layers(tree: Any) -> dict[str, Any]:
    """The layers among the variables of a module of this library; none for other variables."""
    own = tree.get("params", tree) if isinstance(tree, Mapping) else {}
    layers = own.get("layers", {}) if isinstance(own, Mapping) else {}
    if not isinstance(layers, Mapping):
        layers = dict(enumerate(layers)) if isinstance(layers, (list, tuple)) else {}
    parts = [part for part in layers.values() if isinstance(part, Mapping)]
    known = any({"w_x", "w_h"} & set(part) for part in parts)
    return {str(n): part for n, part in layers.items()} if known else {}


def _by_gate(source: Any) -> Any:
    """Variables, at the same level of a tree; those of a cell as linen's LSTMCell has them."""
    if isinstance(source, nnx.Bidirectional):  # its state would hold a shared cell once
        ways = ("forward_rnn", "backward_rnn")
        return {name: _by_gate(getattr(source, name)) for name in ways}
    if isinstance(source, nnx.Module):
        source = nnx.state(source, nnx.Param)
    if isinstance(source, nnx.State):
        source = nnx.to_pure_dict(source)
    return _renamed(linen.meta.unbox(source))


def _renamed(tree: Any) -> Any:
    if not isinstance(tree, Mapping):
        return tree
    if "dense_i" in tree and "dense_h" in tree:
        return _split(tree["dense_i"], tree["dense_h"])
    return {"if" if name == "if_" else name: _renamed(part) for name, part in tree.items()}


def _split(dense_i: Any, dense_h: Any) -> dict[str, Any]:
    """The kernels of single gates from those of nnx's OptimizedLSTMCell.

    Raises:
      ValueError: they belong to another cell, such as a GRUCell.
    """
    w_x, w_h, b = (
        np.asarray(dense.get(what, ()))
        for dense, what in ((dense_i, "kernel"), (dense_h, "kernel"), (dense_h, "bias"))
    )
    if w_h.ndim != 2 or w_x.ndim != 2 or w_x.shape[1:] != b.shape or b.size != 4 * len(w_h):
        raise ValueError(
            f"dense_i has a kernel {list(w_x.shape)}, dense_h a kernel {list(w_h.shape)} and a "
            f"bias {list(b.shape)}; expected those of nnx.OptimizedLSTMCell: [I, 4H], [H, 4H] and "
            "[4H]"
        )
    made: dict[str, Any] = {}
    for n, gate in enumerate(_GATES):
        own = slice(n * len(w_h), (n + 1) * len(w_h))
        made[f"i{gate}"] = {"kernel": w_x[:, own]}
        made[f"h{gate}"] = {"kernel": w_h[:, own], "bias": b[own]}
    return made
