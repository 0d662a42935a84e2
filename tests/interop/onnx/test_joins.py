"""What nodes make of an LSTM's directions, sizes and states, as exporters write it."""

import dataclasses

import jax
import numpy as np
import pytest

import jlstm
from jlstm import Config
from jlstm.interop import Report, from_onnx, to_onnx
from tests.interop.frameworks import assert_close, assert_same
from tests.interop.onnx.models import (
    FLOAT,
    INT32,
    INT64,
    XS,
    Graph,
    helper,
    ints,
    onnx,
    ort,
)


def by_slices(graph, y):
    pieces = [graph.add("Slice", y, ints(n), ints(n + 1), ints(1)) for n in (0, 1)]
    return [graph.add("Squeeze", piece, ints(1)) for piece in pieces]


def by_split(graph, y):
    pieces = graph.add("Split", y, count=2, axis=1)
    return [graph.add("Squeeze", piece, ints(1)) for piece in pieces]


def by_gather(graph, y):
    return [graph.add("Gather", y, np.int64(n), axis=1) for n in (0, 1)]


def without_axes(graph, y):
    return [graph.add("Squeeze", piece) for piece in graph.add("Split", y, count=2, axis=1)]


WAYS = ("forward", "reverse")
APART = {
    "Slice": by_slices,
    "Split": by_split,
    "Gather": by_gather,
    "Squeeze without axes": without_axes,
}
TOGETHER = {
    "concat": lambda graph, f, b: graph.add("Concat", f, b, axis=2),
    "sum": lambda graph, f, b: graph.add("Add", f, b),
    "mul": lambda graph, f, b: graph.add("Mul", f, b),
    "average": lambda graph, f, b: graph.add("Mean", f, b),
}


def assert_reads(graph, output, xs=XS, **options):
    """The stack gives what ONNX Runtime computes, in the middle of the model and at its end."""
    (wanted,) = graph.run(output, xs=xs)
    config, params = from_onnx(graph.model(output))
    assert_close(jlstm.apply(config, params, None, xs, **options)[1], wanted)
    return config, params


@pytest.mark.parametrize("together", TOGETHER)
@pytest.mark.parametrize("apart", APART)
def test_directions_taken_apart_and_joined(apart, together):
    graph = Graph()
    y = graph.lstm("X", direction="bidirectional")
    joined = TOGETHER[together](graph, *APART[apart](graph, y))
    config, _ = assert_reads(graph, joined)
    assert config.layers[0].merge == together
    upper = graph.lstm(joined, size=8 if together == "concat" else 4)
    config, _ = assert_reads(graph, graph.add("Squeeze", upper, ints(1)))
    assert [layer.merge for layer in config.layers] == [together, "concat"]


def test_directions_summed_and_halved_are_averaged():
    graph = Graph()
    f, b = by_split(graph, graph.lstm("X", direction="bidirectional"))
    config, _ = assert_reads(graph, graph.add("Div", graph.add("Add", f, b), np.float32(2)))
    assert config.layers[0].merge == "average"


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("together", TOGETHER)
def test_a_forward_and_a_reverse_node_make_one_layer(together, swapped):
    graph = Graph()
    made = {
        way: graph.add("Squeeze", graph.lstm("X", direction=way), ints(1))
        for way in (WAYS[::-1] if swapped else WAYS)
    }
    joined = TOGETHER[together](graph, *[made[way] for way in WAYS])
    assert_reads(graph, joined)
    upper = graph.lstm(joined, size=8 if together == "concat" else 4)
    config, _ = assert_reads(graph, graph.add("Squeeze", upper, ints(1)))
    assert [layer.bidirectional for layer in config.layers] == [True, False]
    assert config.layers[0].merge == together


def test_backward_before_forward_is_no_concatenation_of_a_layer():
    graph = Graph()
    ways = [graph.add("Squeeze", graph.lstm("X", direction=d), ints(1)) for d in WAYS]
    joined = graph.add("Concat", *ways[::-1], axis=2)
    graph.add("Squeeze", graph.lstm(joined, size=8), ints(1))
    with pytest.raises(ValueError, match=r"several stacks.* reads LSTM\d_0 through .*Concat"):
        from_onnx(graph.model(graph.nodes[-1].output[0]))


def test_nodes_of_two_directions_must_have_the_same_options():
    graph = Graph()
    clips = {"forward": {}, "reverse": {"clip": 0.5}}
    ways = [graph.lstm("X", direction=way, **options) for way, options in clips.items()]
    joined = graph.add("Concat", *[graph.add("Squeeze", way, ints(1)) for way in ways], axis=2)
    with pytest.raises(ValueError, match="two directions of one layer, but differ"):
        from_onnx(graph.model(joined))


