"""torch LSTMs that store another form of a weight: weight dropout, weight norm, pruning."""

import re

import numpy as np
import pytest

from jlstm.interop import Report, from_torch
from tests.interop.frameworks import assert_close, assert_same, run

torch = pytest.importorskip("torch")
prune = pytest.importorskip("torch.nn.utils.prune")

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")

U = torch.nn.utils
P = U.parametrizations


def xs_of(inputs=5):
    return np.random.default_rng(0).normal(size=(6, 2, inputs)).astype("float32")


def outputs(module, xs):
    module.eval()
    return module(torch.tensor(xs))[0].detach().numpy()


def assert_gives(source, wanted, xs, **options):
    """What the converted source gives; returns the report."""
    config, params = from_torch(source, report=(report := Report()), **options)
    assert_close(run(config, params, xs)[1], wanted, atol=1e-5)
    return str(report)


def dropped(weight):
    return torch.nn.functional.dropout(weight, 0.5)


@pytest.mark.parametrize("copied", [True, False])
@pytest.mark.parametrize("inner", ["module.", "lstm.", ""])
def test_weight_dropout(inner, copied, tmp_path):
    """The names of fastai, of other wrappers, and of old fastai (0.7), which has one level."""
    torch.manual_seed(0)
    lstm = torch.nn.LSTM(5, 4, 2, bidirectional=True)
    names = ("weight_hh_l0", "weight_hh_l1_reverse", "weight_ih_l1", "bias_hh_l0")
    state = {f"1.rnns.0.{inner}{name}": a for name, a in lstm.state_dict().items()}
    for name in names:
        raw = state.pop(f"1.rnns.0.{inner}{name}")
        state[f"1.rnns.0.{name}_raw"] = raw
        if copied:
            state[f"1.rnns.0.{inner}{name}"] = dropped(raw)
    state["1.encoder.weight"] = torch.zeros(3, 3)
    xs = xs_of()
    report = assert_gives(state, outputs(lstm, xs), xs)
    for name in names:
        assert f"1.rnns.0.{name}_raw, the weight that weight dropout trains" in report
    assert ("a copy that weight dropout makes" in report) == copied
    torch.save(state, tmp_path / "a.pt")
    assert_gives(tmp_path / "a.pt", outputs(lstm, xs), xs)


@pytest.mark.parametrize("inner", ["", "module."])
def test_weight_dropout_of_the_only_names(inner):
    """The raw input weight alone tells where the LSTM is, or a wrapper is all of the state."""
    lstm, xs = torch.nn.LSTM(5, 4), xs_of()
    state = {f"{inner}{name}": a for name, a in lstm.state_dict().items()}
    for name in ("weight_ih_l0", "weight_hh_l0"):
        state[f"{name}_raw"] = state.pop(f"{inner}{name}")
    assert_gives(state, outputs(lstm, xs), xs)


def test_weight_dropout_of_each_of_several_lstms():
    made = {f"rnns.{n}": torch.nn.LSTM(5, 4) for n in range(2)}
    state, xs = {}, xs_of()
    for above, lstm in made.items():
        own = lstm.state_dict()
        state |= {f"{above}.module.{name}": dropped(a) for name, a in own.items()}
        state |= {f"{above}.{name}_raw": a for name, a in own.items()}
    for above, lstm in made.items():
        for prefix in (above, f"{above}.module"):
            assert_gives(state, outputs(lstm, xs), xs, prefix=prefix)


def test_a_weight_that_could_belong_to_several_lstms_is_refused():
    lstm = torch.nn.LSTM(5, 4).state_dict()
    state = {f"a.{n}.{name}": a for n in "xy" for name, a in lstm.items()}
    state["a.weight_hh_l0_raw"] = state["a.x.weight_hh_l0"]
    with pytest.raises(ValueError, match=r"a\.weight_hh_l0_raw could belong to each of.*a\.x\."):
        from_torch(state, prefix="a.x")


