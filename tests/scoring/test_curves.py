"""Faithfulness and the areas under it, in closed form."""

import numpy as np
import pytest

from bench.scoring.curves import area_log, area_log_bias, at_zero, closeness, faithfulness, shares, trapezoid


def test_faithfulness_is_a_ratio_of_means_and_not_a_mean_of_ratios():
    whole, empty, circuit = np.array([10.0, 0.2]), np.array([0.0, 0.1]), np.array([5.0, 0.1])
    f = faithfulness(circuit[:, None], whole, empty)
    assert f[0, 0] == pytest.approx((2.55 - 0.05) / (5.1 - 0.05))
    assert f[0, 0] != pytest.approx(np.mean((circuit - empty) / (whole - empty)))


def test_weights_resample_numerator_and_denominator_together():
    rng = np.random.default_rng(0)
    whole, empty, circuits = rng.standard_normal(7) + 3, rng.standard_normal(7), rng.standard_normal((7, 2, 3))
    drawn = rng.integers(7, size=7)
    weights = np.bincount(drawn, minlength=7).astype(float)[None]
    direct = faithfulness(circuits[drawn], whole[drawn], empty[drawn])
    assert faithfulness(circuits, whole, empty, weights) == pytest.approx(direct)
    assert at_zero(whole, empty, weights) == pytest.approx(at_zero(whole[drawn], empty[drawn]))


def test_the_whole_model_has_faithfulness_one_and_the_empty_circuit_zero_whatever_the_unit():
    whole, empty = np.array([2.0, 4.0]), np.array([-2.0, 0.0])
    f = faithfulness(np.stack([whole, empty], axis=1), whole, empty)
    assert f.tolist() == [[1.0, 0.0]]
    assert faithfulness(3 * whole[:, None] + 1, 3 * whole + 1, 3 * empty + 1)[0, 0] == 1.0
    assert at_zero(whole, empty)[0] == pytest.approx(0.25)


def test_closeness_punishes_overshooting_as_much_as_falling_short():
    f = np.array([-0.5, 0.0, 0.25, 1.0, 1.75, 2.0, 9.0])
    assert closeness(f).tolist() == [0.0, 0.0, 0.25, 1.0, 0.25, 0.0, 0.0]


@pytest.mark.parametrize("points", [2, 7, 40])
def test_a_curve_that_is_linear_in_log_size_has_half_the_area_on_any_grid(points):
    n_edges = 5000
    sizes = np.geomspace(1 / n_edges, 1, points)
    sizes[-1] = 1
    f = 1 + np.log(sizes) / np.log(n_edges)
    assert area_log(f, sizes, n_edges) == pytest.approx(0.5)
    assert area_log(2 - f, sizes, n_edges) == pytest.approx(0.5)


def test_the_area_is_one_where_one_edge_is_enough_and_zero_where_all_are_needed():
    sizes = np.array([0.0, 0.01, 0.1, 1.0])
    assert area_log(np.ones(4), sizes, 100) == pytest.approx(1)
    assert area_log(np.array([5.0, 0.0, -1.0, 1.0]), np.array([0.0, 0.01, 0.999999, 1.0]), 100) < 1e-6
    assert area_log(np.array([0.0, 0.0, 1.0]), np.array([0.0, 0.0, 1.0]), 100) == 0


def test_nothing_counts_below_the_smallest_circuit():
    assert area_log(np.ones(2), np.array([0.1, 1.0]), 100) == pytest.approx(0.5)


def test_sizes_that_do_not_end_at_the_whole_model_are_refused():
    for sizes in ([0.1, 0.5], [0.5, 0.1, 1.0], [0.0, 0.0]):
        with pytest.raises(ValueError, match="sizes"):
            area_log(np.ones(len(sizes)), np.array(sizes), 100)


def test_trapezoids_agree_with_numpy():
    rng = np.random.default_rng(1)
    x, y = np.sort(rng.random(9)), rng.standard_normal((4, 9))
    assert trapezoid(y, x) == pytest.approx(np.trapezoid(y, x, axis=-1))


def test_the_bias_of_a_bend_is_that_of_a_simulation_at_the_bend_and_none_away_from_it():
    sizes, n_edges = np.array([0.01, 0.1, 0.5, 1.0]), 100
    rng = np.random.default_rng(0)
    for true, expected in (([0.3, 1.0, 1.0, 1.0], True), ([0.0, 0.4, 0.5, 1.0], True), ([0.3, 0.6, 0.8, 1.0], False)):
        draws = np.array(true) + rng.normal(0, 0.01, (40000, 4)) * [1, 1, 1, 0]
        shift = area_log(np.array([true]), sizes, n_edges)[0] - area_log(draws, sizes, n_edges).mean()
        found = area_log_bias(np.array(true), draws, sizes, n_edges)
        assert found == pytest.approx(abs(shift) if expected else 0, rel=0.05, abs=2e-5) and (found > 0) == expected
    assert shares(sizes) @ [1.0, 2.0, 5.0, 3.0] == pytest.approx(trapezoid(np.array([1.0, 2.0, 5.0, 3.0]), sizes))
