"""Tests over tasks: the exact signed-rank test, the smallest p it can give, Holm's correction, the effect size.

The unit is the task; models and seeds of one task are replicates of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]
ALPHA = 0.05
MOST_TIED = 20
"""Tasks up to which tied differences are tested by all sign flips."""


class SignedRank(NamedTuple):
    """Wilcoxon's signed-rank test of paired differences, two-sided."""

    p: float
    effect: float
    """Rank-biserial correlation, (R+ - R-) / (R+ + R-), in [-1, 1]; 0 where all differences are 0."""
    zeros: int
    """Differences of 0: they are left out of the test."""


def signed_rank(differences: Sequence[float]) -> SignedRank:
    """The exact test of ``[n_tasks]`` differences; ties by all sign flips, zeros left out (Wilcoxon's own way)."""
    every = np.asarray(differences, dtype=np.float64)
    kept = every[every != 0]
    zeros = len(every) - len(kept)
    if not len(kept):
        return SignedRank(1.0, 0.0, zeros)
    ranks = stats.rankdata(np.abs(kept))
    effect = float((np.sign(kept) * ranks).sum() / ranks.sum())
    return SignedRank(_exact(kept), effect, zeros)


def smallest_p(n_tasks: int) -> float:
    """The smallest two-sided p that the signed-rank test can give: that of all tasks agreeing."""
    return min(1.0, 2.0 ** (1 - n_tasks))


def holm(p_values: Sequence[float], family: int | None = None) -> Floats:
    """Holm's adjusted p-values; NaN (not tested) counts in the family and stays NaN.

    ``family`` is how many tests were declared, where more than are shown: those count as if their p were larger, which
    never makes an adjusted p smaller than all of them together would.
    """
    p = np.asarray(p_values, dtype=np.float64)
    size = max(len(p), family or 0)
    adjusted = np.full(len(p), math.nan)
    order = [i for i in np.argsort(p, kind="stable") if math.isfinite(p[i])]
    running = 0.0
    for place, i in enumerate(order):
        running = max(running, min(1.0, (size - place) * p[i]))
        adjusted[i] = running
    return adjusted


def _exact(kept: Floats) -> float:
    if len(np.unique(np.abs(kept))) == len(kept):
        return float(stats.wilcoxon(kept, method="exact").pvalue)
    if len(kept) <= MOST_TIED:
        flips = stats.PermutationMethod(n_resamples=2 ** len(kept) + 1, batch=2**12)
        return float(stats.wilcoxon(kept, method=flips).pvalue)
    return float(stats.wilcoxon(kept, method="asymptotic", correction=True).pvalue)
