"""An LSTM and its variants in float64 NumPy, step by step; shares no code with the package."""

import math

import numpy as np


def sigmoid(a):
    return 1 / (1 + math.exp(-a)) if a >= 0 else math.exp(a) / (1 + math.exp(a))


def number(name):
    """The constants of an activation's name, as floats."""
    return [float(part) for part in name[name.index("(") + 1 : -1].split(",")]


def activate(name, a):
    """An activation by name, for the names that tests use."""
    a = np.asarray(a, np.float64)
    if name == "sigmoid":
        return np.vectorize(sigmoid, otypes=[float])(a)
    if name == "tanh":
        return np.tanh(a)
    if name == "hard_sigmoid":
        return np.clip(a / 6 + 0.5, 0, 1)
    if name.startswith("hard_sigmoid("):
        slope, shift = number(name)
        return np.clip(slope * a + shift, 0, 1)
    if name == "relu":
        return np.maximum(a, 0)
    if name == "softsign":
        return a / (1 + np.abs(a))
    assert name == "linear"
    return a


def clip(a, bound):
    return a if bound is None else np.minimum(np.maximum(a, -bound), bound)


def norm(a, scale, shift, epsilon):
    """Ba, Kiros & Hinton (2016), equation 4."""
    a = (a - a.mean()) / np.sqrt(a.var() + epsilon)
    return a * scale + (0 if shift is None else shift)


def step(o, p, c, h, x, masks):
    """Next c [H] and h [P] of one sequence; papers as named in `jlstm.cell`.

    o: the layer's options. p: its parameters by name. masks: the factors and flags by name that a
    call with a key draws, or none.
    """
    units = len(c)
    h_read = h * masks["h"] if "h" in masks else h
    z_x, z_h = x @ p["w_x"], h_read @ p["w_h"]
    b = 0 if p.get("b") is None else p["b"]
    form = o.get("layer_norm")
    epsilon = o.get("layer_norm_epsilon") or (1e-12 if form == "gates_and_cell" else 1e-5)
    if form == "gates_and_cell":
        z = z_x + z_h
        for gate in range(4):
            at = slice(gate * units, (gate + 1) * units)
            z[at] = norm(z[at], p["z_scale"][at], p["z_shift"][at], epsilon)
        z = z + b
    elif form is not None:
        z_x = norm(z_x, p["x_scale"], p.get("x_shift"), epsilon)
        z = z_x + norm(z_h, p["h_scale"], p.get("h_shift"), epsilon) + b
    else:
        z = z_x + z_h + b
    z_i, z_f, z_g, z_o = np.split(z, 4)
    if o.get("peepholes"):
        z_i, z_f = z_i + p["peepholes"][0] * c, z_f + p["peepholes"][1] * c
    gate, bound = o.get("recurrent_activation", "sigmoid"), o.get("gate_clip")
    i, f = activate(gate, clip(z_i, bound)), activate(gate, clip(z_f, bound))
    if o.get("coupled_gates") == "input":
        i = 1 - f
    elif o.get("coupled_gates") == "forget":
        f = 1 - i
    g = activate(o.get("activation", "tanh"), clip(z_g, bound)) * masks.get("g", 1)
    new_c = f * c + i * g
    if form in ("gates_and_cell", "products_and_cell"):  # then clip and peephole, as in TensorFlow
        new_c = norm(new_c, p["c_scale"], p["c_shift"], epsilon)
    new_c = clip(new_c, o.get("cell_clip"))
    if o.get("peepholes"):
        z_o = z_o + p["peepholes"][2] * new_c
    out = activate(gate, clip(z_o, bound))
    seen = new_c
    if form == "products_and_output":
        seen = norm(new_c, p["c_scale"], p["c_shift"], epsilon)
    new_h = out * activate(o.get("cell_activation", "tanh"), seen)
    if p.get("projection") is not None:
        new_h = clip(new_h @ p["projection"], o.get("projection_clip"))
    for name, old in (("c", c), ("h", h)):
        new = new_c if name == "c" else new_h
        kept = masks.get(f"{name}_kept", o.get(f"zoneout_{name}", 0.0))
        mixed = kept * old + (1 - kept) * new
        new_c, new_h = (mixed, new_h) if name == "c" else (new_c, mixed)
    return new_c, new_h


def direction(options, params, c, h, xs, length, mask, resets, initial, backward, masks):
    """One direction over one sequence xs [T, I]; returns c, h and outputs [T, P]."""
    ys = np.zeros((len(xs), len(h)))
    steps = range(len(xs))
    for t in reversed(steps) if backward else steps:
        if t >= length:
            continue
        if resets[t] and not backward:
            c, h = initial
        if mask[t]:
            drawn = {name: a[t] for name, a in masks.items()}
            c, h = step(options, params, c, h, xs[t], drawn)
            ys[t] = h
        if resets[t] and backward:
            c, h = initial
    return c, h, ys


def joined(options, outputs):
    """The outputs of a layer's directions as one, or two of them side by side."""
    if len(outputs) == 1:
        return outputs[0]
    a, b = outputs
    return {
        "concat": np.concatenate([a, b], -1),
        "sum": a + b,
        "mul": a * b,
        "average": (a + b) / 2,
        "none": np.stack([a, b], -2),
    }[options.get("merge", "concat")]


def network(layers, weights, carry, xs, lengths=None, mask=None, resets=None, masks=None):
    """A stack over xs [T, B, I].

    layers: the options of each. weights: for each layer a list of parameters by name, one a
    direction, with the initial carry as c0 and h0. carry: for each layer a list of (c [B, H],
    h [B, P]), one a direction. masks: for each layer and direction what is drawn, [T, B, ..] by
    name. Returns carry and ys of the same forms.
    """
    time, batch = xs.shape[:2]
    lengths = [time] * batch if lengths is None else lengths
    mask = np.ones((time, batch), bool) if mask is None else mask
    resets = np.zeros((time, batch), bool) if resets is None else resets
    valid = (mask & (np.arange(time)[:, None] < np.asarray(lengths)[None]))[..., None]
    first = below = np.asarray(xs, np.float64)
    last = []
    for n, (options, sides, states) in enumerate(zip(layers, weights, carry, strict=True)):
        if options.get("skip"):
            below = np.concatenate([below, first], -1)
        below = np.where(valid, below, 0.0)
        outputs, after = [], []
        for d, (params, (cs, hs)) in enumerate(zip(sides, states, strict=True)):
            backward = options.get("reverse", False) or d == 1
            drawn = masks[n][d] if masks else {}
            runs = [
                direction(
                    options, params, cs[m], hs[m], below[:, m], lengths[m], mask[:, m],
                    resets[:, m], (params["c0"], params["h0"]), backward,
                    {name: a[:, m] for name, a in drawn.items()},
                )
                for m in range(batch)
            ]  # fmt: skip
            after.append(
                (
                    np.array([run[0] for run in runs]).reshape(cs.shape),
                    np.array([run[1] for run in runs]).reshape(hs.shape),
                )
            )
            ys = np.zeros((time, batch, hs.shape[-1]))
            for m, run in enumerate(runs):
                ys[:, m] = run[2]
            outputs.append(ys)
        ys = joined(options, outputs)
        if options.get("highway"):
            z = below @ sides[0]["highway_w"] + sides[0]["highway_b"]
            passed = activate("sigmoid", z)
            ys = passed * below + (1 - passed) * ys
        below = below + ys if options.get("residual") else ys
        last.append(after)
    return last, below
