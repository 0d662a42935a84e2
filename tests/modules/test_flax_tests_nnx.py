"""What Flax's tests of its nnx recurrent layers check, of the modules of this library.

The subjects are those of Flax's file tests/nnx/nn/recurrent_test.py: 18 of 20. Left out are GRU and
a cell of the user's own. Where Flax checks shapes, values are checked too.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx

from jlstm import Layer
from jlstm.modules import linen as modules_linen
from jlstm.modules import nnx as modules
from tests.examples import mostly_full
from tests.modules.flax_cells import assert_close, linen_variables

IN, OUT, STEPS, BATCH = 3, 4, 5, 2
XS = np.random.default_rng(7).normal(size=(BATCH, STEPS, IN)).astype("float32")
# Whole numbers, as some of Flax's tests pass them.
COUNTS = np.broadcast_to(np.arange(STEPS)[None, :, None], (BATCH, STEPS, IN))


def cell(**options):
    return modules.LSTMCell(IN, OUT, rngs=nnx.Rngs(0), **options)


def layer(own, kind, **options):
    """The layer that makes the steps of a cell: an `LSTM`, or Flax's RNN over the cell itself."""
    if kind == "RNN":
        return nnx.RNN(own, **options)
    made = modules.LSTM(IN, OUT, rngs=nnx.Rngs(1), **options)
    modules.set_params(made, modules.network(own)[1])
    return made


kinds = pytest.mark.parametrize("kind", mostly_full(["LSTM", "RNN"], ["LSTM"]))


def by_hand(own, xs):
    carry = own.initialize_carry(xs[:, 0].shape, nnx.Rngs(0))
    carries, ys = [], []
    for t in range(xs.shape[1]):
        carry, y = own(carry, xs[:, t])
        carries.append(carry)
        ys.append(y)
    return carries, jnp.stack(ys, 1)


def test_one_step():
    own = cell()
    carry = own.initialize_carry((BATCH, IN), nnx.Rngs(0))
    after, y = own(carry, XS[:, 0])
    assert y.shape == (BATCH, OUT)
    np.testing.assert_array_equal(after[1], y)


def test_a_loop_of_steps():
    own = cell()
    ys = by_hand(own, XS)[1]
    assert ys.shape == (BATCH, STEPS, OUT)
    theirs = nnx.OptimizedLSTMCell(IN, OUT, rngs=nnx.Rngs(3))
    modules.set_params(own, theirs)
    assert_close(by_hand(own, XS), by_hand(theirs, XS))


def test_half_precision():
    own = cell(dtype=jnp.bfloat16, param_dtype=jnp.bfloat16)
    carry = own.initialize_carry((BATCH, IN), nnx.Rngs(0))
    _, y = own(carry, jnp.asarray(XS[:, 0], jnp.bfloat16))
    assert y.dtype == jnp.bfloat16 and y.shape == (BATCH, OUT)


def test_other_activations():
    functions = {"gate_fn": jax.nn.relu, "activation_fn": jax.nn.elu}
    theirs = nnx.LSTMCell(IN, OUT, rngs=nnx.Rngs(0), **functions)
    own = cell(**functions)
    modules.set_params(own, theirs)
    assert_close(by_hand(own, XS), by_hand(theirs, XS), 1e-5)


def test_a_carry_by_an_initializer():
    for own, given in ((cell(carry_init=nnx.initializers.ones), None), (cell(), jnp.ones)):
        init = None if given is None else nnx.initializers.ones
        carry = own.initialize_carry((1, IN), nnx.Rngs(0), init)
        assert all(a.shape == (1, OUT) and np.all(a == 1) for a in carry)


def test_a_loop_over_padded_sequences():
    own, lengths = cell(), np.array([2, 3])
    ys = by_hand(own, COUNTS)[1] * (np.arange(STEPS) < lengths[:, None])[..., None]
    assert_close(layer(own, "LSTM")(COUNTS, seq_lengths=lengths), ys)


def test_the_carry_is_the_state():
    own = cell()
    ones = jnp.ones((1, IN))
    carry, first = own(own.initialize_carry(ones.shape, nnx.Rngs(0)), ones)
    _, second = own(carry, 2 * ones)
    _, anew = own(own.initialize_carry(ones.shape, nnx.Rngs(0)), 2 * ones)
    assert first.shape == second.shape == (1, OUT) and not np.allclose(second, anew)


