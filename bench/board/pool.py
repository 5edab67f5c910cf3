"""Pooling: the cells of one row, over models, data and method seeds."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.board.figures import Figure
from bench.scoring.bootstrap import MIN_CLUSTERS, MIN_SEEDS, interval, over_seeds, student_t
from bench.scoring.truth import p_value

Unit = tuple[int | None, int | None]
NAN = math.nan


@dataclass(frozen=True)
class Pooled:
    """One row's score."""

    score: float
    low: float = NAN
    high: float = NAN
    p: float = NAN
    floor: float = NAN
    values: tuple[float, ...] = ()
    """Score of each unit: of each model and data seed, or of each method seed where there is one model."""
    note: str = ""


def pool(group: Sequence[Figure]) -> Pooled:
    """Mean over models (and data seeds) of the mean over method seeds, with an interval.

    Figures that rest on examples: the cluster bootstrap, averaged over the cells (cells with the same examples are
    resampled together); with five seeds or more the seeds are resampled too. Figures against the planted truth: a
    Student-t interval over five model seeds or more. Else no interval, and a note says why.
    """
    units = by_unit(group)
    values = tuple(float(np.mean([f.value for f in unit])) for unit in units)
    low, high, note = _truth_interval(group, values) if not group[0].n_clusters else _interval(units)
    null, side = _null(units), group[0].null_direction
    score = float(np.mean(values))
    return Pooled(
        score, low, high, NAN if null is None else p_value(side * score, side * null),
        float(np.mean([np.mean([f.floor for f in unit]) for unit in units])), values, note,
    )  # fmt: skip


def by_unit(group: Sequence[Figure]) -> list[list[Figure]]:
    """The figures of each model and data seed, or of each method seed where there is one model and one data set."""
    units: dict[Unit, list[Figure]] = defaultdict(list)
    for figure in sorted(group, key=lambda f: [-1 if s is None else s for s in f.record.seeds]):
        units[figure.record.model_seed, figure.record.data_seed].append(figure)
    if len(units) == 1:
        return [[figure] for figure in next(iter(units.values()))]
    return list(units.values())


def _interval(units: list[list[Figure]]) -> tuple[float, float, str]:
    fewest = min(f.n_clusters for unit in units for f in unit)
    if fewest < MIN_CLUSTERS:
        return NAN, NAN, f"no interval: {fewest} clusters, {MIN_CLUSTERS} are needed"
    draws: list[NDArray[np.float64]] = []
    for unit in units:
        draws.append(np.mean([f.draws for f in unit if f.draws is not None], axis=0))
    if len(units) == 1:
        return (*interval(draws[0]), "")
    if len(units) < MIN_SEEDS:
        return (*interval(np.mean(draws, axis=0)), f"interval over examples only: {len(units)} seeds")
    data = {(f.record.data_seed, f.clusters) for unit in units for f in unit}
    return (*interval(over_seeds(draws, shared=len(data) == 1)), "")


def _truth_interval(group: Sequence[Figure], values: tuple[float, ...]) -> tuple[float, float, str]:
    seeds = {f.record.model_seed for f in group}
    if len(seeds) < MIN_SEEDS:
        return NAN, NAN, f"no interval: {len(seeds)} planted models, {MIN_SEEDS} are needed"
    per_model: dict[int | None, list[float]] = defaultdict(list)
    for figure in group:
        per_model[figure.record.model_seed].append(figure.value)
    return (*student_t([float(np.mean(v)) for v in per_model.values()]), "")


def _null(units: list[list[Figure]]) -> NDArray[np.float64] | None:
    """The score under the null: each draw pools the cells as the score does."""
    nulls = [[f.null for f in unit if f.null is not None] for unit in units]
    if not all(nulls):
        return None
    return np.mean([np.mean(unit, axis=0) for unit in nulls], axis=0)


def seed_column(group: Sequence[Figure]) -> str:
    """The row's seeds, ``0;1;2``: of what varies, in the order model, data, method; ``0-0;0-1`` where two do."""
    table = sorted({f.record.seeds for f in group}, key=lambda seeds: [-1 if s is None else s for s in seeds])
    columns = [column for column in dict.fromkeys(zip(*table, strict=True)) if any(s is not None for s in column)]
    varying = [column for column in columns if len(set(column)) > 1] or columns[:1]
    return ";".join("-".join("" if s is None else str(s) for s in row) for row in zip(*varying, strict=True))
