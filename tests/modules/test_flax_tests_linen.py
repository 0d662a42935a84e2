"""What Flax's tests of its linen recurrent layers check, of the modules of this library.

The subjects are those of Flax's file tests/linen/linen_recurrent_test.py: 19 of 23. Left out are
ConvLSTM and three about errors for calls of old versions of Flax. Where Flax checks shapes, values
are checked too.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from jlstm.modules import linen as modules
from tests.examples import mostly_full
from tests.modules.flax_cells import assert_close, linen_variables

IN, OUT, STEPS, BATCH = 5, 6, 4, 3
XS = np.random.default_rng(5).normal(size=(BATCH, STEPS, IN)).astype("float32")
# The module, and Flax's RNN over the cell: both are to pass. Each with the place of its weights.
KINDS = {
    "LSTM": (lambda **options: modules.LSTM(OUT, **options), lambda params: params),
    "RNN": (lambda **options: nn.RNN(modules.LSTMCell(OUT), **options), lambda p: p["cell"]),
}
kinds = pytest.mark.parametrize("kind", mostly_full(list(KINDS), ["LSTM"]))


def made(kind, xs=XS, **options):
    """A layer, its variables, and the variables of the cell that makes the same steps."""
    build, cell_params = KINDS[kind]
    rnn = build(return_carry=True, **options)
    variables = linen_variables(rnn, xs)
    return rnn, variables, {"params": cell_params(variables["params"])}


def by_hand(variables, xs, start=None):
    """Carries and outputs of a loop over the cell, step by step; xs [batch, T, I]."""
    cell = modules.LSTMCell(OUT)
    carry = cell.initialize_carry(jax.random.key(0), xs[:, 0].shape) if start is None else start
    carries, ys = [], []
    for t in range(xs.shape[1]):
        carry, y = cell.apply(variables, carry, xs[:, t])
        carries.append(carry)
        ys.append(y)
    return carries, jnp.stack(ys, 1)


def assert_shapes(variables):
    own = variables["params"]["layers"]["0"]
    assert {name: a.shape for name, a in own.items()} == {
        "w_x": (IN, 4 * OUT),
        "w_h": (OUT, 4 * OUT),
        "b": (4 * OUT,),
    }


@kinds
def test_basic_forward(kind):
    rnn, variables, cell = made(kind)
    carry, ys = rnn.apply(variables, XS)
    assert ys.shape == (BATCH, STEPS, OUT) and carry.c.shape == (BATCH, OUT)
    assert_shapes(cell)


@kinds
def test_several_batch_axes(kind):
    xs = np.stack([XS, 2 * XS])
    rnn, variables, cell = made(kind, xs)
    carry, ys = rnn.apply(variables, xs)
    assert ys.shape == (2, BATCH, STEPS, OUT) and carry.c.shape == (2, BATCH, OUT)
    assert_close(ys[1], by_hand(cell, 2 * XS)[1])
    assert_shapes(cell)


def test_unrolled_scan():
    rnn, variables, cell = made("RNN", unroll=2)
    assert_close(rnn.apply(variables, XS)[1], by_hand(cell, XS)[1])


@kinds
def test_time_major(kind):
    rnn, variables, cell = made(kind, XS.swapaxes(0, 1), time_major=True)
    carry, ys = rnn.apply(variables, XS.swapaxes(0, 1))
    assert ys.shape == (STEPS, BATCH, OUT)
    assert all(np.any(a) and a.shape == (BATCH, OUT) for a in carry)
    assert_close(ys.swapaxes(0, 1), by_hand(cell, XS)[1])
    assert_shapes(cell)


@kinds
def test_numbers_of_a_loop(kind):
    rnn, variables, cell = made(kind)
    carry, ys = rnn.apply(variables, XS)
    carries, wanted = by_hand(cell, XS)
    assert_close((carry, ys), (carries[-1], wanted))


@kinds
def test_numbers_of_a_loop_with_lengths(kind):
    lengths = np.array([1, 4, 2])
    rnn, variables, cell = made(kind)
    carry, ys = rnn.apply(variables, XS, seq_lengths=lengths)
    carries, wanted = by_hand(cell, XS)
    for row, length in enumerate(lengths):
        assert_close(ys[row, :length], wanted[row, :length])
        at_length = jax.tree.map(lambda a, row=row: a[row], carries[length - 1])
        assert_close(jax.tree.map(lambda a, row=row: a[row], carry), at_length)


@kinds
def test_each_sequence_alone(kind):
    rnn, variables, cell = made(kind)
    carry, ys = rnn.apply(variables, XS)
    for row in range(BATCH):
        carries, wanted = by_hand(cell, XS[row : row + 1])
        assert_close(ys[row], wanted[0])
        assert_close(jax.tree.map(lambda a, row=row: a[row : row + 1], carry), carries[-1])


def test_nn_scan_over_the_cell():
    scanned = nn.scan(
        modules.LSTMCell,
        in_axes=1,
        out_axes=1,
        variable_broadcast="params",
        split_rngs={"params": False},
    )(OUT)
    start = scanned.initialize_carry(jax.random.key(0), XS[:, 0].shape)
    (carry, ys), variables = scanned.init_with_output(jax.random.key(0), start, XS)
    assert_close((carry, ys), modules.LSTM(OUT, return_carry=True).apply(variables, XS))


def test_lax_scan_over_the_cell():
    cell = modules.LSTMCell(OUT)
    start = cell.initialize_carry(jax.random.key(0), XS[:, 0].shape)
    variables = cell.init(jax.random.key(0), start, XS[:, 0])
    carry, ys = jax.lax.scan(lambda c, x: cell.apply(variables, c, x), start, XS.swapaxes(0, 1))
    carries, wanted = by_hand(variables, XS)
    assert_close((carry, ys.swapaxes(0, 1)), (carries[-1], wanted))


@kinds
@pytest.mark.parametrize("keep_order", [False, True])
def test_reversed(kind, keep_order):
    rnn, variables, cell = made(kind, reverse=True, keep_order=keep_order)
    carry, ys = rnn.apply(variables, XS)
    carries, wanted = by_hand(cell, XS[:, ::-1])
    assert_close(carry, carries[-1])
    assert_close(ys, wanted[:, ::-1] if keep_order else wanted)


@pytest.mark.parametrize("time_major", [False, True])
@pytest.mark.parametrize("features", [1, 3])
def test_order_of_a_reversed_sequence_with_lengths(features, time_major):
    """Four tests of Flax, of the function that flips sequences: here that of the outputs."""
    lengths = np.array([4, 2])
    xs = np.random.default_rng(6).normal(size=(2, 5, features)).astype("float32")
    lstm = modules.LSTM(OUT, reverse=True, time_major=time_major)
    xs = xs.swapaxes(0, 1) if time_major else xs
    variables = linen_variables(lstm, xs)
    flipped = lstm.apply(variables, xs, seq_lengths=lengths)
    in_order = lstm.apply(variables, xs, seq_lengths=lengths, keep_order=True)
    if time_major:
        flipped, in_order = flipped.swapaxes(0, 1), in_order.swapaxes(0, 1)
    for row, length in enumerate(lengths):
        assert_close(flipped[row, :length], in_order[row, :length][::-1])
        assert not np.any(flipped[row, length:])


def halves(kind):
    return (KINDS[kind][0]() for _ in range(2))


@kinds
def test_bidirectional(kind):
    both = nn.Bidirectional(*halves(kind))
    ys = both.apply(linen_variables(both, XS), XS)
    assert ys.shape == (BATCH, STEPS, 2 * OUT)


def test_bidirectional_with_shared_weights():
    cell = modules.LSTMCell(OUT)
    layer = modules.LSTM(OUT)
    for both in (nn.Bidirectional(nn.RNN(cell), nn.RNN(cell)), nn.Bidirectional(layer, layer)):
        variables = linen_variables(both, XS)
        assert len(jax.tree.leaves(variables)) == 3
        assert both.apply(variables, XS).shape == (BATCH, STEPS, 2 * OUT)


@kinds
def test_bidirectional_with_a_merge_of_ones_own(kind):
    both = nn.Bidirectional(*halves(kind), merge_fn=lambda a, b: a + b)
    variables = linen_variables(both, XS)
    apart = nn.Bidirectional(*halves(kind)).apply(variables, XS)
    assert_close(both.apply(variables, XS), apart[..., :OUT] + apart[..., OUT:])


@kinds
def test_bidirectional_returns_the_carry_of_each_direction(kind):
    both = nn.Bidirectional(*halves(kind), return_carry=True)
    (forward, backward), ys = both.apply(linen_variables(both, XS), XS)
    assert jax.tree.map(jnp.shape, (forward, backward)) == 2 * (2 * ((BATCH, OUT),),)
    assert_close(forward[1], ys[:, -1, :OUT])
    assert_close(backward[1], ys[:, 0, OUT:])
