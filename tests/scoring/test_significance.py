"""Tests over tasks: against exhaustive sweeps, closed forms and cases worked by hand."""

from itertools import product

import numpy as np
import pytest
from scipy import stats

from bench.scoring.significance import holm, signed_rank, smallest_p


def all_flips(differences):
    """The two-sided p by every assignment of signs, by hand."""
    kept = np.array([d for d in differences if d])
    ranks = stats.rankdata(abs(kept))
    sums = np.array([(ranks * (np.array(signs) > 0)).sum() for signs in product((-1, 1), repeat=len(kept))])
    seen, centre = (ranks * (kept > 0)).sum(), ranks.sum() / 2
    return np.mean(abs(sums - centre) >= abs(seen - centre) - 1e-12)


@pytest.mark.parametrize("n", (1, 2, 5, 8, 11))
@pytest.mark.parametrize("levels", (3, 1000))
def test_the_signed_rank_test_is_the_sweep_over_all_signs_with_and_without_ties_and_zeros(n, levels):
    rng = np.random.default_rng(n + levels)
    for _ in range(4):
        apart = rng.integers(-levels, levels + 1, n).astype(float)
        if apart.any():
            assert signed_rank(apart).p == pytest.approx(all_flips(apart))
        assert signed_rank(apart).zeros == (apart == 0).sum()


def test_all_tasks_agreeing_give_the_smallest_p_which_five_tasks_cannot_bring_under_a_twentieth():
    for n in range(1, 14):
        assert signed_rank(np.arange(1, n + 1)).p == pytest.approx(smallest_p(n)) == pytest.approx(min(1, 2 / 2**n))
    assert smallest_p(5) > 0.05 > smallest_p(6) and smallest_p(12) == pytest.approx(4.9e-4, rel=0.01)


def test_rank_biserial_is_the_share_of_ranks_above_minus_that_below():
    assert signed_rank([3.0, -1.0, 2.0]).effect == pytest.approx((3 + 2 - 1) / 6)
    assert signed_rank([0.0, 0.0]) == (1.0, 0.0, 2) and signed_rank([]).p == 1


def test_holm_by_hand_and_by_its_definition():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    rng = np.random.default_rng(0)
    for _ in range(50):
        p = rng.random(6) ** 3
        adjusted = holm(p)
        for alpha in (0.01, 0.05, 0.2):
            rejected, left = np.zeros(6, bool), 6
            for i in np.argsort(p):
                if p[i] > alpha / left:
                    break
                rejected[i], left = True, left - 1
            assert ((adjusted <= alpha) == rejected).all()


def test_what_was_not_tested_counts_in_the_family_and_a_declared_family_is_never_more_lenient():
    found = holm([0.01, np.nan, 0.02])
    assert found[0] == pytest.approx(0.03) and np.isnan(found[1]) and found[2] == pytest.approx(0.04)
    rng = np.random.default_rng(1)
    for _ in range(50):
        p = rng.random(8) ** 4
        assert (holm(p[:3], 8) >= holm(p)[:3] - 1e-12).all()
    assert holm([0.01], 5) == pytest.approx([0.05])
