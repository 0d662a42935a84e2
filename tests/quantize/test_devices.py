"""int8 weights on several devices: contract 14."""

import jax
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import jlstm
from jlstm import Config
from tests.network.eight_devices import fetched, mesh
from tests.network.test_sharded_params import over_last_axis
from tests.networks import apply, assert_close
from tests.quantize.made import quantized_call

CONFIG = Config.stack(5, [8, 8])


@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit], ids=lambda kind: kind.name)
def test_the_batch_and_the_weights_may_be_sharded(kind):
    call, exact = quantized_call(CONFIG, batch=(8,))
    devices = mesh(kind)

    def slopes(params, xs):
        ys, back = jax.vjp(lambda xs: jlstm.apply(CONFIG, params, None, xs)[1], xs)
        return ys, back(ys)[0]

    wanted = slopes(exact.params, call.xs)
    with jax.set_mesh(devices):
        params = over_last_axis(call.params, devices, "data")
        xs = jax.device_put(call.xs, NamedSharding(devices, P(None, "data")))
        assert_close(fetched(jax.jit(slopes)(params, xs)), fetched(wanted))
        _, y = jlstm.step(CONFIG, params, None, xs[0])
        assert_close(fetched(y), np.asarray(wanted[0][0]))


def test_units_may_be_sharded():
    if jax.device_count() < 8:
        pytest.skip("needs eight devices: run with jax_num_cpu_devices=8")
    call, exact = quantized_call(CONFIG, batch=(4,))
    devices = jax.make_mesh((2, 4), ("batch", "units"), axis_types=(AxisType.Auto,) * 2)
    args = CONFIG, call.params, None, call.xs, devices
    seen = jlstm.apply_sharded(*args, batch="batch")
    assert_close(fetched(seen), fetched(apply(exact, carry=None)))
