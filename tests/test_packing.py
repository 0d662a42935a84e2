"""Several sequences in one row."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jlstm
from jlstm import Config, Layer
from tests.examples import examples
from tests.networks import assert_close, loss, make_call


def sequences_of(lengths, features=3):
    draw = np.random.default_rng(0)
    return [draw.normal(size=(n, features)).astype("float32") for n in lengths]


LENGTHS = {
    # Those of the Japanese vowels of Kudo et al. (1999) lie within 7 and 29.
    "vowels": lambda draw: np.clip(np.round(draw.normal(15.6, 3.6, 270)), 7, 29).astype(int),
    "log-normal": lambda draw: np.clip(draw.lognormal(3, 0.7, 300).astype(int), 1, 200),
}


@pytest.mark.parametrize("kind", LENGTHS)
def test_little_of_a_packed_batch_is_padding(kind):
    lengths = LENGTHS[kind](np.random.default_rng(0))
    packed = jlstm.pack(sequences_of(lengths), row_length=200)
    assert packed.mask.sum() == lengths.sum()
    assert 1 - packed.mask.mean() < 0.1


@settings(max_examples=examples(15))
@given(st.lists(st.integers(0, 9), min_size=1, max_size=8), st.booleans(), st.booleans())
def test_packed_sequences_give_what_they_give_alone(lengths, both, learned):
    """Values, and gradients for parameters."""
    config = Config(3, (Layer(4, bidirectional=both), Layer(2)), learn_initial_carry=learned)
    params = make_call(config, 1, (1,), 0).params
    sequences = sequences_of(lengths)
    packed = jlstm.pack(sequences, row_length=9)

    def together(params):
        _, ys = jlstm.apply(config, params, None, packed.xs, mask=packed.mask, resets=packed.resets)
        return jlstm.unpack(packed, ys)

    def alone(params):
        return [jlstm.apply(config, params, None, xs)[1] for xs in sequences]

    assert_close(together(params), alone(params), atol=1e-5)
    slopes = [jax.grad(lambda p, run=run: loss(run(p)))(params) for run in (together, alone)]
    assert_close(*slopes, atol=1e-4)


@pytest.mark.parametrize(
    ("sequences", "words"),
    [
        ([], "at least one"),
        ([np.ones((3, 2)), np.ones((3, 4))], r"sequences\[1\] is float64\[3, 4\]"),
        ([np.ones((3, 2)), np.ones((9, 2))], "has 9 steps, but a row has 5"),
        ([np.ones(3)], "expected \\[T, I\\]"),
        (np.ones((3, 2)), "Wrap a single sequence in a list"),
    ],
)
def test_what_cannot_be_packed_is_refused(sequences, words):
    with pytest.raises(ValueError, match=words):
        jlstm.pack(sequences, row_length=5)


def test_what_are_no_sequences_is_refused():
    with pytest.raises(TypeError, match="sequences is None; expected arrays"):
        jlstm.pack(None, row_length=5)


def test_what_is_not_packed_is_not_unpacked():
    with pytest.raises(TypeError, match="packed is list; expected the result of pack"):
        jlstm.unpack([1, 2], np.ones((3, 2)))


def test_lists_are_unpacked_too():
    packed = jlstm.pack([np.ones((2, 1)), np.ones((1, 1))], row_length=3)
    first, second = jlstm.unpack(packed, [[[1.0]], [[2.0]], [[3.0]]])
    assert (first.tolist(), second.tolist()) == ([[1.0], [2.0]], [[3.0]])
