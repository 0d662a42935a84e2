"""Which implementation serves: contract 10."""

import jax.numpy as jnp
import pytest

import jlstm
from jlstm import Config, Layer
from jlstm.kernels import choice
from tests.networks import make_call

CONFIG = Config(3, (Layer(4), Layer(5, bidirectional=True)))


@pytest.fixture
def picky(monkeypatch):
    """An implementation ahead of the scan that serves no bidirectional layer."""
    calls = []

    def run(*args, **options):
        calls.append(options)
        return choice.scan.run(*args, **options)

    def refusal(layer, dtype, platform):
        return "it runs in one direction only" if layer.bidirectional else None

    ahead = (choice.Implementation("picky", run, refusal), *choice.IMPLEMENTATIONS)
    monkeypatch.setattr(choice, "IMPLEMENTATIONS", ahead)
    return calls


def run(config, **options):
    call = make_call(config, 5, (2,), 0)
    return jlstm.apply(call.config, call.params, call.carry, call.xs, **options)


def test_the_scan_serves_everything_everywhere():
    for platform in ("cpu", "cuda", "rocm", "tpu"):
        assert ("scan", True, "") in jlstm.implementations(CONFIG, platform)


def test_auto_picks_the_fastest_that_serves_for_each_layer(picky):
    """Contract 10."""
    run(Config.stack(3, [4]))
    assert len(picky) == 1
    run(CONFIG)
    assert len(picky) == 2
    run(Config.stack(3, [6]), implementation="scan")
    assert len(picky) == 2


def test_what_refuses_says_why(picky):
    """Contract 10."""
    reason = "layer 1: it runs in one direction only"
    assert jlstm.implementations(CONFIG)[0] == ("picky", False, reason)
    with pytest.raises(ValueError, match=f"'picky' does not support.*{reason}"):
        run(CONFIG, implementation="picky")


def test_an_unknown_implementation_is_refused_by_name():
    with pytest.raises(ValueError, match="did you mean 'scan'"):
        run(CONFIG, implementation="scam")
    with pytest.raises(ValueError, match='expected "cuda" or "rocm"'):
        jlstm.implementations(CONFIG, "gpu")


def test_a_single_layer_chooses_too():
    params = jlstm.LayerParams(jnp.ones((3, 16)), jnp.ones((4, 16)))
    with pytest.raises(ValueError, match="did you mean 'scan'"):
        jlstm.lstm(params, None, jnp.ones((5, 3)), implementation="scam")


@pytest.mark.parametrize(
    ("name", "named"), [("gpu", "cudnn"), ("cuda", "cudnn"), ("pallas", "tpu"), ("xla", "scan")]
)
def test_other_names_of_implementations_are_answered_with_the_name_here(name, named):
    """Contract 12."""
    with pytest.raises(ValueError, match=f'"{named}"$'):
        choice.choose(name, CONFIG.layers, "float32")
