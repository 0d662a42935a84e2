"""Weights to and from PyTorch."""

import itertools

import jax
import numpy as np
import pytest
from hypothesis import given

import jlstm
from jlstm import Carry, Config, Layer
from jlstm.interop import Report, from_torch, to_torch
from tests.examples import mostly_full
from tests.interop.frameworks import (
    assert_close,
    assert_goes_there_and_back,
    assert_same,
    halved,
    input_slope,
    networks,
    random_networks,
    run,
    weights_for,
)

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections")

ANY = networks(alike=True, both=True, bias=(True, False), projection_size=(None, True))


def in_torch(module, xs):
    """Outputs, last carry and the gradient of the outputs' weighted sum for the input."""
    xs = torch.tensor(xs, requires_grad=True)
    ys, (h, c) = module(xs)
    (ys * torch.tensor(weights_for(ys.shape))).sum().backward()
    ways = 2 if module.bidirectional else 1
    h, c = (a.detach().numpy().reshape(-1, ways, *a.shape[1:]) for a in (h, c))
    carry = tuple(Carry(*(a[n] if ways == 2 else a[n, 0] for a in (c, h))) for n in range(len(c)))
    return (carry, ys.detach().numpy()), xs.grad.numpy()


def assert_agrees(config, params, module, xs):
    wanted, slope = in_torch(module, xs)
    assert_close(run(config, params, xs), wanted, atol=1e-5)
    assert_close(input_slope(config, params, xs), slope, atol=1e-5)


@given(ANY)
@random_networks
def test_networks_go_there_and_back_bit_for_bit(call):
    assert_goes_there_and_back(call, to_torch, from_torch)


@pytest.mark.full
@given(ANY)
@random_networks
def test_torch_gives_what_a_network_gives(call):
    call = halved(call)
    assert_agrees(call.config, call.params, to_torch(call.config, call.params), call.xs)


@pytest.mark.parametrize(
    ("layers", "bidirectional", "proj_size", "bias"),
    mostly_full(
        list(itertools.product([1, 2, 3], [False, True], [0, 3], [True, False])),
        default=[(1, False, 0, False), (2, True, 3, True)],
    ),
)
def test_torchs_own_weights_give_what_torch_gives(layers, bidirectional, proj_size, bias):
    torch.manual_seed(0)
    module = torch.nn.LSTM(
        5, 4, layers, bias=bias, bidirectional=bidirectional, proj_size=proj_size
    )
    xs = np.random.default_rng(0).normal(size=(6, 2, 5)).astype("float32")
    report = Report()
    assert_agrees(*from_torch(module, report=report), module, xs)
    assert ("summed" in str(report)) == bias
    assert_agrees(*from_torch(module.state_dict()), module, xs)


def test_a_cell():
    torch.manual_seed(0)
    cell = torch.nn.LSTMCell(5, 4)
    x = np.random.default_rng(0).normal(size=(2, 5)).astype("float32")
    h, c = cell(torch.tensor(x))
    config, params = from_torch(cell)
    (carry,), y = jlstm.step(config, params, None, x)
    assert_close((carry.c, y), (c.detach().numpy(), h.detach().numpy()), atol=1e-6)


def test_batch_first_and_dropout():
    report = Report()
    module = torch.nn.LSTM(5, 4, 2, batch_first=True, dropout=0.25)
    config, params = from_torch(module, report=report)
    assert "time_major=False" in str(report)
    assert [layer.dropout for layer in config.layers] == [0.0, 0.25]
    back = to_torch(config, params, batch_first=True)
    assert (back.dropout, back.batch_first) == (0.25, True)


@pytest.mark.parametrize("dtype", ["float64", "bfloat16", "float16"])
def test_other_number_formats(dtype):
    module = torch.nn.LSTM(5, 4).to(getattr(torch, dtype))
    if dtype == "float64":
        with pytest.raises(ValueError, match="jax_enable_x64"):
            from_torch(module)
        return
    config, params = from_torch(module)
    assert params.layers[0].w_x.dtype == ("float32" if dtype == "float16" else "bfloat16")
    wanted = module.weight_ih_l0.detach().float().numpy().T
    np.testing.assert_array_equal(np.asarray(params.layers[0].w_x, "float32"), wanted)
    if dtype == "bfloat16":
        assert to_torch(config, params).weight_hh_l0.dtype == torch.bfloat16


@pytest.mark.parametrize(
    "layers, named",
    [
        ((Layer(4, peepholes=True),), "peepholes"),
        ((Layer(4, cell_clip=1.0),), "cell_clip"),
        ((Layer(4, activation="relu"),), "activation"),
        ((Layer(4, bidirectional=True, merge="sum"),), "merge"),
        ((Layer(4), Layer(5)), "hidden_size"),
        ((Layer(4, reverse=True),), "reverse"),
        ((Layer(4, zoneout_h=0.1),), "zoneout_h"),
    ],
)
def test_what_torch_lacks_is_refused_by_name(layers, named):
    config = Config(6, layers)
    with pytest.raises(ValueError, match=named):
        to_torch(config, jlstm.init(jax.random.key(0), config))


def test_what_acts_in_training_alone_is_left_out_and_reported():
    config = Config.stack(6, [4], weight_dropout=0.5)
    report = Report()
    to_torch(config, jlstm.init(jax.random.key(0), config), report=report)
    assert "weight_dropout=0.5 was left out: it acts only in training" in str(report)


def test_wrong_sources():
    with pytest.raises(TypeError, match=r"expected a torch\.nn\.LSTM"):
        from_torch(torch.nn.Linear(3, 4))
    with pytest.raises(ValueError, match="no LSTM"):
        from_torch(torch.nn.Linear(3, 4).state_dict())
    state = torch.nn.LSTM(5, 4).state_dict()
    with pytest.raises(ValueError, match="recurrent weight has shape"):
        from_torch({**state, "weight_hh_l0": torch.zeros(20, 4)})
    with pytest.raises(ValueError, match="bias"):
        from_torch({**state, "bias_ih_l0": torch.zeros(12)})


