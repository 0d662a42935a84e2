"""jlstm check."""

import io
import json
import pathlib

import jax
import jax.numpy as jnp
import pytest
from rich.console import Console

import jlstm
from jlstm.check import command, contracts
from jlstm.check.timing import Size
from jlstm.kernels import choice
from tests.examples import mostly_full
from tests.networks import require_kernel

CASES = [(*contract, name) for contract in contracts.CONTRACTS for name in ("cpu", "scan")]
QUICK = (contracts.from_nothing, contracts.masks, contracts.one_step_at_a_time, contracts.refused)


@pytest.mark.parametrize(
    ("contract", "allowed", "name"),
    mostly_full(CASES, default=[c for c in CASES if c[0] in QUICK and c[2] == "cpu"]),
    ids=lambda given: getattr(given, "__name__", given),
)
def test_what_this_machine_has_keeps_its_promises(contract, allowed, name):
    if name == "cpu":
        require_kernel()
    assert contract(name) <= allowed


def swapped(run):
    """An implementation with two gates in the wrong order."""

    def wrong(layer, inputs, **options):
        units = layer.hidden_size
        order = [*range(units, 2 * units), *range(units), *range(2 * units, 4 * units)]
        params = inputs.params._replace(w_h=inputs.params.w_h[..., order])
        return run(layer, inputs._replace(params=params), **options)

    return wrong


def forgetful(run):
    """One that starts from zeros, whatever carry it is given."""

    def wrong(layer, inputs, **options):
        carry = jax.tree.map(jnp.zeros_like, inputs.carry)
        return run(layer, inputs._replace(carry=carry), **options)

    return wrong


def mixing(run):
    """One that adds to each sequence the mean of its batch."""

    def wrong(layer, inputs, **options):
        xs = inputs.xs
        mean = xs.mean(tuple(range(1, xs.ndim - 1)), keepdims=True)
        return run(layer, inputs._replace(xs=xs + mean), **options)

    return wrong


def uniform(run):
    """One whose rule for vmap takes the first member's parameters for all."""

    @jax.custom_batching.custom_vmap
    def same(a):
        return a

    @same.def_vmap
    def first(size, mapped, a):
        return jnp.broadcast_to(a[:1], a.shape), True

    def wrong(layer, inputs, **options):
        params = jax.tree.map(same, inputs.params)
        return run(layer, inputs._replace(params=params), **options)

    return wrong


def without(name):
    """One that does not look at an argument."""

    def deaf(run):
        return lambda layer, inputs, **options: run(
            layer, inputs._replace(**{name: None}), **options
        )

    return deaf


@pytest.fixture
def faulty(request, monkeypatch):
    """The scan with a fault; two of its gates in the wrong order unless a test says otherwise."""
    fault = getattr(request, "param", swapped)
    one = choice.Implementation("faulty", fault(choice.scan.run), lambda *_: None)
    monkeypatch.setattr(choice, "IMPLEMENTATIONS", (one, *choice.IMPLEMENTATIONS))


# They compare it with itself, or ask what no gate has a part in: faults of their own are below.
BLIND = (
    "time_split", "mapped", "from_nothing", "lengths", "masks", "resets", "refused", "undisturbed",
    "divided",
)  # fmt: skip


@pytest.mark.parametrize(
    ("contract", "allowed"),
    mostly_full(
        [(c, a) for c, a in contracts.CONTRACTS if c.__name__ not in BLIND],
        default=[own for own in contracts.CONTRACTS if own[0] is contracts.one_step_at_a_time],
    ),
    ids=lambda given: getattr(given, "__name__", ""),
)
def test_a_gate_in_the_wrong_place_is_found(faulty, contract, allowed):
    assert contract("faulty") > allowed


DEAF = without("valid")
ABOUT = [
    (contracts.time_split, forgetful),
    (contracts.mapped, mixing),
    (contracts.mapped, uniform),
    (contracts.lengths, DEAF),
    (contracts.masks, DEAF),
    (contracts.resets, without("resets")),
    (contracts.divided, mixing),
]


@pytest.mark.parametrize(
    ("contract", "faulty"),
    mostly_full(ABOUT, default=[a for a in ABOUT if a not in (ABOUT[1], ABOUT[3], ABOUT[6])]),
    indirect=["faulty"],
    ids=lambda given: given.__name__,
)
def test_a_fault_that_a_contract_is_about_is_found(faulty, contract):
    assert contract("faulty") > dict(contracts.CONTRACTS)[contract]


def test_an_apply_that_starts_from_elsewhere_is_found(monkeypatch):
    """Where it starts without a carry is no implementation's to say."""
    apply = jlstm.apply

    def elsewhere(config, params, carry, xs, **options):
        if carry is None:
            start = jlstm.initial_carry(config, batch_shape=xs.shape[1:-1])
            carry = jax.tree.map(jnp.ones_like, start)
        return apply(config, params, carry, xs, **options)

    monkeypatch.setattr(jlstm, "apply", elsewhere)
    assert contracts.from_nothing("scan") > 0


def test_an_apply_that_refuses_nothing_is_found(monkeypatch):
    monkeypatch.setattr(jlstm, "apply", lambda *_, **__: None)
    assert contracts.refused("scan") > 0


