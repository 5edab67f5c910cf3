"""Groups, ranks that are left open, Borda: against exhaustive search and by hand."""

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from bench.scoring.ties import borda, groups, letters, open_ranks, ranks


def test_groups_are_all_largest_sets_without_a_difference():
    rng = np.random.default_rng(0)
    for n in (1, 2, 4, 6):
        for _ in range(30):
            upper = np.triu(rng.random((n, n)) < 0.5, 1)
            different = upper | upper.T
            tied = [
                set(s)
                for size in range(1, n + 1)
                for s in combinations(range(n), size)
                if not different[np.ix_(s, s)].any()
            ]
            largest = [s for s in tied if not any(s < other for other in tied)]
            found = groups(different, list(range(n)))
            assert sorted(map(sorted, largest)) == sorted(map(sorted, found)) and found == sorted(found)


def test_letters_name_the_groups_of_each_method():
    assert letters([[0, 1], [1, 2], [3]], 4) == ["a", "ab", "b", "c"]
    assert letters([[0]] * 27, 1)[0].endswith("za2")


def test_ranks_are_scipys_from_the_top():
    scores = np.array([[3.0, 1.0, 3.0, 2.0], [1.0, 1.0, 1.0, 1.0]])
    np.testing.assert_array_equal(ranks(scores), stats.rankdata(-scores, axis=1))


def test_tests_leave_open_what_they_do_not_exclude():
    better = np.zeros((3, 3), bool)
    assert open_ranks(better).tolist() == [[1, 3]] * 3
    better[0, 2] = True
    assert open_ranks(better).tolist() == [[1, 2], [1, 3], [2, 3]]
    better[0, 1] = better[1, 2] = True
    assert open_ranks(better).tolist() == [[1, 1], [2, 2], [3, 3]]


def test_borda_is_the_share_of_methods_below():
    assert borda(np.array([0.9, 0.5, 0.5, 0.1])) == pytest.approx([1, 0.5, 0.5, 0])
    assert borda(np.array([0.3])) == [0.5]
