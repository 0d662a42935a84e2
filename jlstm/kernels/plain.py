"""What the fused operations know of a layer's options."""

from jlstm.layer import Layer

PLAIN = Layer(1)  # options alone are looked at: those that the fused operations have

# The only values that they know of these.
KNOWN = {
    "projection_size": None,
    "peepholes": False,
    "coupled_gates": None,
    "layer_norm": None,
    "activation": "tanh",
    "recurrent_activation": "sigmoid",
    "cell_activation": "tanh",
    "gate_clip": None,
    "cell_clip": None,
    "recurrent_dropout": 0.0,
    "zoneout_c": 0.0,
    "zoneout_h": 0.0,
}


def refusal(layer: Layer, dtype: str) -> str | None:
    """Why no kernel can serve a layer, or None."""
    if dtype not in ("float32", "bfloat16"):
        return f"its arithmetic is float32, too narrow for {dtype}"
    option = variant(layer)
    if option is None:
        return None
    anyway = ", though calls without a key do without it" if "dropout" in option else ""
    return f"its kernels have no {option}{anyway}"


def variant(layer: Layer) -> str | None:
    """An option that makes a layer other than a plain one, or None."""
    return next((o for o, plain in KNOWN.items() if getattr(layer, o) != plain), None)
