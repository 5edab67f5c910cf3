"""Double dissociation: hand-computed figures, p-values under the null, power, and what is missing and why."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bench.metric import Undefined
from bench.scoring.dissociation import (
    dissociation,
    drops,
    interaction,
    matched_sets,
    permutation_p,
    selectivity,
)

CHANCE = (0.5, 0.5)


def simulated(rng, accuracy, n_clusters=50, per=4, chance=CHANCE, intact=(1.0, 1.0)):
    """Outcomes of pairs: right with the given probability [circuits, tasks], and of one luck within a cluster."""
    n = n_clusters * per
    clusters = [f"c{i // per}" for i in range(n)]
    # half of a pair's luck is its cluster's, so that pairs of a cluster go together
    luck = rng.random((n, 2, 2))
    shared = np.repeat(rng.random((n_clusters, 2, 2)), per, axis=0)
    luck = np.where(rng.random((n, 1, 1)) < 0.5, shared, luck)
    whole = (rng.random((n, 2)) < np.array(intact)).astype(float)
    return whole, (luck < np.asarray(accuracy)).astype(float), clusters


def test_drops_selectivity_and_interaction_by_hand():
    """Task 0 goes from .9 to .7 and .9, task 1 from 1 to 1 and .5: drops .5, 0 by circuit 0 and 0, 1 by circuit 1."""
    n = 10
    intact = np.ones((n, 2))
    intact[0, 0] = 0
    ablated = np.ones((n, 2, 2))
    ablated[:3, 0, 0] = 0
    ablated[0, 1, 0] = 0
    ablated[:5, 1, 1] = 0
    found = drops(intact, ablated, CHANCE)
    assert found == pytest.approx(np.array([[[0.5, 0.0], [0.0, 1.0]]]))
    assert selectivity(found) == pytest.approx(np.array([[1.0, -1.0]]))
    assert interaction(found) == pytest.approx([0.75])


@pytest.mark.parametrize(
    ("drop", "s", "double"),
    [
        ([[0.6, 0.2], [0.1, 0.4]], [0.5, -0.6], 0.35),
        ([[0.6, 0.6], [0.3, 0.3]], [0.0, 0.0], 0.0),
        ([[0.8, 0.2], [0.8, 0.2]], [0.6, 0.6], 0.0),
        ([[0.5, -0.1], [0.0, 0.5]], [1.0, -1.0], 0.55),
        ([[0.2, 0.6], [0.6, 0.2]], [-0.5, 0.5], -0.4),
    ],
)
def test_selectivity_and_interaction_of_given_drops(drop, s, double):
    """Only a crossing of circuits and tasks makes an interaction: not a fragile task, not a strong ablation."""
    assert selectivity(np.array(drop)) == pytest.approx(s)
    assert interaction(np.array(drop)) == pytest.approx(double)


def test_logit_differences_have_chance_0_and_their_scale_cancels():
    rng = np.random.default_rng(0)
    intact, clusters = rng.normal(4, 1, (80, 2)), [str(i) for i in range(80)]
    ablated = np.stack([intact * [0.25, 1.0], intact * [1.0, 0.5]], axis=1)
    found = dissociation(intact, ablated, (0, 0), clusters)
    assert [[f.value for f in row] for row in found.drops] == [pytest.approx([0.75, 0]), pytest.approx([0, 0.5])]
    scaled = dissociation(intact * [3, 0.1], ablated * [3, 0.1], (0, 0), clusters)
    assert scaled.interaction.value == pytest.approx(found.interaction.value) == pytest.approx(0.625)
    assert scaled.p_interaction == found.p_interaction


def test_weights_of_a_draw_are_repetitions_of_its_pairs():
    rng = np.random.default_rng(1)
    intact, ablated = rng.random((6, 2)) + 1, rng.random((6, 2, 2))
    times = np.array([2, 0, 1, 0, 3, 0])
    by_hand = drops(np.repeat(intact, times, axis=0), np.repeat(ablated, times, axis=0), CHANCE)
    assert drops(intact, ablated, CHANCE, times[None].astype(float)) == pytest.approx(by_hand)


def test_a_strong_effect_is_found_with_every_figure_in_its_interval():
    intact, ablated, clusters = simulated(np.random.default_rng(2), [[0.55, 0.97], [0.95, 0.6]])
    found = dissociation(intact, ablated, CHANCE, clusters)
    figures = [*found.drops[0], *found.drops[1], *found.selectivity, found.interaction]
    assert all(f.low <= f.value <= f.high for f in figures)
    assert found.selectivity[0].low > 0.5 and found.selectivity[1].high < -0.4
    assert found.interaction.low > 0.5
    assert found.p_interaction < 0.001 and found.p_double == max(found.p_own) < 0.001


def test_one_selective_circuit_makes_an_interaction_but_no_double_dissociation():
    intact, ablated, clusters = simulated(np.random.default_rng(3), [[0.5, 1.0], [0.8, 0.8]])
    found = dissociation(intact, ablated, CHANCE, clusters)
    assert found.p_interaction < 0.001 and found.p_own[0] < 0.001
    assert found.p_double == found.p_own[1] > 0.05


def test_swapped_circuits_turn_every_sign():
    intact, ablated, clusters = simulated(np.random.default_rng(4), [[0.55, 0.97], [0.95, 0.6]])
    found, turned = (dissociation(intact, a, CHANCE, clusters) for a in (ablated, ablated[:, ::-1]))
    assert turned.interaction.value == pytest.approx(-found.interaction.value)
    assert [s.value for s in turned.selectivity] == [s.value for s in found.selectivity][::-1]
    assert turned.p_double > 0.99


@pytest.mark.parametrize("accuracy", [[[0.8, 0.8], [0.8, 0.8]], [[0.7, 0.7], [0.9, 0.9]]])
def test_p_is_uniform_under_the_null(accuracy):
    """Also where one ablation does more than the other; p up to .05 in about 5 % of the simulations."""
    rng, found = np.random.default_rng(5), []
    for i in range(300):
        intact, ablated, clusters = simulated(rng, accuracy, n_clusters=40, per=3)
        lost = (intact[:, None] - ablated) / 0.5
        own = (lost[..., 0] - lost[..., 1]) * [1, -1]
        found.append(permutation_p(own.sum(axis=1), clusters, seed=i, n=499))
    for level in (0.05, 0.2, 0.5, 0.8):
        share, error = np.mean(np.array(found) <= level), 3.5 * np.sqrt(level * (1 - level) / len(found))
        assert abs(share - level) < error


def test_intervals_of_the_interaction_cover_the_truth():
    """True drops .6, .2 and .1, .5: an interaction of .4."""
    rng, hits = np.random.default_rng(6), 0
    for i in range(100):
        intact, ablated, clusters = simulated(rng, [[0.7, 0.9], [0.95, 0.75]], n_clusters=60, per=2)
        found = dissociation(intact, ablated, CHANCE, clusters, seed=i).interaction
        hits += found.low <= 0.4 <= found.high
    assert hits / 100 > 0.88


@settings(max_examples=40, deadline=None)
@given(arrays(np.float64, 6, elements=st.sampled_from([-2.0, -0.5, 0.0, 0.5, 1.0, 3.0])))
def test_p_is_near_the_one_of_all_sign_changes(contrast):
    clusters = ["a", "a", "b", "c", "d", "e"]
    sums = np.array([contrast[0] + contrast[1], *contrast[2:]])
    exact = np.mean([np.dot(signs, sums) >= sums.sum() - 1e-9 for signs in product((1, -1), repeat=5)])
    assert permutation_p(contrast, clusters, n=4000) == pytest.approx(exact, abs=0.04)


def test_pairs_of_a_cluster_are_turned_together():
    """One cluster of 40 pairs says no more than one of 1: half of the labellings reach what was seen."""
    assert permutation_p(np.ones(40), ["a"] * 40) == pytest.approx(0.5, abs=0.02)
    assert permutation_p(np.ones(40), [str(i) for i in range(40)]) == pytest.approx(1 / 10000)


def test_selectivity_is_missing_where_an_ablation_does_nothing():
    rng = np.random.default_rng(7)
    intact, ablated, clusters = simulated(rng, [[0.9, 0.9], [0.95, 0.6]], intact=(0.9, 0.9))
    found = dissociation(intact, ablated, CHANCE, clusters)
    nothing, something = found.selectivity
    assert np.isnan(nothing.value) and nothing.reason == "the interval of the sum of the drops contains 0"
    assert something.value < -0.5 and not something.reason
    unchanged = dissociation(intact, np.stack([intact, intact], 1), CHANCE, clusters)
    assert all(s.reason for s in unchanged.selectivity) and unchanged.p_double == 1


def test_what_cannot_be_judged_is_refused():
    intact, ablated, clusters = simulated(np.random.default_rng(8), [[0.5, 0.9], [0.9, 0.5]], intact=(0.5, 0.9))
    with pytest.raises(Undefined, match="task 0 is not above chance"):
        dissociation(intact, ablated, CHANCE, clusters)
    with pytest.raises(Undefined, match="task 1 is not above chance"):
        dissociation(intact[:, ::-1] * [1, -1], ablated, CHANCE, clusters)
    with pytest.raises(ValueError, match="39 clusters; 40 are needed"):
        dissociation(intact[:39], ablated[:39], CHANCE, [str(i) for i in range(39)])
    with pytest.raises(ValueError, match=r"not \(200, 2\) and \(200, 2\)"):
        dissociation(intact, ablated[:, 0], CHANCE, clusters)


def test_matched_sets_are_of_the_smallest_circuits_size_and_all_of_them_where_they_are_few():
    found = matched_sets({"small": ["m2", "m1"], "large": ["a", "b", "c", "d"]})
    assert found["small"] == [("m1", "m2")]
    assert found["large"] == [("a", "b"), ("a", "c"), ("a", "d"), ("b", "c"), ("b", "d"), ("c", "d")]
    many = matched_sets({"small": ["x", "y", "z"], "large": [f"n{i}" for i in range(20)]}, seed=3)["large"]
    assert len(set(many)) == 32 and all(len(set(nodes)) == 3 for nodes in many)
    assert many == matched_sets({"small": ["x", "y", "z"], "large": [f"n{i}" for i in range(20)]}, seed=3)["large"]
    with pytest.raises(ValueError, match="circuit none has no nodes"):
        matched_sets({"none": [], "large": ["a"]})
