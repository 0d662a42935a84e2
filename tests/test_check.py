"""jlstm check."""

import jax
import pytest

import jlstm
from jlstm.check import command, contracts
from jlstm.kernels import choice
from tests.networks import require_kernel


@pytest.mark.parametrize("name", ["cpu", "scan"])
@pytest.mark.parametrize(
    ("contract", "allowed"), contracts.CONTRACTS, ids=[c.__name__ for c, _ in contracts.CONTRACTS]
)
def test_what_this_machine_has_keeps_its_promises(contract, allowed, name):
    if name == "cpu":
        require_kernel()
    assert contract(name) <= allowed


def swapped(run):
    """An implementation with two gates in the wrong order."""

    def wrong(layer, params, *args, **options):
        units = layer.hidden_size
        order = [*range(units, 2 * units), *range(units), *range(2 * units, 4 * units)]
        params = params._replace(w_h=params.w_h[..., order])
        return run(layer, params, *args, **options)

    return wrong


@pytest.fixture
def faulty(monkeypatch):
    one = choice.Implementation("faulty", swapped(choice.scan.run), lambda *_: None)
    monkeypatch.setattr(choice, "IMPLEMENTATIONS", (one, *choice.IMPLEMENTATIONS))


# They compare it with itself, or ask what no gate has a part in.
BLIND = (
    "time_split", "mapped", "from_nothing", "lengths", "resets", "chosen", "refused",
    "undisturbed", "divided",
)  # fmt: skip


@pytest.mark.parametrize(
    ("contract", "allowed"),
    [(c, a) for c, a in contracts.CONTRACTS if c.__name__ not in BLIND],
    ids=lambda given: getattr(given, "__name__", ""),
)
def test_a_gate_in_the_wrong_place_is_found(faulty, contract, allowed):
    assert contract("faulty") > allowed


def test_calls_that_disturb_each_other_are_found(monkeypatch):
    seen = []

    def run(layer, params, carry, *args, **options):
        seen.append(layer)
        return choice.scan.run(
            layer, params, jax.tree.map(lambda a: a + len(seen), carry), *args, **options
        )

    one = choice.Implementation("leaky", run, lambda *_: None)
    monkeypatch.setattr(choice, "IMPLEMENTATIONS", (one, *choice.IMPLEMENTATIONS))
    with jax.disable_jit():
        assert contracts.undisturbed("leaky") > 0


def test_one_that_serves_what_it_says_it_does_not_is_found(monkeypatch):
    one = choice.Implementation("vain", choice.scan.run, lambda *_: None)
    monkeypatch.setattr(choice, "IMPLEMENTATIONS", (one, *choice.IMPLEMENTATIONS))
    shy = ("vain", False, "it is shy")
    monkeypatch.setattr(jlstm, "implementations", lambda config: [shy])
    assert contracts.chosen("vain") > 0


def test_the_command_says_what_failed(faulty, monkeypatch, capsys):
    def breaks(name):
        """4: it breaks."""
        raise RuntimeError(f"{name} has no such operation")

    monkeypatch.setattr(command, "SIZES", ((3, 2, 4),))
    monkeypatch.setattr(command, "CONTRACTS", ((breaks, 1e-5), (contracts.time_split, 1e-5)))
    assert not command.run()
    shown = " ".join(capsys.readouterr().out.split())
    assert "Some contracts do NOT hold" in shown and "FAILED" in shown
    assert "tpu does not serve here: layer 0: it serves TPUs only, not cpu" in shown


def test_a_call_that_is_refused_has_not_failed(monkeypatch, capsys):
    """cuDNN takes no resets, which breaks no promise."""
    one = choice.Implementation("picky", choice.scan.run, lambda *_: None, lacks=("resets",))
    monkeypatch.setattr(choice, "IMPLEMENTATIONS", (one, *choice.IMPLEMENTATIONS))
    monkeypatch.setattr(command, "SIZES", ())
    monkeypatch.setattr(command, "CONTRACTS", ((contracts.resets, 1e-5),))
    assert command.run()
    assert "refused" in capsys.readouterr().out