@pytest.mark.parametrize("shape", [(6, 2, 8), (-1, 2, 8), (6, -1, 8)])
def test_a_reshape_to_the_sizes_that_the_input_has(shape):
    graph = Graph()
    graph.inputs = [helper.make_tensor_value_info("X", FLOAT, XS.shape)]
    y = graph.add("Transpose", graph.lstm("X", direction="bidirectional"), perm=[0, 2, 1, 3])
    config, _ = assert_reads(graph, graph.add("Reshape", y, ints(*shape)))
    assert config.layers[0].merge == "concat"


def test_a_reshape_to_sizes_that_the_model_computes():
    graph = Graph()
    y = graph.add("Transpose", graph.lstm("X", direction="bidirectional"), perm=[0, 2, 1, 3])
    sizes = graph.add("Slice", graph.add("Shape", "X"), ints(0), ints(2), ints(0))
    shape = graph.add("Concat", sizes, graph.add("Mul", ints(2), ints(4)), axis=0)
    config, _ = assert_reads(graph, graph.add("Reshape", y, shape))
    assert config.layers[0].merge == "concat"


@pytest.mark.parametrize(
    "begin, end, whole",
    [
        (0, 100, False),
        (-100, 2**31 - 1, False),
        (0, 2**31 - 1, True),
        (0, 2**63 - 1, True),
        (-(2**63), 2**63 - 1, True),
    ],
)
def test_a_slice_that_would_cut_long_sequences_is_no_part_of_a_stack(begin, end, whole):
    graph = Graph()
    below = graph.add("Squeeze", graph.lstm("X"), ints(1))
    kept = graph.add("Slice", below, ints(begin), ints(end), ints(0))
    upper = graph.add("Squeeze", graph.lstm(kept, size=4), ints(1))
    if whole:
        assert_reads(graph, upper)
    else:
        with pytest.raises(ValueError, match="through Squeeze, Slice"):
            from_onnx(graph.model(upper))


def positive(graph, y):
    return graph.add("Where", graph.add("Greater", y, np.float32(0)), y, np.float32(0))


def kept_by_a_mask(graph, y, to=9):
    """Steps at which the input is not zero."""
    mask = graph.add("Slice", graph.add("Cast", "X", to=to), ints(0), ints(1), ints(2))
    return graph.add("Mul", y, graph.add("Cast", mask, to=FLOAT))


CASES = {
    "Max": lambda graph, y: graph.add("Max", y, np.float32(0)),
    "Min": lambda graph, y: graph.add("Min", y, np.float32(3)),
    "Where": positive,
    "Clip": lambda graph, y: graph.add("Clip", y, np.float32(0), np.float32(2)),
    "Mul": kept_by_a_mask,
    "Mul by whole numbers": lambda graph, y: kept_by_a_mask(graph, y, to=INT32),
}


@pytest.mark.parametrize("name", CASES)
def test_functions_that_keep_only_some_numbers_are_no_part_of_a_stack(name):
    graph = Graph()
    y = graph.add("Squeeze", graph.lstm("X"), ints(1))
    changed = CASES[name](graph, y)
    with pytest.raises(ValueError, match=rf"through Squeeze, .*{name.partition(' ')[0]}"):
        from_onnx(graph.model(graph.lstm(changed, size=4)))


@pytest.mark.parametrize("name", CASES)
def test_such_functions_of_a_layer_are_not_its_output(name):
    graph = Graph()
    y = graph.add("Squeeze", graph.lstm("X"), ints(1))
    report = Report()
    from_onnx(graph.model(CASES[name](graph, y)), report=report)
    assert f"the outputs are the model's {y}" in str(report)


def test_an_input_that_other_nodes_compute_may_be_added():
    graph = Graph()
    words = graph.add("Relu", "X")
    y = graph.add("Squeeze", graph.lstm(words, units=5), ints(1))
    total = graph.add("Add", y, words)
    upper = graph.add("Squeeze", graph.lstm(total), ints(1))
    config, params = from_onnx(graph.model(upper))
    assert [layer.residual for layer in config.layers] == [True, False]
    own = jlstm.apply(config, params, None, np.maximum(XS, 0))[1]
    assert_close(own, graph.run(upper)[0])


