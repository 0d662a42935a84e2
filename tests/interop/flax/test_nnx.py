"""Flax nnx."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given

import jlstm
from jlstm import Config, Layer
from jlstm.interop import Report, from_nnx, to_nnx
from tests.examples import mostly_full
from tests.interop.frameworks import (
    assert_agrees,
    assert_goes_there_and_back,
    assert_same,
    halved,
    networks,
    random_networks,
)

nnx = pytest.importorskip("flax.nnx")

ACTIVATIONS = networks(
    activations=("tanh", "relu", "sigmoid"), recurrent_activation=("sigmoid", "hard_sigmoid")
)
XS = np.random.default_rng(0).normal(size=(5, 2, 3)).astype("float32")
CELLS = [nnx.LSTMCell, nnx.OptimizedLSTMCell]
KINDS = pytest.mark.parametrize("kind", mostly_full(list(CELLS), [nnx.OptimizedLSTMCell]))


def rnns(sources):
    """What `assert_agrees` asks of the weights of RNNs or Bidirectionals, one a layer."""
    parts = [nnx.split(source, nnx.Param, ...) for source in sources]

    def merged(weights):
        return [
            nnx.merge(graph, own, jax.tree.map(jnp.copy, rest))
            for (graph, _, rest), own in zip(parts, weights, strict=True)
        ]

    def theirs(states, xs):
        carries = []
        for own in merged(states):
            carry, xs = own(xs, time_major=True, return_carry=True)
            if isinstance(own, nnx.Bidirectional):
                carry = jax.tree.map(lambda *ways: jnp.stack(ways), *carry)
            carries.append(carry)
        return carries, xs

    return theirs, [part[1] for part in parts], lambda states: from_nnx(merged(states))[1]


def cell(seed, kind=nnx.OptimizedLSTMCell, size=3, **options):
    return kind(size, 4, rngs=nnx.Rngs(seed), **options)


@given(networks())
@random_networks
def test_there_and_back(call):
    assert_goes_there_and_back(call, to_nnx, from_nnx)


@pytest.mark.full
@given(ACTIVATIONS)
@random_networks
def test_nnx_gives_what_a_network_gives(call):
    call = halved(call)
    sources = [nnx.RNN(made) for made in to_nnx(call.config, call.params)]
    assert_agrees(call.config, call.params, *rnns(sources), call.xs)


@KINDS
def test_nnxs_own_weights(kind):
    sources = [nnx.RNN(cell(0, kind)), nnx.RNN(cell(1, kind, 4, activation_fn=jax.nn.relu))]
    assert_agrees(*from_nnx(sources), *rnns(sources), XS)


def test_a_cell_alone_is_a_layer():
    config, params = from_nnx(cell(0))
    assert config == from_nnx([nnx.RNN(cell(0))])[0]
    assert_same(params, from_nnx([nnx.RNN(cell(0))])[1])


MERGES = {"concat": {}, "sum": {"merge_fn": jnp.add}, "mul": {"merge_fn": jnp.multiply}}


@pytest.mark.parametrize(
    ("kind", "merge"),
    mostly_full(
        list(itertools.product(CELLS, MERGES)),
        [(nnx.LSTMCell, "sum")],
    ),
)
def test_both_directions(kind, merge):
    own = nnx.Bidirectional(
        nnx.RNN(cell(0, kind), reverse=True), nnx.RNN(cell(1, kind)), **MERGES[merge]
    )
    config, params = from_nnx(own)
    assert config.layers[0].merge == merge
    assert_agrees(config, params, *rnns([own]), XS)


def test_one_direction_backwards():
    own = nnx.RNN(cell(0), reverse=True, keep_order=True)
    config, params = from_nnx(own)
    assert config.layers[0].reverse
    assert_agrees(config, params, *rnns([own]), XS)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (nnx.RNN(cell(0), reverse=True), "reverse=True without keep_order"),
        (
            nnx.Bidirectional(nnx.RNN(cell(0)), nnx.RNN(cell(1)), merge_fn=jnp.maximum),
            "merge_fn=.*is not known",
        ),
        (
            nnx.Bidirectional(nnx.RNN(cell(0)), nnx.RNN(cell(1, activation_fn=jax.nn.relu))),
            "directions of a Bidirectional have different activations",
        ),
        (cell(0, gate_fn=jnp.cos), "the activation .* is not known"),
        ([], "list of cells is empty"),
    ],
)
def test_what_a_network_lacks(source, words):
    with pytest.raises(ValueError, match=words):
        from_nnx(source)


@pytest.mark.filterwarnings("ignore:carry_init is provided")
def test_a_start_of_ones_own_is_refused():
    with pytest.raises(ValueError, match="carry_init"):
        from_nnx(cell(0, carry_init=jax.nn.initializers.ones))


def test_cells_that_compute_in_another_format_are_reported():
    report = Report()
    from_nnx(cell(0, dtype=jnp.bfloat16), report=report)
    assert "computes in bfloat16" in str(report)


@pytest.mark.parametrize("dtype", ["bfloat16", "float64"])
def test_every_dtype_goes_there_and_back(dtype, x64):
    config = Config(3, (Layer(4),), dtype=dtype, param_dtype=dtype)
    params = jlstm.init(jax.random.key(0), config)
    (own,) = to_nnx(config, params)
    assert own.dense_h.kernel.dtype == dtype
    assert_same(from_nnx(own)[1], params)


def test_a_cell_of_both_directions_is_reported():
    shared = nnx.RNN(cell(0))
    report = Report()
    _, params = from_nnx(nnx.Bidirectional(shared, shared), report=report)
    assert "both directions share one cell" in str(report)
    np.testing.assert_array_equal(*params.layers[0].w_x)


@pytest.mark.parametrize("time_major", [True, False])
def test_where_the_batch_stands_is_reported(time_major):
    rnn = nnx.RNN(cell(0), time_major=time_major)
    for source in (rnn, nnx.Bidirectional(rnn, nnx.RNN(cell(1)), time_major=time_major)):
        from_nnx(source, report=(report := Report()))
        assert ("time_major=False" in str(report)) != time_major
    from_nnx(cell(0), report=(report := Report()))
    assert "time_major" not in str(report)


@KINDS
def test_classes_that_compute_something_else_are_refused(kind):
    def odd(kind, *names):
        return type("Odd", (kind,), dict.fromkeys(names, lambda self, *_, **__: None))

    own = cell(0, odd(kind))
    assert from_nnx(own)[0] == Config.stack(3, [4], forget_bias=0.0)
    for source in (
        cell(0, odd(kind, "__call__")),
        cell(0, odd(kind, "initialize_carry")),
        odd(nnx.RNN, "__call__")(own),
        odd(nnx.Bidirectional, "__call__")(nnx.RNN(own), nnx.RNN(own)),
        nnx.Bidirectional(nnx.RNN(own), odd(nnx.RNN, "__call__")(own)),
        nnx.RNN(cell(0, odd(kind, "__call__"))),
    ):
        with pytest.raises(TypeError, match=r"Odd overrides "):
            from_nnx(source)


@pytest.mark.parametrize(
    "given", [3, None, "cell", nnx.LSTMCell, nnx.RNN(nnx.GRUCell(3, 4, rngs=nnx.Rngs(0)))]
)
def test_what_is_no_such_cell(given):
    with pytest.raises(TypeError, match=r"expected nnx\.LSTMCell"):
        from_nnx(given)


@pytest.mark.parametrize(
    ("layer", "named"),
    [
        (Layer(4, bidirectional=True), "bidirectional"),
        (Layer(4, zoneout_c=0.5), "zoneout_c"),
    ],
)
def test_what_it_lacks_is_refused_by_name(layer, named):
    config = Config(6, (layer,))
    with pytest.raises(ValueError, match=named):
        to_nnx(config, jlstm.init(jax.random.key(0), config))
