"""Random networks and calls, and what the reference says about them."""

import dataclasses
import itertools
from typing import NamedTuple

import jax
import numpy as np
import pytest
from hypothesis import strategies as st

import jlstm
from jlstm import Config, Layer
from jlstm.kernels.cpu import lowering as cpu
from tests import reference
from tests.examples import examples

_drawn = itertools.count(1)
# Of each contract that is looked at in random networks over all options at once.
EXAMPLES = examples(25, more=True)
MERGES = ("concat", "sum", "mul", "average")


class Call(NamedTuple):
    """A network with parameters, carry, inputs and what the call says about time."""

    config: Config
    params: jlstm.Params
    carry: tuple[jlstm.Carry, ...]
    xs: np.ndarray
    times: dict[str, np.ndarray]


def random_like(seed, tree, dtype="float32"):
    """`tree` with every array drawn anew from a normal distribution."""
    leaves, structure = jax.tree.flatten(tree)
    draw = np.random.default_rng(seed)
    return jax.tree.unflatten(structure, [draw.normal(size=a.shape).astype(dtype) for a in leaves])


@st.composite
def layers(draw, input_size, streams):
    direction = "forward" if streams else draw(st.sampled_from(["forward", "reverse", "both"]))
    merge = draw(st.sampled_from(MERGES)) if direction == "both" else "concat"
    fits = input_size % 2 == 0 or direction != "both" or merge != "concat"
    residual = fits and draw(st.booleans())
    units = draw(st.integers(1, 5))
    if residual:
        units = input_size // 2 if direction == "both" and merge == "concat" else input_size
    return Layer(
        units,
        bidirectional=direction == "both",
        reverse=direction == "reverse",
        merge=merge,
        residual=residual,
        bias=draw(st.booleans()),
    )


def rarely(draw, *values):
    """One of the values, most often the first, so that options also appear by themselves."""
    return draw(st.sampled_from(values)) if draw(st.integers(0, 3)) == 0 else values[0]


@st.composite
def variants(draw, input_size, streams, noisy=False):
    """Layers with any of the options; those that draw something only if `noisy`."""
    plain = draw(layers(input_size, streams))
    options = {
        "peepholes": rarely(draw, False, True),
        "coupled_gates": rarely(draw, None, "input", "forget"),
        "layer_norm": rarely(
            draw, None, "gates_and_cell", "products_and_cell", "products_and_output"
        ),
        "activation": rarely(draw, "tanh", "softsign", "relu", "sigmoid"),
        "recurrent_activation": rarely(draw, "sigmoid", "hard_sigmoid", "hard_sigmoid(0.2, 0.5)"),
        "cell_activation": rarely(draw, "tanh", "linear", "softsign"),
        "gate_clip": rarely(draw, None, 0.7, 2.0),
        "cell_clip": rarely(draw, None, 0.3, 1.0),
        "zoneout_c": rarely(draw, 0.0, 0.3, 1.0),
        "zoneout_h": rarely(draw, 0.0, 0.4),
    }
    if options["layer_norm"]:
        options["layer_norm_epsilon"] = rarely(draw, None, 0.01)
    if not (plain.residual or plain.merge == "none"):
        options["projection_size"] = rarely(draw, None, 1, 3, 7)
        if options["projection_size"]:
            options["projection_clip"] = rarely(draw, None, 0.2)
    if plain.residual and draw(st.booleans()):
        options |= {"residual": False, "highway": True}
    if noisy:
        options["dropout"] = rarely(draw, 0.0, 0.5)
        options["recurrent_dropout"] = rarely(draw, 0.0, 0.4)
        if options["recurrent_dropout"]:
            options["recurrent_dropout_on"] = rarely(draw, "h", "candidate")
        if not streams:
            options["weight_dropout"] = rarely(draw, 0.0, 0.5)
            if options["dropout"] or options["recurrent_dropout"]:
                options["held_masks"] = draw(st.booleans())
    return dataclasses.replace(plain, **options)


@st.composite
def variant_calls(draw, streams=False, noisy=False, given=("lengths", "mask", "resets")):
    """Calls of stacks of one or two layers with any of the options."""
    size = input_size = draw(st.integers(1, 4))
    stack = []
    for n in range(draw(st.integers(1, 2))):
        skip = n > 0 and draw(st.booleans())
        size += input_size if skip else 0
        layer = draw(variants(size, streams, noisy))
        stack.append(dataclasses.replace(layer, skip=skip))
        size = layer.output_size
    if stack[-1].bidirectional and not (stack[-1].residual or stack[-1].highway):
        stack[-1] = dataclasses.replace(stack[-1], merge=rarely(draw, stack[-1].merge, "none"))
    config = Config(input_size, tuple(stack), learn_initial_carry=draw(st.booleans()))
    chosen = draw(st.sets(st.sampled_from(sorted(given)))) if given else set()
    return random_call(config, draw(st.integers(1, 5)), (2,), draw(st.integers(0, 2**31)), chosen)


@st.composite
def configs(draw, streams=False, dtype="float32"):
    """Networks of one to three layers; those that `streams` can take one step at a time."""
    size = input_size = draw(st.integers(1, 5))
    stack = []
    for _ in range(draw(st.integers(1, 3))):
        stack.append(draw(layers(size, streams)))
        size = stack[-1].output_size
    return Config(
        input_size,
        tuple(stack),
        learn_initial_carry=draw(st.booleans()),
        dtype=dtype,
        param_dtype=dtype,
    )


