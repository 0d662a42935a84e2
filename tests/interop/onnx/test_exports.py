"""Models that torch's two exporters write: each is read rightly, or refused for its true reason."""

import itertools
import warnings

import numpy as np
import pytest

import jlstm
from jlstm import Carry
from jlstm.interop import Report, from_onnx
from tests.examples import mostly_full
from tests.interop.frameworks import assert_close

for _name in ("onnx", "onnxscript", "torch"):
    pytest.importorskip(_name)
import torch  # noqa: E402
from torch import nn  # noqa: E402

XS = np.random.default_rng(0).normal(size=(7, 3, 5)).astype("float32")


class Around(nn.Module):
    """Modules, by name, and a function of them and of the inputs."""

    def __init__(self, forward, **modules):
        super().__init__()
        self.run = forward
        for name, module in modules.items():
            setattr(self, name, module)

    def forward(self, *inputs):
        return self.run(self, *inputs)


def lstm(*sizes, **options):
    return nn.LSTM(*sizes, **options)


def learned(layers, both, batch_first):
    """States that are parameters, the same for all sequences."""
    rows = layers * (2 if both else 1)
    own = lstm(5, 4, layers, bidirectional=both, batch_first=batch_first)

    def forward(self, xs):
        batch = xs.shape[0 if batch_first else 1]
        return self.a(xs, (self.h.expand(-1, batch, -1).contiguous(), self.c.repeat(1, batch, 1)))

    states = {name: nn.Parameter(torch.randn(rows, 1, 4)) for name in "hc"}
    return Around(forward, a=own, **states)


def zeros(self, xs):
    state = torch.zeros(2, xs.size(0), 4)
    return self.a(xs, (state, state))


def in_a_row(between=lambda ys: ys, **options):
    """A module on the output of another, after `between`."""
    width = between(torch.zeros(1, 1, 8 if options.get("bidirectional") else 4)).shape[2]
    return Around(
        lambda self, xs: self.b(between(self.a(xs)[0])),
        a=lstm(5, 4, **options),
        b=lstm(width, 3),
    )


def residual(self, xs):
    xs = xs + self.a(xs)[0]
    return self.b(xs)[0] + xs


def summed(ys):
    return ys[..., :4] + ys[..., 4:]


def averaged(ys):
    return ys.view(ys.shape[0], ys.shape[1], 2, 4).mean(2)


# Each with a network whose outputs are those of the LSTMs alone, where nodes follow.
MODELS = {
    f"{layers} layers, both {both}, batch first {first}": lstm(
        5, 4, layers, bidirectional=both, batch_first=first
    )
    for layers, both, first in itertools.product((1, 2, 3), (False, True), (False, True))
}
MODELS |= {
    f"without bias, both {both}": lstm(5, 4, 2, bias=False, bidirectional=both)
    for both in (False, True)
}
MODELS |= {f"{units} units": lstm(5, units, 2, bidirectional=True) for units in (45, 46, 130)}
MODELS |= {
    "two modules": in_a_row(),
    "two modules, the first of both directions": in_a_row(bidirectional=True),
    "directions summed": in_a_row(summed, bidirectional=True),
    "directions averaged": in_a_row(averaged, bidirectional=True),
    "residual": Around(residual, a=lstm(5, 5), b=lstm(5, 5)),
    "learned states": learned(1, False, False),
    "learned states, both directions, batch first": learned(2, True, True),
    "zeros for each sequence": Around(zeros, a=lstm(5, 4, 2, batch_first=True)),
}
EXPORTERS, SIZES = ("old", "new"), ("fixed", "free")
CASES = list(itertools.product(MODELS, EXPORTERS, SIZES))
# The new exporter takes seconds a model.
FEW = [
    ("1 layers, both True, batch first False", "old", "fixed"),
    ("2 layers, both True, batch first True", "old", "free"),
    ("3 layers, both False, batch first False", "old", "fixed"),
    ("without bias, both True", "old", "fixed"),
    ("46 units", "old", "fixed"),
    ("two modules, the first of both directions", "old", "free"),
    ("directions averaged", "old", "free"),
    ("residual", "old", "free"),
    ("learned states, both directions, batch first", "new", "free"),
]
EACH = pytest.mark.parametrize(
    "exporter, sizes",
    mostly_full(list(itertools.product(EXPORTERS, SIZES)), [("old", "free")]),
)