def test_the_cell_gives_what_linens_cell_gives():
    theirs = nn.LSTMCell(OUT)
    carry = theirs.initialize_carry(jax.random.key(0), (1, IN))
    x = XS[:1, 0]
    variables = theirs.init(jax.random.key(1), carry, x)
    own = cell()
    modules.set_params(own, variables)
    assert_close(own(carry, x), theirs.apply(variables, carry, x))


@kinds
def test_a_sequence(kind):
    own = cell()
    start = own.initialize_carry((BATCH, IN), nnx.Rngs(0))
    ys = layer(own, kind)(XS, initial_carry=start)
    assert ys.shape == (BATCH, STEPS, OUT)
    assert_close(ys, by_hand(own, XS)[1])


@kinds
def test_time_major(kind):
    own = cell()
    ys = layer(own, kind, time_major=True)(XS.swapaxes(0, 1))
    assert_close(ys.swapaxes(0, 1), by_hand(own, XS)[1])


@kinds
@pytest.mark.parametrize("keep_order", [False, True])
def test_reversed(kind, keep_order):
    own = cell()
    ys = layer(own, kind, reverse=True, keep_order=keep_order)(COUNTS)
    wanted = by_hand(own, COUNTS[:, ::-1])[1]
    assert_close(ys, wanted[:, ::-1] if keep_order else wanted)


@kinds
def test_lengths(kind):
    own, lengths = cell(), jnp.array([3, 5])
    carry, ys = layer(own, kind, return_carry=True)(COUNTS, seq_lengths=lengths)
    carries, wanted = by_hand(own, COUNTS)
    for row, length in enumerate(lengths):
        assert_close(ys[row, :length], wanted[row, :length])
        assert_close([a[row] for a in carry], [a[row] for a in carries[length - 1]])


@kinds
def test_a_sequence_gives_what_linen_gives(kind):
    theirs = nn.RNN(nn.LSTMCell(OUT))
    variables = linen_variables(theirs, XS)
    own = cell()
    modules.set_params(own, variables)
    assert_close(layer(own, kind)(XS), theirs.apply(variables, XS))
    params = modules_linen.params_from(modules.network(own)[1])
    same = modules_linen.LSTM(OUT).apply({"params": params}, XS)
    assert_close(layer(own, kind)(XS), same)


def test_unrolled_scan():
    own = cell()
    wanted = by_hand(own, XS)[1]
    assert_close(nnx.RNN(own, unroll=2)(XS), wanted)


@kinds
def test_half_precision_of_a_sequence(kind):
    own = cell(dtype=jnp.bfloat16, param_dtype=jnp.bfloat16)
    made = modules.LSTM(IN, OUT, dtype=jnp.bfloat16, param_dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    ys = (nnx.RNN(own) if kind == "RNN" else made)(jnp.asarray(XS, jnp.bfloat16))
    assert ys.dtype == jnp.bfloat16 and ys.shape == (BATCH, STEPS, OUT)
    # Flax's test has float16, which this library does not support.
    with pytest.raises(ValueError, match="dtype is 'float16', which is not known"):
        cell(dtype=jnp.float16)


@kinds
def test_batches_of_several_sizes(kind):
    own = cell()
    rnn, wanted = layer(own, kind), by_hand(own, XS)[1]
    for size in (1, 2, 4):
        rows = np.arange(size) % BATCH
        assert_close(rnn(XS[rows]), wanted[rows])


class Dropping(modules.LSTMCell):
    """A cell whose next steps read an h with dropout."""

    def __init__(self, rngs):
        super().__init__(IN, OUT, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rng_collection="recurrent_dropout", rngs=rngs)

    def __call__(self, carry, inputs):
        (c, h), y = super().__call__(carry, inputs)
        return (c, self.dropout(h)), y


def test_recurrent_dropout():
    rngs = nnx.Rngs(0, recurrent_dropout=1)
    start = 2 * (jnp.zeros((BATCH, OUT)),)
    rnn = nnx.RNN(Dropping(rngs), broadcast_rngs="recurrent_dropout")
    ys = rnn(XS, initial_carry=start)
    count = rnn.cell.dropout.rngs.count
    assert ys.shape == (BATCH, STEPS, OUT) and count[...] == 1  # one mask for all steps
    # An option of Layer does the same.
    own = Layer(OUT, recurrent_dropout=0.5, held_masks=True)
    lstm = modules.LSTM(IN, own, rngs=rngs)
    assert not np.allclose(lstm(XS), lstm(XS)) and lstm.rngs.count[...] == 2