def test_a_cell_under_weight_dropout():
    cell, x = torch.nn.LSTMCell(5, 4), xs_of()[:1]
    state = {f"module.{name}": a for name, a in cell.state_dict().items()}
    state["weight_hh_raw"] = state.pop("module.weight_hh")
    assert_gives(state, cell(torch.tensor(x[0]))[0].detach().numpy()[None], x)


COMPUTED = {
    "weight norm": (P.weight_norm, "weight_hh_l1", {}),
    "weight norm of columns": (P.weight_norm, "weight_hh_l0", {"dim": 1}),
    "weight norm of a whole": (P.weight_norm, "weight_ih_l0", {"dim": None}),
    "weight norm of a bias": (P.weight_norm, "bias_hh_l0", {}),
    "weight norm of a projection": (P.weight_norm, "weight_hr_l0", {}),
    "weight norm of old": (U.weight_norm, "weight_hh_l1", {}),
    "weight norm of old, columns": (U.weight_norm, "weight_ih_l0", {"dim": 1}),
    "weight norm of old, whole": (U.weight_norm, "weight_hh_l0", {"dim": None}),
    "pruning": (prune.l1_unstructured, "weight_hh_l0", {"amount": 0.5}),
    "pruning of rows": (prune.random_structured, "weight_ih_l1", {"amount": 0.5, "dim": 0}),
    "pruning of a bias": (prune.l1_unstructured, "bias_ih_l0", {"amount": 0.5}),
}


def made(form, kind=torch.nn.LSTM):
    make, weight, options = form
    torch.manual_seed(0)
    module = kind(5, 4, 2, proj_size=3) if kind is torch.nn.LSTM else kind(5, 4)
    weight = weight if kind is torch.nn.LSTM else re.sub(r"_l\d", "", weight)
    make(module, weight, **options)
    with torch.no_grad():  # the norm is no longer that of the weight
        for name, parameter in module.named_parameters():
            if name.endswith(("_g", "original0")):
                parameter.copy_(torch.rand_like(parameter) + 0.5)
    return module, weight


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize("form", COMPUTED)
def test_weights_that_are_computed_exactly(form, tmp_path):
    module, weight = made(COMPUTED[form])
    xs = xs_of()
    before = from_torch(module)[1]  # not yet run since the norm changed
    wanted = outputs(module, xs)
    torch.save(module.state_dict(), tmp_path / "a.pt")
    for source in (module, {"model": module.state_dict()}, tmp_path / "a.pt"):
        report = assert_gives(source, wanted, xs)
        assert f"{weight} was " in report
        assert ("pruned" if "pruning" in form else "weight norm") in report
    assert_same(before, from_torch(module)[1])


class Scaled(torch.nn.Module):
    """A parametrization of two tensors, with the names and shapes of weight norm."""

    def forward(self, a, b):
        return a * b

    def right_inverse(self, weight):
        return torch.full((len(weight), 1), 2.0), weight / 2


def test_a_state_dict_that_may_be_of_another_parametrization_is_reported(tmp_path):
    module, xs = torch.nn.LSTM(5, 4), xs_of()
    P.weight_norm(module, "weight_hh_l0")
    wanted, words = outputs(module, xs), "weight_hh_l0: read as under weight norm, going by names"
    torch.save(module.state_dict(), tmp_path / "a.pt")
    for source in (module.state_dict(), tmp_path / "a.pt"):
        assert words in assert_gives(source, wanted, xs)
    assert words not in assert_gives(module, wanted, xs)
    module = torch.nn.LSTM(5, 4)
    U.parametrize.register_parametrization(module, "weight_hh_l0", Scaled())
    from_torch(module.state_dict(), report=(report := Report()))
    assert words in str(report)
    with pytest.raises(ValueError, match="Scaled: weight_hh_l0 is stored in another form"):
        from_torch(module)


@pytest.mark.parametrize("form", ["weight norm", "weight norm of old", "pruning"])
def test_weights_of_cells_that_are_computed_exactly(form):
    cell, _ = made(COMPUTED[form], torch.nn.LSTMCell)
    x = xs_of()[:1]
    assert_gives(cell, cell(torch.tensor(x[0]))[0].detach().numpy()[None], x)


