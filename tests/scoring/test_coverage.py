"""Intervals hold the truth about as often as they say, and tests reject about as often, at the boards' own clusters."""

from collections import Counter

import numpy as np
import pytest

from tests.scoring.coverage import (
    BOARDS,
    CURVES,
    Design,
    coverage,
    estimates,
    members,
    over_tasks,
    rank_sets,
    size,
    tasks_under_the_null,
    truth,
    truth_figures,
)

RISING = [CURVES["rising"]] * 2


def check(held):
    """93 to 97 %, with three binomial standard errors for the number of simulations."""
    assert 0.93 - held.tolerance <= held.held <= 0.97 + held.tolerance, held


def check_design(design, kind, trials, curves=RISING):
    found = list(estimates(design, curves, kind, trials))
    between = design.between if design.seeds > 1 else 0.0
    check(coverage([e[0] for e in found], truth(kind, curves[0], between)))
    check(coverage([e[2] for e in found], 0.0))
    tolerance, rejected = 3 * np.sqrt(0.05 * 0.95 / trials), size([e[2].p for e in found])
    assert rejected <= 0.07 + tolerance
    given = np.mean([np.isfinite(e[2].low) for e in found])
    if given > 0.5:  # where a figure bends no interval is given, and the test takes off the largest bias that may be
        assert rejected >= 0.03 - tolerance


@pytest.mark.parametrize(
    "design",
    [
        Design("arithmetic", draws=400),
        Design("identity_rules", seeds=5, draws=100),
        Design("arithmetic", seeds=5, shared=True, draws=200),
    ],
)
@pytest.mark.parametrize("kind", ["ratio", "area"])
def test_figures_and_paired_differences_on_clusters_of_the_boards(design, kind):
    check_design(design, kind, 200)


@pytest.mark.parametrize("name", ["plateau", "nothing"])
def test_where_the_area_bends_hardly_any_interval_is_given_and_no_test_rejects_too_often(name):
    """A method whose f is exactly 1, or 0, at most sizes: the figure of the examples is biased whatever is done."""
    curves = [CURVES[name], CURVES["rising"]]
    found = list(estimates(Design("arithmetic", draws=400), curves, "area", 150))
    wrong = [e[0] for e in found if not e[0].low <= truth("area", CURVES[name], 0.0) <= e[0].high]
    assert sum(np.isfinite(e.low) for e in wrong) <= 0.07 * 150
    apart = truth("area", curves[0], 0.0) - truth("area", curves[1], 0.0)
    assert sum(not (e[2].low <= apart <= e[2].high) and np.isfinite(e[2].low) for e in found) <= 0.07 * 150


def test_figures_against_the_truth_over_five_models_and_means_over_tasks():
    check(truth_figures(5, 0.03, 0.8, 1000))
    check(over_tasks(8, 1000, skew=False))


def test_open_ranks_hold_all_true_ranks_at_once():
    for gap in (0.01, 1.0):
        assert rank_sets(4, gap, 5, 150) >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / 150)


def test_the_clusters_are_those_of_the_boards():
    for board, sizes in BOARDS.items():
        assert Counter(Counter(members(board).tolist()).values()) == sizes and sum(sizes.values()) >= 40


@pytest.mark.slow
@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize("seeds", [1, 5])
@pytest.mark.parametrize("kind", ["ratio", "area"])
def test_every_board(board, seeds, kind):
    check_design(Design(board, seeds=seeds, draws=1000), kind, 2000)


@pytest.mark.slow
def test_the_signed_rank_test_rejects_no_more_than_its_level():
    rejected, most = tasks_under_the_null(8, Design("identity_rules", draws=50), 1000)
    assert abs(rejected - most) <= 3 * np.sqrt(most * (1 - most) / 1000)


@pytest.mark.slow
def test_figures_against_the_truth_of_many_shapes():
    for centre in (0.5, 0.8, 0.9):
        check(truth_figures(5, 0.03, centre, 20000))
    check(over_tasks(8, 20000, skew=True))
    for gap in (0.01, 0.5, 2.0):
        assert rank_sets(6, gap, 5, 1000) >= 0.95 - 0.021