def test_a_changed_input_is_not_the_one_that_a_layer_reads():
    graph = Graph()
    zeros = graph.add("Where", graph.add("Greater", "X", np.float32(-9)), "X", np.float32(0))
    ways = [graph.lstm(x, direction=way) for x, way in zip(("X", zeros), WAYS, strict=True)]
    joined = graph.add("Concat", *[graph.add("Squeeze", way, ints(1)) for way in ways], axis=2)
    with pytest.raises(ValueError, match="several stacks"):
        from_onnx(graph.model(joined))
    graph = Graph()
    zeros = graph.add("Where", graph.add("Greater", "X", np.float32(-9)), "X", np.float32(0))
    y = graph.add("Squeeze", graph.lstm("X", units=5), ints(1))
    config, _ = from_onnx(graph.model(graph.add("Add", y, zeros)))
    assert not config.layers[0].residual


def test_lengths_that_are_bounded_are_not_those_of_the_input():
    graph = Graph()
    graph.inputs.append(helper.make_tensor_value_info("n", INT32, [None]))
    report = Report()
    lengths = graph.add("Max", "n", np.array(1, "int32"))
    from_onnx(graph.model(graph.lstm("X", lengths=lengths)), report=report)
    assert f"the model computes sequence_lens, {lengths}" in str(report)


def test_an_input_whose_features_are_free_too():
    graph = Graph()
    graph.inputs = [helper.make_tensor_value_info("X", FLOAT, [None, None, None])]
    y = graph.add("Transpose", graph.lstm("X", direction="bidirectional"), perm=[0, 2, 1, 3])
    sizes = graph.add("Slice", graph.add("Shape", "X"), ints(0), ints(2), ints(0))
    shape = graph.add("Concat", sizes, ints(8), axis=0)
    config, _ = assert_reads(graph, graph.add("Reshape", y, shape))
    assert (config.input_size, config.layers[0].merge) == (5, "concat")


def test_a_size_that_is_bounded_is_no_size_of_the_input():
    graph = Graph()
    below = graph.add("Squeeze", graph.lstm("X"), ints(1))
    steps = graph.add("Slice", graph.add("Shape", below), ints(0), ints(1), ints(0))
    kept = graph.add("Slice", below, ints(0), graph.add("Min", steps, ints(100)), ints(0))
    with pytest.raises(ValueError, match="through Squeeze, Slice"):
        from_onnx(graph.model(graph.lstm(kept, size=4)))


def test_zeros_as_many_as_sequences_are_zeros():
    graph = Graph()
    below = graph.add("Squeeze", graph.lstm("X"), ints(1))
    batch = graph.add("Slice", graph.add("Shape", below), ints(1), ints(2), ints(0))
    shape = graph.add("Concat", ints(1), batch, ints(4), axis=0)
    zeros = graph.add("ConstantOfShape", shape)
    upper = graph.lstm(below, size=4, h=zeros, c=zeros)
    config, _ = assert_reads(graph, graph.add("Squeeze", upper, ints(1)))
    assert len(config.layers) == 2
    assert not config.learn_initial_carry


def test_a_state_for_all_sequences_is_a_learned_carry():
    graph = Graph()
    row = np.random.default_rng(3).normal(size=(1, 1, 4)).astype("float32")
    batch = graph.add("Gather", graph.add("Shape", "X"), ints(1))
    shape = graph.add("Concat", ints(1), batch, ints(4), axis=0)
    states = [graph.add("Expand", row, shape), graph.add("Expand", row * 2, shape)]
    y = graph.lstm("X", h=states[0], c=states[1])
    config, params = assert_reads(graph, graph.add("Squeeze", y, ints(1)))
    assert config.learn_initial_carry
    assert_close(params.layers[0].initial_carry.c, row[0, 0] * 2)


