"""What the kernels support of a layer's options; what they do not is refused, never ignored."""

import dataclasses

from jlstm.layer import Layer

PLAIN = Layer(1)  # for its options: those of every layer that the kernels run

# Options that the kernels support whatever their value. What most of them ask for happens outside
# the recurrence: before it, after it, or when parameters are made.
SUPPORTED = frozenset({
    "hidden_size", "bidirectional", "reverse", "bias", "forget_bias",
    "merge", "residual", "highway", "skip",
    "dropout", "weight_dropout", "held_masks",
    "recurrent_dropout_on",  # says of which value recurrent_dropout is, which is not supported
})  # fmt: skip

# Options of which the kernels support one value only.
ONLY = {
    "projection_size": None,
    "peepholes": False,
    "coupled_gates": None,
    "layer_norm": None,
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


def refusal(layer: Layer, dtype: str) -> str | None:
    """Why no kernel can run a layer, or None."""
    if dtype not in ("float32", "bfloat16"):
        return f"its arithmetic is float32, too narrow for {dtype}"
    option = variant(layer)
    if option is None:
        return None
    anyway = ", though calls without a key do without it" if "dropout" in option else ""
    return f"its kernels have no {option}{anyway}"


def variant(layer: Layer) -> str | None:
    """An option whose value the kernels do not support, or None.

    An option that stands in neither list above is taken for unsupported unless it has its default.
    """
    for field in dataclasses.fields(layer):
        if field.name in SUPPORTED:
            continue
        if getattr(layer, field.name) != ONLY.get(field.name, field.default):
            return field.name
    return None
