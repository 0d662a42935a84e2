"""Carries to and from the states of TensorFlow's cells."""

import numpy as np
import pytest

from jlstm import Carry, Config, Layer
from jlstm.interop import carry_from_tensorflow, carry_to_tensorflow, from_tensorflow
from tests.interop.frameworks import assert_close, run
from tests.interop.tensorflow.cells import UNITS, cells, unrolled, xs_of

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize(
    "state", [np.zeros((2, 5)), np.float32(1), [np.zeros((2, 8))] * 3, [], ["c", "h"], None]
)
def test_states_that_do_not_fit(state):
    with pytest.raises((ValueError, TypeError), match="expected"):
        carry_from_tensorflow(Config.stack(5, [4]), state)


def test_states_are_tuples_or_not():
    config = Config(5, (Layer(4, projection_size=2), Layer(5)))
    carry = tuple(
        Carry(np.full((2, c), c, "float32"), np.full((2, h), h + 10, "float32"))
        for c, h in ((4, 2), (5, 5))
    )
    for state_is_tuple in (True, False):
        state = carry_to_tensorflow(carry, state_is_tuple=state_is_tuple)
        assert_close(carry_from_tensorflow(config, state), carry, atol=0)
    each = [np.concatenate(own, -1) for own in carry]
    assert_close(carry_from_tensorflow(config, each), carry, atol=0)
    with pytest.raises(ValueError, match="features"):
        carry_from_tensorflow(config, each[::-1])


def test_states_of_two_directions_are_refused_as_they_come_from_no_state():
    carry = (Carry(np.zeros((2, 3, 4)), np.zeros((2, 3, 4))),)
    with pytest.raises(ValueError, match=r"layer 0 has shape \[2, 3, 4\].*one state per direction"):
        carry_to_tensorflow(carry)


def test_state_is_tuple_false_in_tensorflow(session):
    xs = xs_of()
    ys, state, values = unrolled(session, cells.BasicLSTMCell(UNITS, state_is_tuple=False), xs)
    config, params = from_tensorflow(values)
    carry, own = run(config, params, xs)
    assert_close((carry, own), (carry_from_tensorflow(config, state), ys), atol=1e-5)
