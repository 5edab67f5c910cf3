"""Methods run again under new seeds: here, and only here, there is chance, and a difference may be noise.

Each figure's values under the new seeds are held against the frozen ones of the same model: a two-sample Student-t
test with one variance, pooled over the models, within which values are compared. It needs no second look at the frozen
examples, serves figures with and without examples alike, and works with a single frozen seed, since the new ones say
how much a seed matters. Over all rows together (Bonferroni) the chance of a false alarm is at most 5 %.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy import stats

from bench.board.figures import figures
from bench.board.record import CellRecord
from bench.harness.cells import Cell, identity
from bench.harness.keys import explanation_key
from bench.regress.compare import MISSING, MOVED, NEW, SAME
from bench.regress.frozen import FrozenCell
from bench.regress.trace import FIGURE

LEVEL = 0.05
MIN_NEW = 5
"""New seeds: with fewer the variance between seeds is anybody's guess."""
Place = tuple[str, ...]
Values = dict[int | None, list[float]]
"""By the model's seed."""


class TwoSample(NamedTuple):
    """A difference of means over models, its 95 % interval and the p-value of none; NaN without a variance."""

    difference: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class Rerun:
    """One row: frozen, and under new seeds."""

    place: Place
    """Task, model, level, method, metric, ablation, counterfactual."""
    status: str
    old: float = math.nan
    new: float = math.nan
    test: TwoSample = TwoSample(math.nan, math.nan, math.nan, math.nan)
    reason: str = ""


def with_seeds(cells: Iterable[Cell], seeds: Sequence[int]) -> list[Cell]:
    """The cells on the same models, with other examples and, where a method has chance in it, other draws."""
    found: dict[str, Cell] = {}
    for cell in cells:
        for seed in seeds:
            task = replace(cell.task, seed=seed)
            method = replace(cell.method, seed=None if cell.method.seed is None else seed, asked_seed=seed)
            key = explanation_key(identity(task, cell.model, method))
            found[key] = replace(cell, key=key, task=task, method=method)
    return list(found.values())


def two_samples(old: Mapping[int | None, Sequence[float]], new: Mapping[int | None, Sequence[float]]) -> TwoSample:
    """The mean over models of (mean of new - mean of old), one variance for all, values compared within models."""
    models = sorted(old.keys() & new.keys(), key=str)
    difference = float(np.mean([np.mean(new[m]) - np.mean(old[m]) for m in models]))
    groups = [np.asarray(side[m], dtype=np.float64) for m in models for side in (old, new)]
    freedom = sum(len(g) - 1 for g in groups)
    if freedom < 1:
        return TwoSample(difference, math.nan, math.nan, math.nan)
    variance = sum(float(((g - g.mean()) ** 2).sum()) for g in groups) / freedom
    error = math.sqrt(variance * sum(1 / len(g) for g in groups)) / len(models)
    if error <= 1e-12:
        return TwoSample(difference, difference, difference, 1.0 if abs(difference) <= 1e-9 else 0.0)
    half = stats.t.ppf(0.975, freedom) * error
    return TwoSample(
        difference, difference - half, difference + half, float(2 * stats.t.sf(abs(difference) / error, freedom))
    )


def held(frozen: Sequence[FrozenCell], records: Sequence[CellRecord]) -> list[Rerun]:
    """Every frozen row against the records of the new seeds."""
    old, new, why = _frozen(frozen), *_found(records)
    tests = {p: two_samples(old[p], new[p]) for p in old if p in new and old[p].keys() & new[p].keys()}
    return [_row(place, old, new, why, tests) for place in dict.fromkeys([*old, *new])]


def _row(
    place: Place, old: Mapping[Place, Values], new: Mapping[Place, Values], why: Mapping[Place, str],
    tests: Mapping[Place, TwoSample],
) -> Rerun:  # fmt: skip
    before, after = (_mean(side[place]) if place in side else math.nan for side in (old, new))
    if place not in tests:
        status = NEW if place not in old else MISSING
        return Rerun(place, status, before, after, reason=why.get(place, "") if status == MISSING else "")
    test = tests[place]
    moved = test.p < LEVEL / len(tests)
    within = "" if moved or abs(test.difference) <= 1e-9 else "within the noise of seeds"
    return Rerun(place, MOVED if moved else SAME, before, after, test, within)


def _frozen(cells: Sequence[FrozenCell]) -> dict[Place, Values]:
    found: dict[Place, Values] = defaultdict(lambda: defaultdict(list))
    for cell in cells:
        r = cell.record
        for score in cell.scores:
            for trace in (t for t in score.traces if t.kind == FIGURE and t.status == "ok"):
                place = (r["task"], r["model"], r["level"], r["method"], trace.name, score.ablation)
                found[(*place, r["counterfactual"])][r["model_seed"]].append(trace.value)
    return found


def _found(records: Sequence[CellRecord]) -> tuple[dict[Place, Values], dict[Place, str]]:
    values: dict[Place, Values] = defaultdict(lambda: defaultdict(list))
    why: dict[Place, str] = {}
    for f in figures(records):
        r = f.record
        place = (r.task, r.model, r.level, r.method, f.metric, f.ablation, r.counterfactual)
        if f.status == "ok":
            values[place][r.model_seed].append(f.value)
        else:
            why[place] = f"{f.status}: {f.reason}" if f.reason else f.status
    return values, why


def _mean(values: Values) -> float:
    return float(np.mean([np.mean(found) for found in values.values()]))


def moved(rows: Sequence[Rerun]) -> bool:
    """Whether a row moved, or is not there any more."""
    return any(row.status in (MOVED, MISSING) for row in rows)