@pytest.mark.parametrize("form", ["weight norm of columns", "pruning"])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_the_dtype_of_a_computed_weight(form, dtype):
    module = torch.nn.LSTM(5, 4).to(getattr(torch, dtype))
    make, weight, options = COMPUTED[form]
    make(module, weight, **options)
    found = np.asarray(from_torch(module)[1].layers[0].w_h, "float32").T
    wanted = getattr(module, weight).detach().float().numpy()
    np.testing.assert_allclose(found, wanted, rtol=1e-2)


def test_a_weight_norm_of_another_shape_is_refused():
    state = made(COMPUTED["weight norm of old"])[0].state_dict()
    for shape in ((5, 1), (16, 3), (1, 1), (3,)):
        with pytest.raises(ValueError, match=r"weight_hh_l1_g has shape .*; expected one norm, or"):
            from_torch({**state, "weight_hh_l1_g": torch.ones(shape)})
    state = made(COMPUTED["pruning"])[0].state_dict()
    with pytest.raises(ValueError, match=r"weight_hh_l0_mask has shape \[16, 1\]; expected that"):
        from_torch({**state, "weight_hh_l0_mask": torch.ones(16, 1)})


@pytest.mark.parametrize("dtype", ["int32", "complex64", "float8_e4m3fn"])
@pytest.mark.parametrize("form", ["_g", "_v", "_orig", "_mask", ""])
def test_weights_of_other_dtypes_are_refused(dtype, form):
    weight = "weight_hh_l0"
    state = dict(torch.nn.LSTM(5, 4).state_dict())
    if form:
        other = {"_g": "_v", "_v": "_g", "_orig": "_mask", "_mask": "_orig"}[form]
        state[f"{weight}{other}"] = torch.ones(16, 1 if other == "_g" else 4)
        state[f"{weight}{form}"] = torch.ones(16, 1 if form == "_g" else 4)
        del state[weight]
    state[f"{weight}{form}"] = state[f"{weight}{form}"].to(getattr(torch, dtype))
    if form == "_mask" and dtype != "complex64":
        from_torch(state)
        return
    with pytest.raises(ValueError, match=rf"{weight}{form} has the dtype torch\.{dtype}; expected"):
        from_torch(state)


class Halved(torch.nn.Module):
    def forward(self, x):
        return x / 2


def halved_weight_norm(module, weight):
    P.weight_norm(module, weight)
    U.parametrize.register_parametrization(module, weight, Halved(), unsafe=True)


def pruned_weight_norm(module, weight):
    U.weight_norm(module, weight)
    prune.l1_unstructured(module, f"{weight}_v", 0.5)


REFUSED = {
    "spectral norm": P.spectral_norm,
    "spectral norm of old": U.spectral_norm,
    "orthogonal": P.orthogonal,
    "another one": lambda m, w: U.parametrize.register_parametrization(m, w, Halved()),
    "after a weight norm": halved_weight_norm,
}


@pytest.mark.parametrize("form", REFUSED)
@pytest.mark.parametrize("weight", ["weight_hh_l0", "weight_ih_l0"])
def test_the_advice_of_a_refusal_works(form, weight):
    torch.manual_seed(0)
    module, xs = torch.nn.LSTM(5, 4), xs_of()
    REFUSED[form](module, weight)
    wanted = outputs(module, xs)
    module.train()
    with pytest.raises(ValueError, match=f"{weight} is stored in another form") as refusal:
        from_torch(module)
    if form != "after a weight norm":  # in a state dict it has the names of a weight norm alone
        for source in (module.state_dict(), {"model": module.state_dict()}):
            with pytest.raises(ValueError, match=f"{weight} is stored in another form"):
                from_torch(source)
    eval(re.search(r"call (.*); then", str(refusal.value))[1])
    assert_gives(module, wanted, xs)


def test_a_form_of_a_form_is_refused():
    module = torch.nn.LSTM(5, 4)
    pruned_weight_norm(module, "weight_ih_l0")
    with pytest.raises(ValueError, match=r"weight_ih_l0_v_mask.*remove_weight_norm, .*prune"):
        from_torch(module)
