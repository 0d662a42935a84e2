"""Random nodes around LSTMs: whatever is read gives the numbers of ONNX Runtime."""

import re

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import jlstm
from jlstm.interop import Report, from_onnx
from tests.examples import examples
from tests.interop.onnx.models import FLOAT, Graph, helper, ints

SIZES = ((6, 2), (2, 6), (3, 3), (4, 1), (1, 5))  # of time and batch


class Chain:
    """A value of the graph, of which the sizes are known for each choice of time and batch."""

    def __init__(self, graph, draw):
        self.graph, self.draw = graph, draw
        self.name, self.shapes = "X", [(*sizes, 5) for sizes in SIZES]

    def add(self, kind, *inputs, shapes, **attributes):
        self.name = self.graph.add(kind, *inputs, **attributes)
        self.shapes = shapes

    def lstm(self):
        """An LSTM on a value of three axes."""
        way = self.draw(st.sampled_from(["forward", "reverse", "bidirectional"]))
        lead = 2 if way == "bidirectional" else 1
        if len(self.shapes[0]) != 3 or len({shape[2] for shape in self.shapes}) > 1:
            return
        size = self.shapes[0][2]
        shapes = [(t, lead, b, 4) for t, b, _ in self.shapes]
        self.name, self.shapes = self.graph.lstm(self.name, size, direction=way), shapes

    def join(self):
        """Nodes after which an LSTM's directions are one axis."""
        if len(self.shapes[0]) != 4:
            return
        if self.shapes[0][1] == 1:
            self.squeeze()
        elif self.draw(st.booleans()):
            shapes = [(s[0], s[2], s[3]) for s in self.shapes]
            kind = self.draw(st.sampled_from(["ReduceMean", "ReduceProd"]))
            self.add(kind, self.name, shapes=shapes, axes=[1], keepdims=0)
        else:
            shapes = [(s[0], s[2], s[1], s[3]) for s in self.shapes]
            self.add("Transpose", self.name, shapes=shapes, perm=[0, 2, 1, 3])
            shapes = [(*s[:2], s[2] * s[3]) for s in self.shapes]
            self.add("Reshape", self.name, ints(0, 0, -1), shapes=shapes)

    def step(self):
        """A node on the value, of a kind that fits its shape."""
        shape, rank = self.shapes[0], len(self.shapes[0])
        kinds = {"Transpose": self.transpose, "Add": self.add_other}
        if 1 in shape:
            kinds["Squeeze"] = self.squeeze
        if rank == 4:
            kinds |= {"Reduce": self.reduce, "Reshape": self.reshape, "Gather": self.gather}
        if rank == 3:
            kinds |= {"Slice": self.slice, "Concat": self.concat}
        kinds[self.draw(st.sampled_from(sorted(kinds)))]()

    def transpose(self):
        perm = self.draw(st.permutations(range(len(self.shapes[0]))))
        shapes = [tuple(shape[n] for n in perm) for shape in self.shapes]
        self.add("Transpose", self.name, shapes=shapes, perm=perm)

    def squeeze(self):
        axes = [n for n in range(len(self.shapes[0])) if all(s[n] == 1 for s in self.shapes)]
        if axes:
            shapes = [(*s[: axes[0]], *s[axes[0] + 1 :]) for s in self.shapes]
            self.add("Squeeze", self.name, ints(axes[0]), shapes=shapes)

    def reduce(self):
        axis = self.draw(st.sampled_from(range(4)))
        kind = self.draw(st.sampled_from(["ReduceMean", "ReduceProd"]))
        shapes = [(*s[:axis], *s[axis + 1 :]) for s in self.shapes]
        self.add(kind, self.name, shapes=shapes, axes=[axis], keepdims=0)

    def gather(self):
        axis = self.draw(st.sampled_from([n for n in range(4) if min(s[n] for s in self.shapes)]))
        shapes = [(*s[:axis], *s[axis + 1 :]) for s in self.shapes]
        self.add("Gather", self.name, np.int64(0), shapes=shapes, axis=axis)

    def reshape(self):
        """Joins the last two axes, or the middle two."""
        if self.draw(st.booleans()):
            shapes = [(s[0], s[1], s[2] * s[3]) for s in self.shapes]
            self.add("Reshape", self.name, ints(0, 0, -1), shapes=shapes)
        elif len({s[3] for s in self.shapes}) == 1:
            shapes = [(s[0], s[1] * s[2], s[3]) for s in self.shapes]
            self.add("Reshape", self.name, ints(0, -1, shapes[0][2]), shapes=shapes)

    def slice(self):
        size = self.shapes[0][2]
        if all(s[2] == size for s in self.shapes) and size % 2 == 0:
            begin = self.draw(st.sampled_from([0, size // 2]))
            shapes = [(*s[:2], size // 2) for s in self.shapes]
            bounds = [ints(begin), ints(begin + size // 2), ints(2)]
            self.add("Slice", self.name, *bounds, shapes=shapes)

    def add_other(self):
        """Adds the value to itself, or to what an LSTM read."""
        other = self.draw(st.sampled_from([self.name, *self.known()]))
        kind = self.draw(st.sampled_from(["Add", "Mul"]))
        self.add(kind, self.name, other, shapes=self.shapes)

    def concat(self):
        other = self.draw(st.sampled_from([self.name, "X"]))
        width = [s[2] for s in self.shapes] if other == self.name else [5] * len(SIZES)
        if other == "X" and [s[:2] for s in self.shapes] != list(SIZES):
            return
        shapes = [(*s[:2], s[2] + w) for s, w in zip(self.shapes, width, strict=True)]
        self.add("Concat", self.name, other, shapes=shapes, axis=2)

    def known(self):
        """Values that have the shape of this one: the input, where the sizes are equal."""
        return ["X"] if self.shapes == [(*sizes, 5) for sizes in SIZES] else []


@st.composite
def graphs(draw):
    """A model of up to three LSTMs with nodes between them, and the value at its end."""
    graph = Graph()
    fixed = draw(st.sampled_from([None, *SIZES]))
    if fixed:
        graph.inputs = [helper.make_tensor_value_info("X", FLOAT, [*fixed, 5])]
    chain = Chain(graph, draw)
    for _ in range(draw(st.integers(1, 3))):
        chain.lstm()
        if draw(st.integers(0, 3)):  # mostly nodes that a stack has, so that others do not follow
            chain.join()
        for _ in range(draw(st.sampled_from([0, 0, 1, 2, 4]))):
            chain.step()
    return graph, chain.name, fixed


@settings(max_examples=examples(300, more=True), deadline=None)
@given(graphs())
def test_what_is_read_gives_what_onnx_runtime_gives(drawn):
    graph, output, fixed = drawn
    report = Report()
    try:
        config, params = from_onnx(graph.model(output), report=report)
    except ValueError as error:
        assert "several stacks" in str(error)
        return
    found = re.search(
        r"input is the model's (\w+), axes (.*)\n.*outputs are the model's (\w+)", str(report)
    )
    source, axes, name = found.groups()
    assert axes in ("T, B, F", "B, T, F")
    for steps, batch in [fixed] if fixed else SIZES:
        xs = np.random.default_rng(1).normal(size=(steps, batch, 5)).astype("float32")
        try:
            (wanted,) = graph.run(name, xs=xs)
            given = xs if source == "X" else graph.run(source, xs=xs)[0]
        except Exception:  # a graph whose axes do not fit at these sizes
            continue
        own = jlstm.apply(config, params, None, given, time_major=axes == "T, B, F")[1]
        assert_any_order(np.asarray(own), wanted)


def assert_any_order(own, wanted):
    """The outputs, whose axes the model may have in another order; Y itself has directions."""
    if wanted.ndim == 4 and own.ndim == 3:
        wanted = np.concatenate(list(wanted.swapaxes(0, 1)), -1)
    perms = [(0, 1, 2), (1, 0, 2), (0, 2, 1), (2, 0, 1), (1, 2, 0), (2, 1, 0)]
    if own.ndim == 4:
        perms = [(0, 1, 2, 3), (1, 0, 2, 3)]
    assert any(
        own.transpose(perm).shape == wanted.shape
        and np.allclose(own.transpose(perm), wanted, atol=1e-5)
        for perm in perms
    ), (own.shape, wanted.shape)
