"""New seeds: the test against scipy's, and rows under it."""

import numpy as np
import pytest
from scipy import stats

from bench.regress.rerun import two_samples


def test_one_model_is_scipys_two_sample_t():
    rng = np.random.default_rng(0)
    old, new = rng.normal(size=4), rng.normal(0.5, size=7)
    found = two_samples({0: old}, {0: new})
    expected = stats.ttest_ind(new, old)
    assert found.p == pytest.approx(expected.pvalue) and found.difference == pytest.approx(new.mean() - old.mean())
    interval = expected.confidence_interval()
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


def test_levels_of_the_models_do_not_count():
    """Two models far apart: the same as scipy's least squares with a column per model."""
    rng = np.random.default_rng(1)
    old = {0: rng.normal(size=3), 1: 10 + rng.normal(size=3)}
    new = {0: 0.3 + rng.normal(size=3), 1: 10.3 + rng.normal(size=3)}
    y = np.concatenate([old[0], new[0], old[1], new[1]])
    x = np.zeros((12, 4))  # a mean for every group; the contrast is the mean of the two differences
    x[np.arange(12), np.repeat(np.arange(4), 3)] = 1
    beta, rss, *_ = np.linalg.lstsq(x, y, rcond=None)
    contrast = np.array([-0.5, 0.5, -0.5, 0.5])
    error = np.sqrt(rss[0] / 8 * contrast @ np.linalg.inv(x.T @ x) @ contrast)
    found = two_samples(old, new)
    assert found.p == pytest.approx(2 * stats.t.sf(abs(contrast @ beta) / error, 8))


def test_false_alarms_are_as_rare_as_said_with_a_single_frozen_seed():
    rng = np.random.default_rng(2)
    values = rng.normal(size=(2000, 2, 6))
    p = [two_samples({m: v[m, :1] for m in (0, 1)}, {m: v[m, 1:] for m in (0, 1)}).p for v in values]
    assert 0.035 < np.mean(np.array(p) < 0.05) < 0.065


def test_values_without_noise_move_at_any_difference():
    assert two_samples({0: [0.5]}, {0: [0.5] * 5}).p == 1.0
    assert two_samples({0: [0.5]}, {0: [0.6] * 5}).p == 0.0
