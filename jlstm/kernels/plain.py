"""The options of a layer that the kernels support. Kernels refuse all others, never ignore them."""

import dataclasses
from collections.abc import Sequence

from jlstm.layer import Layer

PLAIN = Layer(1)  # the equations use its options; every layer that the kernels run has the same

# Options of which the kernels support every value. Most of them act outside the recurrence: before
# it, after it, or when parameters are initialised.
SUPPORTED = frozenset({
    "hidden_size", "bidirectional", "reverse", "bias", "forget_bias",
    "merge", "residual", "highway", "skip",
    "dropout", "weight_dropout", "held_masks",
    "recurrent_dropout_on",  # has no effect unless recurrent_dropout is set, which is unsupported
})  # fmt: skip

# Options of which the kernels support only this value.
ONLY = {
    "projection_size": None,
    "peepholes": False,
    "coupled_gates": None,
    "layer_norm": None,
    "layer_norm_epsilon": None,
    "activation": "tanh",
    "recurrent_activation": "sigmoid",
    "cell_activation": "tanh",
    "gate_clip": None,
    "cell_clip": None,
    "projection_clip": None,
    "recurrent_dropout": 0.0,
    "zoneout_c": 0.0,
    "zoneout_h": 0.0,
}


def refusal(layer: Layer, dtype: str, formats: Sequence[str]) -> str | None:
    """Why kernels cannot run a layer, or None if they can.

    Args:
      layer: its options.
      dtype: the dtype of its products.
      formats: the dtypes of products that the kernels support.
    """
    if dtype not in formats:
        return f"its kernels compute in {' or '.join(formats)}, not in {dtype}"
    option = variant(layer)
    if option is None:
        return None
    anyway = ", except in calls without a key, which drop nothing" if "dropout" in option else ""
    return f"its kernels do not support {option}{anyway}"


def variant(layer: Layer) -> str | None:
    """An option whose value the kernels do not support, or None.

    An option that is in neither list above is unsupported unless it has its default value.
    """
    for field in dataclasses.fields(layer):
        if field.name in SUPPORTED:
            continue
        if getattr(layer, field.name) != ONLY.get(field.name, field.default):
            return field.name
    return None