def batch_first(model):
    return next(own for own in model.modules() if isinstance(own, nn.LSTM)).batch_first


def exported(path, model, inputs, exporter, sizes):
    """Writes a model with fixed sizes, or with a free batch and, if the exporter can, free time."""
    names, options = ["x", "h", "c"][: len(inputs)], {}
    batch = 0 if batch_first(model) else 1
    if sizes == "free" and exporter == "new":
        size = torch.export.Dim("batch")
        options["dynamic_shapes"] = ({batch: size}, *[{1: size}] * (len(inputs) - 1))
        if isinstance(model, Around):
            options["dynamic_shapes"] = (options["dynamic_shapes"],)
    elif sizes == "free":
        options["dynamic_axes"] = {"x": [0, 1]} | {name: [1] for name in names[1:]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model.eval(),
            inputs,
            path,
            dynamo=exporter == "new",
            input_names=names,
            external_data=False,
            verbose=False,
            **options,
        )
    return path


def wanted_of(model, *inputs):
    """What torch computes."""
    with torch.no_grad():
        made = model(*inputs)
    return (made[0] if isinstance(made, tuple) else made).numpy()


@pytest.mark.parametrize(
    "name, exporter, sizes",
    mostly_full(CASES, FEW),
)
def test_exported_networks_give_what_torch_gives(name, exporter, sizes, tmp_path):
    model, xs, report = MODELS[name], torch.tensor(XS), Report()
    path = exported(tmp_path / "a.onnx", model, (xs,), exporter, sizes)
    config, params = from_onnx(path, report=report)
    first = batch_first(model)
    assert ("time_major=False" in str(report)) == first
    assert config.learn_initial_carry == ("learned" in name)
    own = jlstm.apply(config, params, None, XS, time_major=not first)[1]
    assert_close(own, wanted_of(model, xs), atol=1e-5)


@EACH
def test_the_lstms_between_an_embedding_and_a_head(exporter, sizes, tmp_path):
    model = Around(
        lambda self, words: self.head(torch.relu(self.a(self.embedding(words))[0])),
        embedding=nn.Embedding(11, 5),
        a=lstm(5, 4, 2, bidirectional=True, batch_first=True),
        head=nn.Linear(8, 3),
    )
    words, report = torch.randint(0, 11, (3, 7)), Report()
    path = exported(tmp_path / "a.onnx", model, (words,), exporter, sizes)
    config, params = from_onnx(path, report=report)
    assert "time_major=False" in str(report)
    with torch.no_grad():
        xs = model.embedding(words)
    own = jlstm.apply(config, params, None, xs.numpy(), time_major=False)[1]
    assert_close(own, wanted_of(model.a, xs), atol=1e-5)


@EACH
def test_states_that_are_inputs_of_the_model(exporter, sizes, tmp_path):
    model = Around(lambda self, xs, h, c: self.a(xs, (h, c)), a=lstm(5, 4, 2))
    inputs = (torch.tensor(XS), torch.randn(2, 3, 4), torch.randn(2, 3, 4))
    report = Report()
    config, params = from_onnx(
        exported(tmp_path / "a.onnx", model, inputs, exporter, sizes), report=report
    )
    assert str(report).count("pass it in the carry of apply") == 4
    carry = tuple(Carry(inputs[2][n].numpy(), inputs[1][n].numpy()) for n in range(2))
    own = jlstm.apply(config, params, carry, XS)[1]
    assert_close(own, wanted_of(model, *inputs), atol=1e-5)


@EACH
@pytest.mark.parametrize(
    "between, how",
    [(torch.relu, r"through \w+, (Reshape, )?Relu"), (lambda ys: ys[..., :4], "Reshape, Slice")],
)
def test_what_no_stack_computes_is_named(between, how, exporter, sizes, tmp_path):
    model = in_a_row(between, bidirectional=True)
    path = exported(tmp_path / "a.onnx", model, (torch.tensor(XS),), exporter, sizes)
    with pytest.raises(ValueError, match=f"choose one by the name of a node.* reads .*{how}"):
        from_onnx(path)