@pytest.mark.full
def test_calls_that_disturb_each_other_are_found(monkeypatch):
    seen = []

    def run(layer, inputs, **options):
        seen.append(layer)
        carry = jax.tree.map(lambda a: a + len(seen), inputs.carry)
        return choice.scan.run(layer, inputs._replace(carry=carry), **options)

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


@pytest.mark.parametrize(("lacks", "columns"), [((), 2), (("resets",), 3)])
def test_auto_has_a_column_where_it_is_no_other(monkeypatch, lacks, columns):
    fast = choice.Implementation("fast", swapped(choice.scan.run), lambda *_: None, lacks=lacks)
    scan = choice.IMPLEMENTATIONS[-1]
    monkeypatch.setattr(choice, "IMPLEMENTATIONS", (fast, scan))
    seen = command.columns(jlstm.Config.stack(3, [4]))
    assert seen == ["auto", "fast", "scan"][-columns:]


def test_the_command_says_what_failed(faulty, monkeypatch, capsys):
    def breaks(name):
        """4: it breaks."""
        raise RuntimeError(f"{name} has no such operation")

    monkeypatch.setattr(command, "SIZES", (Size(3, 2, 4),))
    monkeypatch.setattr(command, "CONTRACTS", ((breaks, 1e-5), (contracts.time_split, 1e-5)))
    assert not command.run()
    printed = capsys.readouterr()
    assert printed.err.splitlines()[:2] == [
        "contract 4: it breaks.",
        "contract 2: two parts of a sequence, the carry passed on, equal the whole.",
    ]
    shown = " ".join(printed.out.split())
    assert "allowed" in shown and "1e-05" in shown
    assert "Some contracts do NOT hold" in shown and "FAILED" in shown
    assert "tpu is not available here: layer 0: it runs on TPUs only, not on cpu" in shown


def test_as_json_it_is_one_document_with_the_numbers_of_the_tables(faulty, monkeypatch, capsys):
    def breaks(name):
        """4: it breaks."""
        raise RuntimeError(f"{name} has no such operation")

    def endless(name):
        """5: it never ends."""
        return float("inf")

    def picky(name):
        """6: it is picky."""
        raise choice.RefusedError("it takes no resets")

    several = ((breaks, 1e-5), (endless, 1e-5), (picky, 0.0), (contracts.time_split, 1e-5))
    monkeypatch.setattr(command, "SIZES", (Size(3, 2, 4),))
    monkeypatch.setattr(command, "CONTRACTS", several)
    monkeypatch.setattr(command, "columns", lambda _: ["scan"])
    assert not command.run(as_json=True)
    printed = capsys.readouterr()
    assert printed.out.count("\n") == 1 and printed.err.startswith("contract 4: it breaks.\n")
    found = json.loads(printed.out)
    assert (found["contracts_hold"], found["all_timed"]) == (False, True)
    assert {"versions", "devices", "implementations"} <= found.keys()
    told = [(each["held"], each["difference"], each["reason"]) for each in found["contracts"]]
    assert told[:3] == [
        (False, None, "FAILED: RuntimeError: scan has no such operation"),
        (False, None, "FAILED: inf > 1e-05"),
        (True, None, "refused: it takes no resets"),
    ]
    last = found["contracts"][3]
    assert last["held"] and 0 <= last["difference"] <= last["allowed"] == 1e-5
    assert last["contract"].startswith("2: ") and last["implementation"] == "scan"
    assert [each["mode"] for each in found["times"]] == ["forward", "training"]
    assert found["times"][0]["milliseconds"] > 0 and found["times"][0]["hidden_size"] == 4


def test_a_call_that_is_refused_has_not_failed(monkeypatch, capsys):
    """cuDNN takes no resets, which breaks no promise."""
    one = choice.Implementation("picky", choice.scan.run, lambda *_: None, lacks=("resets",))
    monkeypatch.setattr(choice, "IMPLEMENTATIONS", (one, *choice.IMPLEMENTATIONS))
    monkeypatch.setattr(command, "SIZES", ())
    monkeypatch.setattr(command, "CONTRACTS", ((contracts.resets, 1e-5),))
    assert command.run()
    assert "refused" in capsys.readouterr().out


def test_it_names_the_section_that_explains_the_contracts(monkeypatch, capsys):
    """As a link if the terminal and the installation have it; the heading is in the page."""
    monkeypatch.setattr(command, "SIZES", ())
    monkeypatch.setattr(command, "CONTRACTS", ())
    said = "docs/semantics.md#the-contracts explains the contracts by their numbers."
    command.run()
    assert said in capsys.readouterr().out.splitlines() and len(said) <= 80
    page = pathlib.Path(jlstm.__file__).parents[1] / command.PAGE
    assert "## " + command.SECTION.replace("-", " ").capitalize() in page.read_text()

    shown = Console(force_terminal=True, width=40, file=io.StringIO())
    shown.print(command._explanation(), soft_wrap=True)
    assert f";{page.as_uri()}\x1b" in shown.file.getvalue()
    monkeypatch.setattr(jlstm, "__file__", "/site-packages/jlstm/__init__.py")
    shown.file.truncate(0)
    shown.print(command._explanation(), soft_wrap=True)
    assert shown.file.getvalue().strip("\0\n") == said