@st.composite
def calls(draw, streams=False, given=("lengths", "mask", "resets"), dtype="float32", batch=True):
    """Calls over up to six steps, with some of what is `given` about time."""
    config = draw(configs(streams, dtype))
    time = draw(st.integers(1, 6))
    batch_shape = draw(st.sampled_from([(), (3,), (2, 2)])) if batch else ()
    seed = draw(st.integers(0, 2**32 - 1))
    chosen = draw(st.sets(st.sampled_from(sorted(given)))) if given else set()
    return random_call(config, time, batch_shape, seed, chosen, dtype)


def random_call(*what):
    """`make_call` for one of many examples, so that compiled programs are given back at times.

    A program takes some hundred of a process's 65,530 memory maps; without them the process dies.
    """
    if next(_drawn) % 50 == 0:
        jax.clear_caches()
    return make_call(*what)


def make_call(config, time, batch_shape, seed, given=(), dtype="float32"):
    """The call that a seed stands for."""
    single = dataclasses.replace(config, dtype="float32", param_dtype="float32")
    shapes = jax.eval_shape(lambda: jlstm.init(jax.random.key(0), single))
    params = random_like(seed, shapes, dtype)
    shapes = jax.eval_shape(lambda p: jlstm.initial_carry(single, p, batch_shape), params)
    carry = random_like(seed + 1, shapes, dtype)
    draw = np.random.default_rng(seed + 2)
    xs = draw.normal(size=(time, *batch_shape, config.input_size)).astype(dtype)
    times = {
        "lengths": draw.integers(0, time + 1, batch_shape, dtype="int32"),
        "mask": np.asarray(draw.random((time, *batch_shape)) < 0.7),
        "resets": np.asarray(draw.random((time, *batch_shape)) < 0.4),
    }
    return Call(config, params, carry, xs, {name: times[name] for name in sorted(given)})


def require_kernel():
    """Skips a test where the compiled kernels do not serve, saying why."""
    reason = cpu.refusal(Layer(1), "float32", jax.default_backend())
    if reason is not None:
        pytest.skip(reason)


def apply(call, **changes):
    """`jlstm.apply` on a call, with parts of it replaced."""
    call = call._replace(**changes)
    return jlstm.apply(call.config, call.params, call.carry, call.xs, **call.times)


def by_name(params, layer, side):
    """One direction's parameters as the reference takes them, in float64."""
    found = {}
    at = side if layer.bidirectional else ...
    for name in ("w_x", "w_h", "b", "peepholes", "projection"):
        a = getattr(params, name)
        found[name] = None if a is None else np.asarray(a[at], np.float64)
    for name, affine in (params.norms or jlstm.params.Norms())._asdict().items():
        for part, a in (affine or jlstm.params.Affine(None))._asdict().items():
            if a is not None:
                found[f"{name}_{part}"] = np.asarray(a[at], np.float64)
    start = [np.zeros(layer.hidden_size), np.zeros(layer.state_size)]
    if params.initial_carry is not None:
        start = [np.asarray(a[at], np.float64) for a in params.initial_carry]
    found["c0"], found["h0"] = start
    if params.highway is not None:
        found["highway_w"], found["highway_b"] = (np.asarray(a, "float64") for a in params.highway)
    return found


def expected(call, masks=None):
    """The carry and outputs that the reference computes, in the library's layout."""
    layers = [dataclasses.asdict(layer) for layer in call.config.layers]
    batch_shape = call.xs.shape[1:-1]

    def flat(a, features=True):
        at = a.ndim - int(features)
        return np.asarray(a).reshape(*a.shape[: at - len(batch_shape)], -1, *a.shape[at:])

    weights, states = [], []
    for layer, one, state in zip(call.config.layers, call.params.layers, call.carry, strict=True):
        sides = range(2) if layer.bidirectional else [0]
        weights.append([by_name(one, layer, d) for d in sides])
        at = (lambda a, d: a[d]) if layer.bidirectional else (lambda a, d: a)
        states.append([(flat(at(state.c, d)), flat(at(state.h, d))) for d in sides])
    times = {name: flat(a, features=False) for name, a in call.times.items()}
    last, ys = reference.network(layers, weights, states, flat(call.xs), **times, masks=masks)
    carry = []
    for layer, state, sides in zip(call.config.layers, call.carry, last, strict=True):
        c, h = (
            np.stack(side) if layer.bidirectional else side[0] for side in zip(*sides, strict=True)
        )
        carry.append(jlstm.Carry(c.reshape(state.c.shape), h.reshape(state.h.shape)))
    return tuple(carry), ys.reshape(len(call.xs), *batch_shape, *ys.shape[2:])


def assert_close(seen, wanted, atol=1e-5, rtol=None):
    """Both trees have one structure and nearly equal arrays of equal shape."""
    assert jax.tree.structure(seen) == jax.tree.structure(wanted)
    for a, b in zip(jax.tree.leaves(seen), jax.tree.leaves(wanted), strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, atol=atol, rtol=atol if rtol is None else rtol)


def loss(out):
    """A number that every element of a tree bears on, each in its own way."""
    total = 0.0
    for a in jax.tree.leaves(out):
        total = total + (a * np.cos(np.arange(a.size, dtype=a.dtype)).reshape(a.shape)).sum()
    return total


def run(call, implementation, **changes):
    """`apply` on a named implementation."""
    call = call._replace(**changes)
    return jlstm.apply(
        call.config, call.params, call.carry, call.xs, **call.times, implementation=implementation
    )


def gradients(call, implementation):
    """Of `loss`, for parameters, carry and inputs."""

    def total(args):
        params, carry, xs = args
        return loss(run(call, implementation, params=params, carry=carry, xs=xs))

    return jax.grad(total)((call.params, call.carry, call.xs))


def scaled(tree):
    """Weights of the size that training starts from, so that gates do not saturate."""
    return jax.tree.map(lambda a: (a / np.sqrt(a.shape[-1])).astype("float32"), tree)