@pytest.mark.parametrize("both", [False, True])
def test_a_learned_initial_carry_goes_there_and_back(both):
    config = Config.stack(5, [4, 3], bidirectional=both, forget_bias=0.0)
    config = dataclasses.replace(config, learn_initial_carry=True)
    params = jlstm.init(jax.random.key(0), config)
    params = jax.tree.map(lambda a: a + np.cos(np.arange(a.size)).reshape(a.shape), params)
    for first in (True, False):
        model = to_onnx(config, params, time_major=first)
        session = ort.InferenceSession(
            model.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        xs = XS if first else XS.swapaxes(0, 1)
        own = jlstm.apply(config, params, None, xs, time_major=first)[1]
        assert_close(own, session.run(None, {"xs": xs})[0], atol=1e-5)
        back, same = from_onnx(model)
        assert back.learn_initial_carry
        assert_same(same, params)
    report = Report()
    to_onnx(config, params, carry=True, report=report)
    assert "the learned initial carry was left out" in str(report)


def test_a_state_that_depends_on_the_number_of_steps_is_refused():
    graph = Graph()
    steps = graph.add("Gather", graph.add("Shape", "X"), ints(0))
    state = graph.add("Expand", graph.add("Cast", steps, to=FLOAT), ints(1, 2, 4))
    with pytest.raises(ValueError, match="initial_h depends on the sizes of the input"):
        from_onnx(graph.model(graph.lstm("X", h=state)))


@pytest.mark.parametrize("more", [0, 1])
def test_lengths_of_one_input_by_different_casts_are_one(more):
    graph = Graph()
    graph.inputs.append(helper.make_tensor_value_info("n", INT64, [None]))
    first, second = (graph.add("Cast", "n", to=INT32) for _ in range(2))
    second = graph.add("Add", second, np.array([more], "int32"))
    below = graph.add("Squeeze", graph.lstm("X", lengths=first), ints(1))
    upper = graph.add("Squeeze", graph.lstm(below, size=4, lengths=second), ints(1))
    if more:
        with pytest.raises(ValueError, match="different sequence_lens"):
            from_onnx(graph.model(upper))
        return
    report, lengths = Report(), np.array([4, 6])
    config, params = from_onnx(graph.model(upper), report=report)
    assert "pass them as `lengths`" in str(report)
    own = jlstm.apply(config, params, None, XS, lengths=lengths)[1]
    assert_close(own, graph.run(upper, n=lengths)[0])


def test_lengths_that_are_all_steps_count_as_none():
    graph = Graph()
    shape = graph.add("Shape", "X")
    steps, batch = (graph.add("Slice", shape, ints(n), ints(n + 1), ints(0)) for n in (0, 1))
    lengths = graph.add("Cast", graph.add("Tile", steps, batch), to=INT32)
    below = graph.add("Squeeze", graph.lstm("X", lengths=lengths), ints(1))
    upper = graph.add("Squeeze", graph.lstm(below, size=4), ints(1))
    report = Report()
    from_onnx(graph.model(upper), report=report)
    assert "lengths" not in str(report)
    assert_reads(graph, upper)


def expressions(weight):
    """Nodes that compute a weight from constants, as exporters leave them in a model."""
    q = np.round(weight * 20).astype("int8")
    return {
        "Slice and Concat": (
            weight,
            lambda g: g.add(
                "Concat",
                *[g.add("Slice", weight, ints(n), ints(n + 8), ints(1)) for n in (0, 8)],
                axis=1,
            ),
        ),
        "Unsqueeze": (weight, lambda g: g.add("Unsqueeze", weight[0], ints(0))),
        "Transpose": (
            weight,
            lambda g: g.add("Transpose", weight.swapaxes(1, 2).copy(), perm=[0, 2, 1]),
        ),
        "Reshape": (weight, lambda g: g.add("Reshape", weight.reshape(-1), ints(*weight.shape))),
        "Cast": (
            weight.astype("float16").astype("float32"),
            lambda g: g.add("Cast", weight.astype("float16"), to=FLOAT),
        ),
        "Identity": (weight, lambda g: g.add("Identity", weight)),
        "DequantizeLinear": (
            q * np.float32(0.05),
            lambda g: g.add("DequantizeLinear", q, np.float32(0.05)),
        ),
        "Expand": (
            np.broadcast_to(weight[:, :1], weight.shape),
            lambda g: g.add("Expand", weight[:, :1].copy(), ints(*weight.shape)),
        ),
        "ConstantOfShape": (
            np.full_like(weight, 0.25),
            lambda g: g.add(
                "ConstantOfShape",
                ints(*weight.shape),
                value=onnx.numpy_helper.from_array(np.array([0.25], "float32")),
            ),
        ),
    }


WEIGHT = np.random.default_rng(4).normal(size=(1, 16, 5)).astype("float32")


@pytest.mark.parametrize("name", expressions(WEIGHT))
def test_weights_that_nodes_compute_from_constants(name):
    wanted, made = expressions(WEIGHT)[name]
    graph = Graph()
    graph.lstm(made(graph))  # the place of X: the weight takes that of W, and X comes first
    node = graph.nodes[-1]
    node.input[1], node.input[0] = node.input[0], "X"
    _, params = assert_reads(graph, graph.add("Squeeze", node.output[0], ints(1)))
    i, o, f, g = np.split(wanted[0].T, 4, -1)
    assert_same(params.layers[0].w_x, np.concatenate([i, f, g, o], -1))
