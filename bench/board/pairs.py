"""The paired difference of two methods on one task: the same examples, models and seeds on both sides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.board.figures import Figure
from bench.board.pool import Unit, by_model, split, unit_bias, unit_draws, unit_of
from bench.scoring.estimate import Estimate, over_examples, over_units

Floats = NDArray[np.float64]
Units = dict[Unit, list[Figure]]
ANY: Unit = ("", None)
"""The unit of a method without chance."""


class Difference(NamedTuple):
    """How far one method is above another, in the figure's own unit; the sign is the figure's, not what is better."""

    estimate: Estimate
    by_example: bool
    """Whether the examples are paired; else models (seeds) alone are."""
    seeds: int
    clusters: int
    n: int
    alone: tuple[str, ...] = ()
    """Seeds that only one of the two has: they are left out."""


def difference(first: Sequence[Figure], second: Sequence[Figure]) -> Difference | None:
    """The mean difference over the units that both have; None where they have none in common.

    ``first`` and ``second`` are the ok figures of two methods on one task, metric and ablation.
    """
    units, others = _units(first, second)
    shared = [unit for unit in units if unit in others]
    if not shared:
        return None
    alone = tuple(sorted(str(seed) for _, seed in {*units, *others} - {*shared}))
    pairs = [(units[unit], others[unit]) for unit in shared]
    values = [_mean(a) - _mean(b) for a, b in pairs]
    fewest = min(f.n_clusters for pair in pairs for side in pair for f in side)
    n = min(f.record.n for pair in pairs for side in pair for f in side)
    if not fewest:
        return Difference(over_units(values), False, len(shared), 0, n, alone)
    draws = [_paired_draws(a, b) for a, b in pairs]
    bends = [unit_bias(a) + unit_bias(b) for a, b in pairs]
    found = over_examples(values, draws, fewest, percentile=False, bends=bends)
    return Difference(found, True, len(shared), fewest, n, alone)


def _units(first: Sequence[Figure], second: Sequence[Figure]) -> tuple[Units, Units]:
    """Each side's figures by unit; a side without chance stands against every method seed of the other.

    Figures against the planted truth have models as units, whatever else varies.
    """
    both = [*first, *second]
    unit = unit_of(both) if all(f.n_clusters for f in both) else by_model
    mine, theirs = split(first, unit), split(second, unit)
    return _spread(mine, theirs), _spread(theirs, mine)


def _spread(side: Units, other: Units) -> Units:
    if list(side) == [ANY] and ANY not in other:
        return dict.fromkeys(other, side[ANY])
    return side


def _paired_draws(first: Sequence[Figure], second: Sequence[Figure]) -> Floats | None:
    """Draws of the difference; None where the two were not scored on the same examples, or there are no draws."""
    if {(f.record.data_seed, f.clusters) for f in first} != {(f.record.data_seed, f.clusters) for f in second}:
        return None
    mine, theirs = unit_draws(first), unit_draws(second)
    return None if mine is None or theirs is None else mine - theirs


def _mean(found: Sequence[Figure]) -> float:
    return float(np.mean([f.value for f in found]))
