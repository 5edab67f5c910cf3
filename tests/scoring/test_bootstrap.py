"""Intervals: against theory, and by how often they cover."""

import numpy as np
import pytest
from scipy import stats

from bench.scoring.bootstrap import (
    cluster_weights,
    contains_zero,
    interval,
    over_seeds,
    student_t,
)
from bench.scoring.curves import faithfulness


def ratio_draws(numerator, denominator, clusters, seed=0):
    zero = np.zeros_like(denominator)
    return faithfulness(numerator[:, None], denominator, zero, cluster_weights(clusters, seed))[:, 0]


def test_weights_draw_whole_clusters_as_many_as_there_are():
    clusters = ["b", "a", "b", "c", "a", "b"]
    weights = cluster_weights(clusters)
    assert weights.shape == (2000, 6)
    assert (weights[:, 0] == weights[:, 2]).all() and (weights[:, 1] == weights[:, 4]).all()
    assert (weights[:, 0] + weights[:, 1] + weights[:, 3] == 3).all()


def test_equal_data_gets_equal_weights_and_different_data_independent_ones():
    clusters = [str(i) for i in range(50)]
    assert np.array_equal(cluster_weights(clusters, 1), cluster_weights(list(clusters), 1))
    for other in (cluster_weights(clusters, 2), cluster_weights([f"x{c}" for c in clusters], 1)):
        assert abs(np.corrcoef(cluster_weights(clusters, 1)[:, 0], other[:, 0])[0, 1]) < 0.1


def test_the_ratio_bootstrap_agrees_with_the_delta_method_on_a_large_sample():
    rng = np.random.default_rng(3)
    n = 4000
    below = 5 + rng.standard_normal(n)
    above = 0.6 * below + 0.8 * rng.standard_normal(n)
    low, high = interval(ratio_draws(above, below, [str(i) for i in range(n)]))
    ratio = above.mean() / below.mean()
    error = (above - ratio * below).std() / (below.mean() * np.sqrt(n))
    assert low == pytest.approx(ratio - 1.96 * error, abs=0.2 * error)
    assert high == pytest.approx(ratio + 1.96 * error, abs=0.2 * error)


def test_clusters_of_equal_examples_are_worth_one_example_each():
    rng = np.random.default_rng(4)
    above, below = rng.standard_normal(60) + 1, rng.standard_normal(60) * 0.2 + 3
    alone = interval(ratio_draws(above, below, [str(i) for i in range(60)]))
    copied = interval(ratio_draws(above.repeat(9), below.repeat(9), [str(i) for i in range(60) for _ in range(9)]))
    assert np.diff(alone) == pytest.approx(np.diff(copied), rel=0.1)


def test_a_denominator_around_zero_is_noticed_on_either_side():
    assert contains_zero(np.linspace(-1, 5, 2000)) and contains_zero(np.zeros(2000))
    assert not contains_zero(np.linspace(0.1, 5, 2000)) and not contains_zero(np.linspace(-5, -0.1, 2000))
    assert contains_zero(np.array([1.0, np.nan]))


def test_students_t_needs_five_seeds_and_agrees_with_scipy():
    assert all(np.isnan(student_t([0.1, 0.2, 0.3, 0.4])))
    values = [0.1, 0.4, 0.35, 0.8, 0.2]
    assert student_t(values) == pytest.approx(stats.ttest_1samp(values, 0).confidence_interval())


def test_resampled_seeds_widen_the_interval_when_they_differ_and_hardly_when_they_agree():
    rng = np.random.default_rng(5)
    same = [rng.normal(0.5, 0.01, 2000) for _ in range(6)]
    apart = [rng.normal(mean, 0.01, 2000) for mean in (0.1, 0.3, 0.5, 0.6, 0.7, 0.8)]
    narrow, wide = interval(over_seeds(same, False)), interval(over_seeds(apart, False))
    assert np.diff(narrow) < 0.03
    spread = np.std([0.1, 0.3, 0.5, 0.6, 0.7, 0.8]) / np.sqrt(6)
    assert np.diff(wide) == pytest.approx(2 * 1.96 * spread, rel=0.1)


def coverage(trials, n_clusters, per_cluster=3, seed=0):
    """How often the interval of a ratio holds the true one, .6; clusters share part of their noise."""
    rng = np.random.default_rng(seed)
    clusters = [str(c) for c in range(n_clusters) for _ in range(per_cluster)]
    hits = 0
    for _ in range(trials):
        common = rng.standard_normal((2, n_clusters)).repeat(per_cluster, axis=1)
        own = rng.standard_normal((2, n_clusters * per_cluster))
        below = 4 + common[0] + own[0]
        above = 0.6 * 4 + 0.5 * common[0] + common[1] + own[1]
        low, high = interval(ratio_draws(above, below, clusters))
        hits += low <= 0.6 <= high
    return hits / trials


def test_intervals_over_forty_clusters_cover_about_as_often_as_they_say():
    assert 0.9 <= coverage(300, 40) <= 0.985


@pytest.mark.slow
def test_intervals_cover_as_measured():
    assert coverage(4000, 40) == pytest.approx(0.94, abs=0.015)
    assert coverage(4000, 100) == pytest.approx(0.95, abs=0.015)
    assert coverage(2000, 4) < 0.88
