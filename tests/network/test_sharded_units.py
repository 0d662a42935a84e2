"""`apply_sharded`: the units of plain layers over devices."""

import re

import jax
import numpy as np
import pytest
from jax.sharding import AxisType

import jlstm
from jlstm import Config, Layer
from tests.examples import mostly_full
from tests.network.eight_devices import COLLECTIVES, fetched
from tests.networks import assert_close, make_call

CONFIG = Config(5, (Layer(8, bidirectional=True), Layer(4)), learn_initial_carry=True)
CALL = make_call(CONFIG, 7, (6,), 0, ("lengths", "mask", "resets"))


def over_units(params, xs, mesh, batch="batch", **options):
    return jlstm.apply_sharded(CONFIG, params, None, xs, mesh, batch=batch, **options)


def squares(function):
    return jax.grad(lambda params, xs: (function(params, xs)[1] ** 2).sum(), (0, 1))


@pytest.fixture
def two_by_four():
    if jax.device_count() < 8:
        pytest.skip("needs eight devices: run with jax_num_cpu_devices=8")
    return jax.make_mesh((2, 4), ("batch", "units"), axis_types=(AxisType.Auto,) * 2)


@pytest.mark.parametrize("batch", mostly_full([None, "batch"], default=["batch"]))
def test_results_are_those_of_one_device(two_by_four, batch):
    def one(params, xs):
        return jlstm.apply(CONFIG, params, None, xs, **CALL.times)

    def many(params, xs):
        return over_units(params, xs, two_by_four, batch, **CALL.times)

    args = CALL.params, CALL.xs
    assert_close(fetched(many(*args)), fetched(one(*args)))
    assert_close(fetched(squares(many)(*args)), fetched(squares(one)(*args)), atol=1e-4)


def test_devices_exchange_h_once_a_step(two_by_four):
    def forward(params, xs):
        return over_units(params, xs, two_by_four)

    args = CALL.params, CALL.xs
    once_per_loop = ["all-gather"] * 3  # two directions of one layer, and another layer
    assert in_loops(forward, args) == once_per_loop
    assert in_loops(squares(forward), args) == once_per_loop + ["reduce-scatter"] * 3


def in_loops(function, args):
    """The collectives that stand in loops of a compiled program."""
    text = jax.jit(function).lower(*args).compile().as_text()
    bodies = set(re.findall(r"body=%([\w.\-]+)", text))
    parts = re.split(r"\n(?=(?:ENTRY )?%)", text)
    inside = [
        part
        for part in parts
        if re.match(r"%([\w.\-]+)", part) and part[1:].split(" ")[0] in bodies
    ]
    return sorted(name for part in inside for name in re.findall(COLLECTIVES, part))


def test_inputs_have_the_layouts_of_apply(two_by_four):
    xs = np.swapaxes(CALL.xs, 0, 1)
    _, ys = over_units(CALL.params, xs, two_by_four, time_major=False)
    _, expected = jlstm.apply(CONFIG, CALL.params, None, xs, time_major=False)
    assert_close(fetched(ys), fetched(expected))
    _, alone = jlstm.apply_sharded(CONFIG, CALL.params, None, xs[0], two_by_four)
    assert_close(fetched(alone), fetched(expected[0]))


def test_a_network_with_dropout_runs_without_a_key(two_by_four):
    """Nested lists are arrays too."""
    config = Config(5, (Layer(4, dropout=0.5, recurrent_dropout=0.5),))
    params = jlstm.init(jax.random.key(0), config)
    xs = np.ones((3, 2, 5), "float32")
    _, ys = jlstm.apply_sharded(config, params, None, xs.tolist(), two_by_four)
    assert_close(fetched(ys), fetched(jlstm.apply(config, params, None, xs)[1]))


def test_meshes_and_batches_that_do_not_fit_say_what_would(two_by_four):
    explicit = jax.make_mesh((2, 4), ("batch", "units"), axis_types=(AxisType.Explicit,) * 2)
    args = CONFIG, CALL.params, None
    with pytest.raises(ValueError, match="has axes batch Explicit, units Explicit; expected Auto"):
        jlstm.apply_sharded(*args, CALL.xs, explicit)
    with pytest.raises(ValueError, match="2 devices along 'batch' cannot share axis 1 evenly"):
        jlstm.apply_sharded(*args, CALL.xs[:, :5], two_by_four, batch="batch")
    with pytest.raises(ValueError, match="without a batch to divide"):
        jlstm.apply_sharded(*args, CALL.xs[:, 0], two_by_four, batch="batch")


@pytest.mark.parametrize(
    ("layer", "options", "message"),
    [
        (Layer(6), {}, "layer 0 has 6 units, which 4 devices along 'units' cannot share evenly"),
        (
            Layer(8, projection_size=4),
            {},
            "layer 0 has projection_size=4; only units of plain layers",
        ),
        (Layer(8), {"units": "unit"}, "did you mean 'units'"),
        (Layer(8), {"batch": "units"}, "batch and units are both 'units'"),
    ],
)
def test_units_that_cannot_be_divided_are_refused(two_by_four, layer, options, message):
    config = Config(5, (layer,))
    params = jlstm.init(jax.random.key(0), config)
    with pytest.raises(ValueError, match=message):
        jlstm.apply_sharded(
            config, params, None, np.zeros((3, 2, 5), "float32"), two_by_four, **options
        )
