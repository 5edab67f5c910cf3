"""Orders of methods: groups that a test cannot tell apart, the ranks that it leaves open, and points by Borda."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


def groups(different: Flags, order: Sequence[int]) -> list[list[int]]:
    """All largest sets of methods of which no two are told apart, in the order of their best member.

    ``different`` is ``[n, n]``, symmetric; ``order`` has the methods best first. A method may be in several groups, and
    one that differs from all others is a group by itself. (Bron and Kerbosch 1973; Demsar 2006 draws them as bars.)
    """
    place = {method: i for i, method in enumerate(order)}
    found: list[set[int]] = []
    _extend(set(), set(order), set(), {m: {o for o in order if o != m and not different[m, o]} for m in order}, found)
    return sorted((sorted(clique, key=place.__getitem__) for clique in found), key=lambda c: [place[m] for m in c])


def _extend(
    clique: set[int], open_: set[int], done: set[int], ties: dict[int, set[int]], found: list[set[int]]
) -> None:
    if not open_ and not done:
        found.append(clique)
        return
    pivot = max(sorted(open_ | done), key=lambda m: len(ties[m] & open_))
    for method in sorted(open_ - ties[pivot]):
        _extend(clique | {method}, open_ & ties[method], done & ties[method], ties, found)
        open_ = open_ - {method}
        done = done | {method}


def letters(found: Sequence[Sequence[int]], n: int) -> list[str]:
    """``a``, ``b``, ``ab``: the groups of each of ``n`` methods; after ``z`` comes ``a2``."""
    names = [chr(97 + i % 26) + (str(i // 26 + 1) if i >= 26 else "") for i in range(len(found))]
    return ["".join(name for name, group in zip(names, found, strict=True) if m in group) for m in range(n)]


def ranks(scores: Floats) -> Floats:
    """Ranks ``[..., n]``, 1 for the highest; equal scores share the mean."""
    above = (scores[..., None, :] > scores[..., :, None]).sum(-1)
    equal = (scores[..., None, :] == scores[..., :, None]).sum(-1)
    return np.asarray(above + (equal + 1) / 2)


def open_ranks(better: Flags) -> NDArray[np.int64]:
    """The lowest and highest rank that tests leave open, ``[n, 2]``: 1 + those told to be better, n - those worse.

    ``better`` is ``[n, n]``: whether the tests tell that the row is above the column. Where they hold their family's
    error rate at 5 %, all true ranks lie in these at once with 95 % or more (Al Mohamad, Goeman and van Zwet 2022).
    Percentiles of bootstrapped ranks do not: of ten methods that are nearly tied, one that is on top by chance hardly
    ever comes out last, however often it is drawn again.
    """
    return np.stack([1 + better.sum(axis=0), len(better) - better.sum(axis=1)], axis=1)


def borda(scores: Floats) -> Floats:
    """Share of the other methods that each is above, half for equal ones, ``[..., n]`` in [0, 1]."""
    n = scores.shape[-1]
    return (n - ranks(scores)) / (n - 1) if n > 1 else np.full(scores.shape, 0.5)
