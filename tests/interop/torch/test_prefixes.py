"""Which LSTM of a state dict, or which stack of several, is read."""

import itertools

import numpy as np
import pytest

from jlstm.interop import Report, from_torch
from tests.interop.frameworks import assert_close, assert_same, run

torch = pytest.importorskip("torch")


def test_files_and_prefixes(tmp_path):
    whole = torch.nn.ModuleDict({"a": torch.nn.LSTM(5, 4), "b": torch.nn.LSTM(3, 2)})
    torch.save(whole.state_dict(), tmp_path / "whole.pt")
    with pytest.raises(ValueError, match=r"several LSTMs; choose one.*\['a\.', 'b\.'\]"):
        from_torch(tmp_path / "whole.pt")
    _, params = from_torch(tmp_path / "whole.pt", prefix="b.")
    assert_same(params, from_torch(whole["b"])[1])
    with pytest.raises(ValueError, match=r"no LSTM has the prefix 'c\.'"):
        from_torch(whole.state_dict(), prefix="c.")


def test_other_tensors_of_a_state_dict_are_reported(tmp_path):
    state = {f"rnn.{name}": a for name, a in torch.nn.LSTM(5, 4).state_dict().items()}
    from_torch(state, report=(report := Report()))
    assert "left out" not in str(report)
    state |= {f"head.{n}": torch.zeros(2) for n in range(9)} | {"epoch": 3}
    state |= {f"other.{name}": a for name, a in torch.nn.LSTM(5, 4).state_dict().items()}
    torch.save({"model": state}, tmp_path / "a.pt")
    words = "left out, as no weights of the converted LSTM: {0}head.0, {0}head.1, {0}head.2, "
    for source, above in ((state, ""), (tmp_path / "a.pt", "model.")):
        from_torch(source, prefix=f"{above}rnn", report=(report := Report()))
        assert words.format(above) in str(report)
        assert str(report).count(" and 5 more") == 1
    from_torch({**torch.nn.LSTM(5, 4).state_dict(), "a\x1b[31m": torch.zeros(2)}, report=report)
    assert "converted LSTM: a\\x1b[31m" in str(report)


def cycled():
    state = torch.nn.LSTM(5, 4).state_dict()
    made = {"state_dict": dict(state), "step": 3, 7: "a number as a name"}
    made["again"] = made
    return made


def test_an_lstm_within_a_mapping_is_found():
    own = torch.nn.LSTM(5, 4)
    wanted = from_torch(own)[1]
    for state in ({"model": own.state_dict()}, {"a": {"b": own.state_dict()}, "epoch": 3}):
        assert_same(from_torch(state)[1], wanted)
    both = {"model": own.state_dict(), "average": torch.nn.LSTM(5, 4).state_dict()}
    with pytest.raises(ValueError, match=r"several LSTMs; choose one.*'average\.', 'model\.'"):
        from_torch(both)
    for prefix in ("model.", "model"):
        assert_same(from_torch(both, prefix=prefix)[1], wanted)
    with pytest.raises(ValueError, match="several LSTMs"):
        from_torch(cycled())


@pytest.mark.parametrize("nested_first", [False, True])
@pytest.mark.parametrize("weight", ["weight_hh_l0", "bias_ih_l0", "weight_ih_l0"])
def test_two_weights_of_one_name_are_refused(weight, nested_first):
    own = torch.nn.LSTM(5, 4).state_dict()
    one = {f"a.b.{name}": value for name, value in own.items()}
    other = {"a": {"b": {weight: torch.zeros_like(own[weight])}}}
    with pytest.raises(ValueError, match=rf"the state dict holds a\.b\.{weight} twice"):
        from_torch({**other, **one} if nested_first else {**one, **other})
    from_torch({**one, "a": {"b": {weight: one[f"a.b.{weight}"]}}})  # the same tensor
    from_torch({**one, "a.note": 1, "a": {"note": 2}})


def stacked(kind, sizes, **options):
    """A ModuleList of single layers, and what it gives."""
    torch.manual_seed(0)
    made = torch.nn.ModuleList(kind(i, h, **options) for i, h in itertools.pairwise(sizes))
    xs = np.random.default_rng(0).normal(size=(6, 2, sizes[0])).astype("float32")
    ys = torch.tensor(xs)
    for own in made:
        if kind is torch.nn.LSTM:
            ys = own(ys)[0]
        else:
            state, steps = None, []
            for x in ys:
                state = own(x, state)
                steps.append(state[0])
            ys = torch.stack(steps)
    return made, xs, ys.detach().numpy()


@pytest.mark.parametrize("kind", [torch.nn.LSTM, torch.nn.LSTMCell])
@pytest.mark.parametrize("bias", [True, False])
def test_a_list_of_prefixes_is_a_stack(kind, bias, tmp_path):
    module, xs, wanted = stacked(kind, [5, 4, 3, 3], bias=bias)
    torch.save({"rnns": module.state_dict()}, tmp_path / "a.pt")
    chosen = ["rnns.0", "rnns.1.", "rnns.2"]
    for source in ({"rnns": module.state_dict()}, tmp_path / "a.pt"):
        with pytest.raises(ValueError, match=r"'rnns\.2\.'\]. If they form one stack, pass a list"):
            from_torch(source)
        config, params = from_torch(source, prefix=chosen, report=(report := Report()))
        assert_close(run(config, params, xs)[1], wanted, atol=1e-5)
        assert "the 3 LSTMs rnns.0, rnns.1, rnns.2 were stacked, lowest first" in str(report)
    only = from_torch(tmp_path / "a.pt", prefix=("rnns.1",))
    assert_same(only[1], from_torch(module[1])[1])


def test_a_stack_of_stacks_in_both_directions():
    torch.manual_seed(0)
    lower, upper = torch.nn.LSTM(5, 4, 2, bidirectional=True), torch.nn.LSTM(8, 3, 2)
    xs = np.random.default_rng(0).normal(size=(6, 2, 5)).astype("float32")
    wanted = upper(lower(torch.tensor(xs))[0])[0].detach().numpy()
    state = torch.nn.ModuleDict({"a": lower, "b": upper}).state_dict()
    assert_close(run(*from_torch(state, prefix=["a", "b"]), xs)[1], wanted, atol=1e-5)
    with pytest.raises(ValueError, match=r"layer 0 of 'a\.' reads 5 features"):
        from_torch(state, prefix=["b", "a"])


@pytest.mark.parametrize(
    ("prefix", "error", "words"),
    [
        ([], ValueError, "prefix is an empty list"),
        (3, TypeError, "prefix is 3; expected a string"),
        (["a", None], TypeError, r"prefix is \['a', None\]"),
        (["a", "a."], ValueError, r"an LSTM twice: \['a\.', 'a\.'\]"),
        (["a", "c"], ValueError, "no LSTM has the prefix 'c'"),
        ("x", ValueError, r"several LSTMs have the prefix 'x'; .* \['x\.e\.', 'x\.f\.'\]"),
    ],
)
def test_prefixes_that_choose_nothing(prefix, error, words):
    state = {name: torch.nn.LSTM(5, 5).state_dict() for name in ("a", "b", "x.e", "x.f")}
    with pytest.raises(error, match=words):
        from_torch(state, prefix=prefix)


def test_a_prefix_may_be_that_of_the_module_around_the_only_lstm():
    state = {f"{name}.module": torch.nn.LSTM(5, 5).state_dict() for name in ("a", "b")}
    wanted = from_torch(state["b.module"])[1]
    for prefix in ("b", "b.", "b.module", ["b"]):
        assert_same(from_torch(state, prefix=prefix)[1], wanted)
