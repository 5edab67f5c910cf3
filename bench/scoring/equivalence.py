"""Equivalence of a circuit and the model as two one-sided tests."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
FLIPS = 1999


def tost_null(
    circuit: Floats, whole: Floats, empty: Floats, cluster: NDArray[Any], margin: float, seed: int = 0, n: int = FLIPS
) -> Floats:
    """|1 - f| as it would come out if it were ``margin``, ``[n]``: draws at or below the measured one give p.

    Arguments are per example. Of the two null hypotheses, m(C) - m(M) >= margin * gap and <= -margin * gap, each is
    tested by itself: the clusters' sums of ``margin * gap_i -+ (m_i(C) - m_i(M))`` have mean 0 or less under it, and
    their signs are flipped at random. The gap is each example's own, so that its noise counts. Both have to be
    rejected, so the draws are those of the test with the larger p.
    """
    _, member = np.unique(cluster, return_inverse=True)
    gap, difference = whole - empty, circuit - whole
    sign = np.sign(gap.mean()) or 1.0
    rng = np.random.default_rng([seed, len(circuit)])
    flips = rng.integers(0, 2, size=(n, int(member.max()) + 1)) * 2.0 - 1.0
    scale = len(gap) * abs(gap.mean())
    best: tuple[float, Floats] | None = None
    for side in (1.0, -1.0):
        sums = np.bincount(member, weights=sign * margin * gap - side * difference) / scale
        room, drawn = sums.sum(), flips @ sums
        reached = float((drawn >= room - 1e-12).mean())
        if best is None or reached > best[0]:
            measured = abs(difference.mean() / gap.mean())
            best = reached, measured + room - drawn
    assert best is not None
    return best[1]
