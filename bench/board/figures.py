"""Figures of single cells: stored measurements, reduced and bootstrapped."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bench.board.record import CellRecord
from bench.measuring import without_paths
from bench.metric import Measurement, Metric, Undefined
from bench.scoring.bootstrap import MIN_CLUSTERS, cluster_weights, contains_zero, interval, n_clusters

SAME_SIZES = ("node", "edge")
"""Levels whose circuits are all measured in edges, so that figures of one may stand beside those of the other."""

Load = Callable[[str], type[Metric]]


@dataclass(frozen=True)
class Figure:
    """One figure of one cell, or why there is none."""

    record: CellRecord
    metric: str
    """The label in boards; empty where the cell itself has no figures."""
    name: str
    ablation: str
    key: str
    status: str
    reason: str = ""
    value: float = math.nan
    draws: NDArray[np.float64] | None = None
    """``[n_draws]`` under the cluster bootstrap; None where there are too few clusters or no examples."""
    bias: float = 0.0
    """The largest bias that a bend of the figure can cause."""
    n_clusters: int = 0
    """0 where the figure does not rest on examples."""
    clusters: tuple[str, ...] = ()
    direction: int = 1
    bounds: tuple[float, float] = (-math.inf, math.inf)
    across_levels: bool = False
    """Whether node and edge methods' figures are on one scale."""
    floor: float = math.nan
    """The analytic floor."""
    null: NDArray[np.float64] | None = None
    null_name: str = ""
    null_direction: int = 1
    """1 where draws of the null count that are at least as high as the figure, -1 where those that are as low."""
    curve: NDArray[np.float64] | None = field(default=None, compare=False)


def figures(records: Sequence[CellRecord], load: Load | None = None) -> Iterator[Figure]:
    """All figures of all cells; a cell without measurements gives one, with its status and an empty metric."""
    load = load or _registered
    for record in records:
        if record.status != "ok":
            yield Figure(record, "", "", "", record.key, record.status, record.reason)
        elif not record.measurements:
            yield Figure(record, "", "", "", record.key, "missing", "not scored yet: run `bench score`")
        keys = record.score_keys or (record.key,) * len(record.measurements)
        for measurement, key in zip(record.measurements, keys, strict=True):
            yield from _of_measurement(record, measurement, key, load)


def _registered(name: str) -> type[Metric]:
    from bench.registry import discover

    return discover().metrics.load(name)


def _of_measurement(record: CellRecord, found: Measurement, key: str, load: Load) -> list[Figure]:
    def without(status: str, reason: str, label: str = found.metric) -> Figure:
        return Figure(record, label, found.metric, found.ablation, key, status, reason)

    try:
        metric = load(found.metric)(**found.parameters)
    except Exception as error:
        return [without("failed", f"the metric cannot be loaded: {without_paths(str(error))}")]
    if found.status != "ok":
        return [without(found.status, found.reason, metric.label())]
    if found.version != metric.version:
        return [without("missing", f"measured with version {found.version}, now {metric.version}: run `bench score`")]
    try:
        return list(_reduced(record, found, key, metric))
    except Undefined as error:
        return [without("undefined", str(error), metric.label())]
    except Exception as error:
        return [without("failed", f"{type(error).__name__}: {without_paths(str(error))}", metric.label())]


def _reduced(record: CellRecord, found: Measurement, key: str, metric: Metric) -> Iterator[Figure]:
    clusters = n_clusters(found.clusters)
    weights = cluster_weights(found.clusters, record.data_seed or 0) if clusters else None
    why = _small_denominator(metric, found, weights)
    values = metric.reduce(found.arrays)
    draws = metric.reduce(found.arrays, weights) if clusters >= MIN_CLUSTERS and not why else {}
    bias = metric.bias(found.arrays, weights) if draws and weights is not None else {}
    floors, nulls = metric.floors(found.arrays), metric.p_draws(found.arrays)
    for suffix, value in values.items():
        label = metric.label(suffix)
        if why or not np.isfinite(value):
            reason = why or "the figure is not finite"
            yield Figure(record, label, metric.name, found.ablation, key, "undefined", reason)
            continue
        yield Figure(
            record, label, metric.name, found.ablation, key, "ok", "", float(value), draws.get(suffix),
            bias.get(suffix, 0.0), clusters, found.clusters, metric.suffix_direction(suffix), metric.bounds,
            metric.across_levels and record.level in SAME_SIZES, floors.get(suffix, math.nan), nulls.get(suffix),
            metric.null if suffix in nulls else "", metric.null_direction(suffix),
            metric.curve(found.arrays) if suffix == "" else None,
        )  # fmt: skip


def _small_denominator(metric: Metric, found: Measurement, weights: NDArray[np.float64] | None) -> str:
    """Why the ratio is not defined, or nothing."""
    whole = metric.denominator(found.arrays)
    if whole is None:
        return ""
    draws = metric.denominator(found.arrays, weights) if weights is not None else whole
    assert draws is not None
    if not contains_zero(draws):
        return ""
    low, high = interval(draws)
    return (
        f"the effect of the whole model over the empty circuit, {whole[0]:.4g} [{low:.4g}, {high:.4g}],"
        " cannot be told from 0, so shares of it are not defined"
    )
