"""Noisy sines, and the data set that the package mnist1d computes."""

import random
import sys

import numpy as np
import pytest

from jlstm.train.data import sources
from jlstm.train.data.synthetic.mnist1d import mnist1d
from jlstm.train.data.synthetic.noisy_sines import noisy_sines


@pytest.mark.parametrize("seed", range(5))
def test_sines_obey_their_difference_equation(seed):
    """x[t+1] + x[t-1] = 2 cos(w) x[t] for one sine, over the seam of inputs and targets too."""
    options = dict(steps=40, horizon=20, waves=1, noise=0, shortest=8, longest=30)
    xs, targets, _ = noisy_sines(**options, train=300, seed=seed).train
    values = np.concatenate([xs, targets], axis=1)[..., 0].astype(np.float64)
    middle, around = values[:, 1:-1], values[:, 2:] + values[:, :-2]
    cosines = (middle * around).sum(axis=1) / (middle**2).sum(axis=1) / 2
    np.testing.assert_allclose(around, 2 * cosines[:, None] * middle, atol=1e-5)
    periods = 2 * np.pi / np.arccos(cosines)
    assert 8 - 1e-3 < periods.min() < 9 and 29 < periods.max() < 30 + 1e-3
    assert abs(values).max() <= 1 + 1e-6


@pytest.mark.parametrize("waves", [1, 3])
def test_variances_of_sines_and_noise(waves):
    options = dict(steps=50, waves=waves, train=4000, seed=1)
    clear, noisy = (noisy_sines(**options, noise=noise).train for noise in (0.0, 0.5))
    assert abs(np.mean(clear.targets**2) - waves / 2) < 0.05
    assert abs(np.mean(noisy.targets**2) - waves / 2 - 0.25) < 0.06
    # The same sines: what differs is the noise.
    differences = noisy.xs - clear.xs
    assert abs(differences.std() - 0.5) < 0.01 and abs(differences.mean()) < 0.01


def test_a_fixed_period():
    options = dict(steps=10, horizon=10, noise=0, shortest=5, longest=5)
    xs, targets, _ = noisy_sines(**options, train=9).train
    np.testing.assert_allclose(xs[:, :5], targets[:, :5], atol=1e-5)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"shortest": 20, "longest": 10}, "longest is 10.0; expected at least shortest"),
        ({"noise": -1}, "noise is -1"),
        ({"shortest": 0}, "shortest is 0"),
        ({"waves": 0}, "waves is 0; expected a whole number of at least 1"),
        ({"horizon": 0}, "horizon is 0"),
    ],
)
def test_errors(options, said):
    with pytest.raises(ValueError) as caught:
        noisy_sines(**options)
    assert said in str(caught.value)


# Of mnist1d_data.pkl in the repository of the paper: the first training signal, the last one to
# test with.
LABELS = [2, 6, 4, 5, 6, 6, 6, 0]
SIGNAL = [-0.332006, -0.47191, -0.778697, -1.009741, -0.882353]
TEST_LABELS = [2, 6, 3, 9, 4, 3, 1, 9]
TEST_SIGNAL = [-0.098646, 0.447233, 0.659876, 0.877734, 1.193152]


@pytest.fixture(scope="module")
def signals():
    pytest.importorskip("mnist1d")
    return mnist1d(valid=500)


@pytest.mark.full
def test_the_published_data_of_mnist1d(signals):
    assert signals.train.xs.shape == (3500, 40, 1) and signals.test.xs.shape == (1000, 40, 1)
    assert signals.valid.xs.shape == (500, 40, 1) and signals.valid.targets.shape == (500,)
    assert signals.train.xs.dtype == np.float32 and signals.train.targets.dtype == np.int32
    xs = np.concatenate([split.xs for split in signals[:3]])
    assert abs(xs.mean()) < 1e-5 and abs(xs.std() - 1) < 1e-5
    labels = np.concatenate([split.targets for split in signals[:3]])
    assert (np.bincount(labels) == 500).all()
    assert signals.train.targets[:8].tolist() == LABELS
    np.testing.assert_allclose(signals.train.xs[0, :5, 0], SIGNAL, atol=1e-6)
    assert signals.test.targets[:8].tolist() == TEST_LABELS
    np.testing.assert_allclose(signals.test.xs[-1, -5:, 0], TEST_SIGNAL, atol=1e-6)


@pytest.mark.full
def test_mnist1d_leaves_the_global_random_numbers_alone(signals):
    random.seed(1)
    np.random.seed(1)
    expected = random.random(), np.random.random()
    random.seed(1)
    np.random.seed(1)
    other = mnist1d(seed=7)
    assert (random.random(), np.random.random()) == expected
    assert other.valid is None and other.train.xs.shape == (4000, 40, 1)
    assert not np.allclose(other.test.xs, signals.test.xs)


def test_mnist1d_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "mnist1d.data", None)
    with pytest.raises(ImportError, match="pip install mnist1d"):
        sources.load({"source": "mnist1d"})


def test_too_many_signals_to_choose_by():
    with pytest.raises(ValueError, match="valid is 4000; expected less than the 4000"):
        mnist1d(valid=4000)