def state(**changed):
    return dict(torch.nn.LSTM(5, 4).state_dict()) | changed


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (lambda: torch.nn.GRU(5, 4).state_dict(), "a GRU's, not an LSTM's"),
        (lambda: torch.nn.RNN(5, 4).state_dict(), "a plain RNN's, not an LSTM's"),
        (lambda: torch.nn.LSTM(5, 4, device="meta"), "expected a dense tensor"),
        (lambda: state(weight_ih_l0=torch.tensor(1.0)), r"weight_ih_l0 has shape \[\]"),
        (lambda: state(bias_ih_l0=torch.tensor(1.0)), "expected one shape"),
        (lambda: state(weight_hh_l0=torch.zeros(16, 4).to_sparse()), "expected a dense tensor"),
    ],
)
def test_weights_of_other_things_are_refused(given, words):
    with pytest.raises(ValueError, match=words):
        from_torch(given())


def test_a_whole_module_in_a_file_is_refused_with_advice(tmp_path):
    torch.save(torch.nn.LSTM(5, 4), tmp_path / "a.pt")
    with pytest.raises(ValueError, match=r"holds an object of torch\.nn.*code is not run"):
        from_torch(tmp_path / "a.pt")


def test_arguments_in_the_wrong_order():
    config = Config.stack(5, [4])
    with pytest.raises(TypeError, match="Config"):
        to_torch(jlstm.init(jax.random.key(0), config), config)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("proj_size", [0, 3])
@pytest.mark.parametrize("layers", [2, 3])
def test_each_missing_weight_is_named(layers, proj_size, bidirectional):
    module = torch.nn.LSTM(5, 4, layers, proj_size=proj_size, bidirectional=bidirectional)
    whole = module.state_dict()
    for name in whole:
        with pytest.raises(ValueError, match=f"{name} is missing"):
            from_torch({other: a for other, a in whole.items() if other != name})


def test_a_module_whose_weight_another_holds_is_refused_with_advice():
    lstm = torch.nn.LSTM(5, 4)
    raw = lstm.weight_hh_l0
    del lstm._parameters["weight_hh_l0"]  # as weight dropout does
    lstm.weight_hh_l0 = raw.data
    with pytest.raises(ValueError, match=r"weight_hh_l0 is missing.*under weight dropout"):
        from_torch(lstm)


def test_biases_of_some_layers_alone_are_refused():
    whole = torch.nn.LSTM(5, 4, 2).state_dict()
    without = {name: a for name, a in whole.items() if name not in ("bias_ih_l1", "bias_hh_l1")}
    with pytest.raises(ValueError, match="bias_ih_l1 is missing"):
        from_torch(without)


def test_a_cell_beside_layers_is_refused():
    cell = torch.nn.LSTMCell(5, 4).state_dict()
    with pytest.raises(ValueError, match=r"weight_ih_l0.*a plain torch\.nn\.LSTMCell"):
        from_torch({**cell, **torch.nn.LSTM(5, 4).state_dict()})


def test_a_class_with_a_forward_of_its_own_is_refused():
    class Own(torch.nn.LSTM):
        def forward(self, *given):
            return super().forward(*given)

    class Same(torch.nn.LSTM):
        pass

    class Called(torch.nn.LSTM):
        def __call__(self, *given):
            return super().__call__(*given)

    for kind, name in ((Own, "forward"), (Called, "__call__")):
        with pytest.raises(TypeError, match=rf"{kind.__name__} overrides {name}.*state_dict"):
            from_torch(kind(5, 4))
        from_torch(kind(5, 4).state_dict())
    from_torch(Same(5, 4))


def forward_of_its_own(module):
    plain = module.forward
    module.forward = lambda *given: plain(*(2 * a for a in given))


CHANGES = {
    "has a forward hook, doubled": lambda module, doubled: module.register_forward_hook(doubled),
    "has a forward pre-hook, doubled": lambda module, doubled: module.register_forward_pre_hook(
        doubled
    ),
    "has forward replaced": lambda module, _: forward_of_its_own(module),
}


@pytest.mark.parametrize("words", CHANGES)
@pytest.mark.parametrize("kind", [torch.nn.LSTM, torch.nn.LSTMCell])
@pytest.mark.parametrize("normed", [False, True])
def test_a_module_that_computes_something_else_is_refused(kind, words, normed):
    def doubled(*given):
        pass

    doubled.__qualname__ = "doubled"
    module = kind(5, 4)
    if normed:
        weight = "weight_hh_l0" if kind is torch.nn.LSTM else "weight_hh"
        torch.nn.utils.parametrizations.weight_norm(module, weight)
    wanted = from_torch(module)
    CHANGES[words](module, doubled)
    words += rf", so it may compute.*than torch\.nn\.{kind.__name__}; pass its state_dict"
    with pytest.raises(TypeError, match=words):
        from_torch(module)
    found = from_torch(module.state_dict())
    assert found[0] == wanted[0]
    assert_same(found[1], wanted[1])


@pytest.mark.parametrize("other", ["sparse", "meta"])
def test_tensors_beside_an_lstm_may_be_of_any_kind(other, tmp_path):
    kinds = {"sparse": torch.eye(3).to_sparse(), "meta": torch.zeros(3, device="meta")}
    own = torch.nn.LSTM(5, 4)
    torch.save({"model": own.state_dict(), "other": kinds[other]}, tmp_path / "a.pt")
    assert_same(from_torch(tmp_path / "a.pt")[1], from_torch(own)[1])
