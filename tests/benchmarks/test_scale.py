"""What a step of training sends over the network: the gradients, once."""

import pathlib

import jax
import pytest

from jlstm import Config, Layer
from tests.examples import mostly_full

SCALE = pathlib.Path(__file__).parents[2] / "benchmarks" / "scale"
SUMS = 4 * 4  # sums and weights of loss and accuracy
NETWORKS = {
    "plain": Config.stack(3, [8, 8]),
    "both directions, dropout": Config(
        3, (Layer(8, bidirectional=True, dropout=0.2, recurrent_dropout=0.2),)
    ),
    "normalised": Config(3, (Layer(8, layer_norm="gates_and_cell", peepholes=True),)),
    "projected": Config(3, (Layer(8, projection_size=4),), learn_initial_carry=True),
}


@pytest.fixture
def traffic(monkeypatch):
    if jax.device_count() < 8:
        pytest.skip("needs eight devices: run with jax_num_cpu_devices=8")
    monkeypatch.syspath_prepend(SCALE)
    import traffic

    return traffic


@pytest.mark.parametrize("name", mostly_full(list(NETWORKS), default=["plain"]))
def test_a_step_adds_up_the_gradients_once_and_sends_nothing_else(traffic, name):
    """Contract 14, of the whole step of training."""
    config = NETWORKS[name]
    seen = traffic.collectives(traffic.compiled(8, 1, config))
    assert {(each.kind, each.group) for each in seen} == {("all-reduce", 8)}
    total = sum(each.bytes for each in seen)
    assert 0 <= total - traffic.size_of_gradients(config) <= SUMS


@pytest.mark.full
@pytest.mark.parametrize("name", NETWORKS)
def test_divided_parameters_are_gathered_once_and_no_activations_are_sent(traffic, name):
    config = NETWORKS[name]
    seen = traffic.collectives(traffic.compiled(4, 2, config))
    size = traffic.size_of_gradients(config)
    totals = {kind: sum(a.bytes for a in seen if a.kind == kind) for kind in traffic.KINDS}
    assert totals.pop("all-gather") <= size
    assert 0 <= totals.pop("all-reduce") - size <= SUMS
    assert not any(totals.values())


def test_groups_of_devices_are_read_in_every_form(traffic):
    line = "%a = (f32[2,3]{1,0}, /*index=5*/bf16[5]{0}, f32[]) all-reduce(%x), replica_groups="
    forms = ("{{0,1,2,3},{4,5,6,7}}", "[2,4]<=[8]", "mesh['a'=2,'b'=4], device_ids=([8]) {'b'}")
    for form in forms:
        (found,) = traffic.collectives(line + form)
        assert found == ("all-reduce", 38, 4)
        assert found.sent() == 2 * 38 * 3 / 4
    with pytest.raises(ValueError, match="cannot read which devices"):
        traffic.collectives(line + "?")
