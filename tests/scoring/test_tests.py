"""Independence and equivalence against closed forms, scipy and their nominal size."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.preprocessing import KernelCenterer

from bench.scoring.equivalence import tost_null
from bench.scoring.independence import dependence
from bench.scoring.truth import p_value


def test_dependence_is_the_normalised_hsic_of_an_independent_library():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal(30), rng.standard_normal(30) ** 2
    kernels = []
    for values in (x, y):
        apart = np.abs(values[:, None] - values)[np.triu_indices(30, 1)]
        kernel = rbf_kernel(values[:, None], gamma=1 / (2 * np.median(apart) ** 2))
        kernels.append(KernelCenterer().fit_transform(kernel))
    k, other = kernels
    expected = np.trace(k @ other) / np.sqrt(np.trace(k @ k) * np.trace(other @ other))
    assert dependence(x, y)[0] == pytest.approx(expected)


def test_dependence_of_a_variable_on_itself_is_one_and_of_a_constant_zero():
    x = np.random.default_rng(0).standard_normal(20)
    assert dependence(x, 3 - 2 * x)[0] == pytest.approx(1)
    value, null = dependence(x, np.ones(20), 9)
    assert value == 0 and p_value(value, null) == 1


def test_dependence_sees_what_correlation_does_not():
    x = np.linspace(-1, 1, 60)
    value, null = dependence(x, x**2, 199)
    assert abs(np.corrcoef(x, x**2)[0, 1]) < 1e-9 and p_value(value, null) == 1 / 200


def test_the_independence_test_has_its_nominal_size():
    rng = np.random.default_rng(1)
    found = [p_value(*dependence(*rng.standard_normal((2, 20)), 39, i)) <= 0.1 for i in range(400)]
    assert stats.binomtest(sum(found), 400, 0.1).pvalue > 0.01


def tost(circuit, whole, empty, cluster, margin, seed=0):
    away = abs((circuit - whole).mean() / (whole - empty).mean())
    return p_value(-away, -tost_null(circuit, whole, empty, cluster, margin, seed))


def test_the_two_one_sided_tests_agree_with_scipys_t_tests():
    rng = np.random.default_rng(2)
    whole, empty = rng.normal(3, 0.3, 80), rng.normal(-3, 0.3, 80)
    for shift in (0.0, 0.3, -0.45, 0.6, -0.9):
        circuit = whole + shift + rng.normal(0, 1.0, 80)
        room = 0.1 * (whole - empty)
        low = stats.ttest_1samp(circuit - whole + room, 0, alternative="greater").pvalue
        high = stats.ttest_1samp(circuit - whole - room, 0, alternative="less").pvalue
        assert tost(circuit, whole, empty, np.arange(80), 0.1) == pytest.approx(max(low, high), abs=0.03)


@pytest.mark.parametrize("side", [1, -1])
def test_a_circuit_at_the_margin_is_called_equivalent_as_rarely_as_the_level_says_with_clusters(side):
    rng, found = np.random.default_rng(3), []
    cluster = np.repeat(np.arange(40), 3)
    for i in range(400):
        whole, empty = rng.normal(2, 0.2, 120), rng.normal(-2, 0.2, 120)
        noise = rng.normal(0, 0.5, 40)[cluster] + rng.normal(0, 0.3, 120)
        circuit = whole + side * 0.1 * (whole - empty) + noise
        found.append(tost(circuit, whole, empty, cluster, 0.1, i) <= 0.05)
    assert stats.binomtest(sum(found), 400, 0.05).pvalue > 0.01


def test_few_examples_are_no_evidence_of_equivalence():
    rng = np.random.default_rng(4)
    whole, empty = np.full(4, 2.0), np.full(4, -2.0)
    assert tost(whole + rng.normal(0, 0.3, 4), whole, empty, np.arange(4), 0.1) > 0.05
    assert tost(np.full(60, 2.0), np.full(60, 2.0), np.full(60, -2.0), np.arange(60), 0.1) == 1 / 2000
