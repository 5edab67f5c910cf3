"""Faithfulness against size: each method's mean curve over seeds, with a band of what its seeds or examples leave open.

Curves of several seeds have points at different real sizes. Each is read at common sizes, linear in the log of the
size between its points as in `area_log`, and 0 below its smallest circuit, where only the empty one is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from bench.board.figures import Figure
from bench.board.pool import by_unit
from bench.scoring.bootstrap import MIN_CLUSTERS, MIN_SEEDS, cluster_weights
from bench.scoring.curves import faithfulness

Floats = NDArray[np.float64]
POINTS = 31
SEEDS = "95 % over seeds (Student's t at each size)"
RANGE = "from the lowest to the highest seed (fewer than five)"
EXAMPLES = "95 % over examples (cluster bootstrap at each size)"
NONE = "no band"


class Curve(NamedTuple):
    """A method's curve: ``size``, ``f``, ``low`` and ``high`` are ``[n]``; low and high are NaN without a band."""

    size: Floats
    f: Floats
    low: Floats
    high: Floats
    band: str
    """What the band is: `SEEDS`, `RANGE`, `EXAMPLES` or `NONE`."""


def curve(group: Sequence[Figure]) -> Curve | None:
    """The curve of one method's figures under one ablation; None where they have none."""
    units = [[f for f in unit if f.curve is not None] for unit in by_unit(group)]
    units = [unit for unit in units if unit]
    if not units:
        return None
    known = [_points(f) for unit in units for f in unit]
    smallest = min((float(points[0, 0]) for points in known if len(points)), default=1.0)
    size = np.geomspace(min(smallest, 0.999), 1.0, POINTS)
    table = np.stack([np.mean([_read(_points(f), size) for f in unit], axis=0) for unit in units])
    mean = table.mean(axis=0)
    low, high, band = _band(table, mean, units, size)
    return Curve(size, mean, low, high, band)


def _band(table: Floats, mean: Floats, units: Sequence[Sequence[Figure]], size: Floats) -> tuple[Floats, Floats, str]:
    n = len(table)
    if n >= MIN_SEEDS:
        half = float(stats.t.ppf(0.975, n - 1)) * table.std(axis=0, ddof=1) / np.sqrt(n)
        return mean - half, mean + half, SEEDS
    if n > 1:
        return table.min(axis=0), table.max(axis=0), RANGE
    bounds = _over_examples(units[0][0], size) if len(units[0]) == 1 else None
    if bounds is None:
        return np.full_like(mean, np.nan), np.full_like(mean, np.nan), NONE
    return bounds[0], bounds[1], EXAMPLES


def _over_examples(figure: Figure, size: Floats) -> tuple[Floats, Floats] | None:
    """Percentile bounds ``[n]`` at each size under the cluster bootstrap, from what the cell's record holds."""
    found = next(
        (m for m in figure.record.measurements if (m.metric, m.ablation) == (figure.name, figure.ablation)), None
    )  # fmt: skip
    if found is None or figure.n_clusters < MIN_CLUSTERS or not {"circuits", "whole", "empty"} <= set(found.arrays):
        return None
    assert figure.curve is not None
    weights = cluster_weights(found.clusters, figure.record.data_seed or 0)
    first = found.arrays["circuits"][:, 0]
    draws = faithfulness(first, found.arrays["whole"], found.arrays["empty"], weights)
    if draws.shape[1:] != figure.curve.shape[:1]:
        return None
    low, high = np.quantile(draws, [0.025, 0.975], axis=0)
    return tuple(_read(_distinct(np.stack([figure.curve[:, 0], f], axis=1)), size) for f in (low, high))  # type: ignore[return-value]


def _points(figure: Figure) -> Floats:
    assert figure.curve is not None
    return _distinct(figure.curve)


def _distinct(points: Floats) -> Floats:
    """``[n, 2]`` points of sizes above 0, ascending, each size once (equal sizes are the same circuit)."""
    kept = points[points[:, 0] > 0]
    _, first = np.unique(kept[:, 0], return_index=True)
    return kept[first]


def _read(points: Floats, size: Floats) -> Floats:
    if not len(points):
        return np.zeros_like(size)
    return np.interp(np.log(size), np.log(points[:, 0]) - 1e-12, points[:, 1], left=0.0)
