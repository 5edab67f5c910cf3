"""Pooling: the cells of one row, over models, data and method seeds."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.board.figures import Figure
from bench.scoring.estimate import Estimate, over_examples, over_units
from bench.scoring.truth import p_value

Unit = tuple[str, int | None]
"""A model's label (empty where there is one) and a seed."""
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
    """Score of each unit: of each model, or of each data seed or method seed where there is one model."""
    note: str = ""


def pool(group: Sequence[Figure]) -> Pooled:
    """Mean over units (models, data draws or method seeds; see :func:`unit_of`), with its interval and a note.

    Figures that rest on examples and figures against the planted truth: :mod:`bench.scoring.estimate`. No interval
    reaches beyond the metric's bounds.
    """
    units = by_unit(group)
    values = tuple(float(np.mean([f.value for f in unit])) for unit in units)
    found = _estimate(group, units, values)
    null, side = _null(units), group[0].null_direction
    low, high = np.clip([found.low, found.high], *group[0].bounds)
    return Pooled(
        found.value, float(low), float(high), NAN if null is None else p_value(side * found.value, side * null),
        float(np.mean([np.mean([f.floor for f in unit]) for unit in units])), values, found.note,
    )  # fmt: skip


def _estimate(group: Sequence[Figure], units: list[list[Figure]], values: Sequence[float]) -> Estimate:
    fewest = min(f.n_clusters for f in group)
    if fewest:
        draws, bends = [unit_draws(unit) for unit in units], [unit_bias(unit) for unit in units]
        return over_examples(values, draws, fewest, bends=bends)
    models = split(group, by_model)
    found = over_units([float(np.mean([f.value for f in unit])) for unit in models.values()])
    return found._replace(value=float(np.mean(values)))


def by_unit(group: Sequence[Figure]) -> list[list[Figure]]:
    """The figures of each unit, in the order of their seeds."""
    return list(split(group, unit_of(group)).values())


def unit_of(group: Sequence[Figure]) -> Callable[[Figure], Unit]:
    """What is pooled last: the model where there are several, else the data seed, else the method seed."""
    for unit in (by_model, _by_data):
        if len({unit(figure) for figure in group}) > 1:
            return unit
    return _by_method


def by_model(figure: Figure) -> Unit:
    """The model and its seed."""
    return figure.record.model, figure.record.model_seed


def _by_data(figure: Figure) -> Unit:
    return "", figure.record.data_seed


def _by_method(figure: Figure) -> Unit:
    return "", figure.record.method_seed


def split(group: Sequence[Figure], unit: Callable[[Figure], Unit]) -> dict[Unit, list[Figure]]:
    """Figures by unit, in the order of their models and seeds."""
    units: dict[Unit, list[Figure]] = defaultdict(list)
    for figure in sorted(group, key=lambda f: (f.record.model, [-1 if s is None else s for s in f.record.seeds])):
        units[unit(figure)].append(figure)
    return dict(units)


def unit_draws(unit: Sequence[Figure]) -> NDArray[np.float64] | None:
    """Mean bootstrap draws of a unit's figures, ``[n_draws]``; None where one has none."""
    draws = [f.draws for f in unit if f.draws is not None]
    return np.mean(draws, axis=0) if len(draws) == len(unit) else None


def unit_bias(unit: Sequence[Figure]) -> float:
    """The largest bias that bends can give to the mean of a unit's figures."""
    return float(np.mean([f.bias for f in unit]))


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
