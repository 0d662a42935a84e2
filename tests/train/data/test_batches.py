"""Batches: every sequence in its turn, and the same ones wherever a run goes on."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jlstm.train.data import batches
from jlstm.train.data.split import Split, Stream
from jlstm.train.model import Batch


def numbered(count, lengths=False):
    xs = np.arange(count, dtype="float32")[:, None, None] * np.ones((1, 3, 2), "float32")
    own = np.arange(count, dtype="int32") % 4 if lengths else None
    return Split(xs, np.arange(count, dtype="int32"), own)


def taken(source, count):
    return list(itertools.islice(source, count))


@given(st.integers(1, 20), st.integers(1, 25), st.integers(0, 2**32 - 1))
def test_each_order_holds_every_sequence_once(count, size, seed):
    made = taken(batches.training(numbered(count), size, seed=seed), count)
    rows = np.concatenate([b.targets for b in made]).reshape(size, count)
    assert (np.sort(rows, 1) == np.arange(count)).all()
    assert all((b.xs[:, 0, 0] == b.targets).all() and len(b.xs) == size for b in made)


@given(st.integers(1, 20), st.integers(1, 25), st.integers(0, 30))
def test_a_run_goes_on_with_the_batches_it_would_have_had(count, size, start):
    split = numbered(count, lengths=True)
    whole = taken(batches.training(split, size, seed=3), start + 4)[start:]
    for a, b in zip(
        whole, taken(batches.training(split, size, seed=3, start=start), 4), strict=True
    ):
        np.testing.assert_array_equal(a.targets, b.targets)
        np.testing.assert_array_equal(a.lengths, b.lengths)


def test_another_seed_is_another_order():
    first, other = (next(batches.training(numbered(50), 50, seed=s)) for s in (0, 1))
    assert (first.targets != other.targets).any()


@given(st.integers(1, 30), st.integers(1, 9))
def test_evaluation_counts_every_sequence_once(count, size):
    made = list(batches.evaluation(numbered(count), size))
    counted = np.concatenate([b.targets[b.weights > 0] for b in made])
    np.testing.assert_array_equal(counted, np.arange(count))
    assert {b.xs.shape for b in made} == {(size, 3, 2)}


@given(st.integers(2, 200), st.integers(1, 5), st.integers(1, 9), st.integers(0, 20))
def test_each_row_of_a_stream_goes_on_where_it_ended(n, size, unroll, start):
    stream = Stream(np.arange(n, dtype="int32"))
    turns = (n - 1) // size // unroll
    if not turns:
        with pytest.raises(ValueError, match="use a smaller batch_size or unroll"):
            batches.training(stream, size, unroll=unroll)
            next(batches.training(stream, size, unroll=unroll))
        return
    made = taken(batches.training(stream, size, unroll=unroll, start=start), 2 * turns)
    for before, after in itertools.pairwise(made):
        np.testing.assert_array_equal(before.targets, before.xs + 1)
        assert after.starts.all() or (after.xs[:, 0] == before.xs[:, -1] + 1).all()
    assert [b.starts.all() for b in made] == [(start + k) % turns == 0 for k in range(2 * turns)]


@given(st.integers(2, 200), st.integers(1, 5), st.integers(1, 9))
def test_evaluation_of_a_stream_predicts_every_token_but_the_first_once(n, size, unroll):
    made = batches.evaluation(Stream(np.arange(n, dtype="int32")), size, unroll=unroll)
    seen = [
        token
        for b in made
        for row, own in zip(b.targets, b.lengths, strict=True)
        for token in row[:own]
    ]
    assert sorted(seen) == list(range(1, n))


def test_unroll_belongs_to_streams():
    with pytest.raises(ValueError, match="leave out unroll"):
        batches.training(numbered(3), 1, unroll=4)
    with pytest.raises(ValueError, match="a stream needs unroll"):
        batches.training(Stream(np.arange(9)), 1)
    with pytest.raises(ValueError, match="no sequences"):
        batches.training(numbered(0), 1)


@pytest.mark.parametrize("split", [numbered(21, lengths=True), Stream(np.arange(90))], ids=type)
@pytest.mark.parametrize("source", [batches.training, batches.evaluation])
def test_shares_of_processes_make_up_each_batch(split, source):
    unroll = 3 if isinstance(split, Stream) else None
    whole = taken(source(split, 8, unroll=unroll), 3)
    shares = [taken(source(split, 8, unroll=unroll, share=(n, 4)), 3) for n in range(4)]
    for wanted, *parts in zip(whole, *shares, strict=True):
        for name, a in wanted._asdict().items():
            own = [getattr(part, name) for part in parts]
            if a is None:
                assert own == [None] * 4
            else:
                np.testing.assert_array_equal(np.concatenate(own), a)


def test_a_batch_that_processes_cannot_share_is_refused():
    with pytest.raises(ValueError, match="3 processes cannot share batches of 8 sequences"):
        batches.training(numbered(9), 8, share=(0, 3))


def test_batches_that_end_too_early_are_an_error_with_a_remedy():
    """A StopIteration would end the generator of updates as a RuntimeError without a reason."""
    batch = Batch(np.zeros((4, 7, 2), "float32"), np.arange(4))
    with pytest.raises(ValueError, match="ended after 2 of the next 3; repeat them"):
        batches.stacked(iter([batch, batch]), 3)


def test_batches_of_different_shapes_are_an_error_with_a_remedy():
    sizes = [Batch(np.zeros((n, 7, 2), "float32"), np.arange(n)) for n in (4, 3)]
    with pytest.raises(ValueError, match="leave out the last one if it is smaller"):
        batches.stacked(iter(sizes), 2)
