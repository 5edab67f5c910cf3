"""From records to the rows of a board, in the promised columns."""

from __future__ import annotations

import hashlib
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bench.board.figures import Figure, Load, figures
from bench.board.pool import pool, seed_column
from bench.board.record import CellRecord

COLUMNS = (
    "track", "task", "model", "method", "level", "metric", "ablation", "counterfactual", "split", "score", "low",
    "high", "n", "seeds", "floor", "ceiling", "normalized", "p", "forwards", "backwards", "seconds", "status", "reason",
    "key",
)  # fmt: skip
APPENDED = ("direction", "planted", "values", "note", "author", "link", "date", "mark")
"""The circuit track's own columns: 1 where higher is better, -1 where lower is, 0 where the figure is no score;
whether the model is planted; the score of each unit that was pooled; what to know about the row; who handed it in,
where to read about it, when, and whether it is of ``public truth`` or ``verified`` (all four empty for our own)."""
FLOOR, CEILING = "random", "oracle"

OF_TRACK = {"variable": ("variable", "site", "rank"), "dictionary": ("site", "architecture", "l0", "control")}
"""Columns that a track appends behind those. What was looked for, where, and in how many dimensions; where, the method
without its place on a curve, the L0 that was asked for (a number), and ``yes`` for what is there to be held against."""

Key = tuple[Any, ...]


def rows(records: Iterable[CellRecord], load: Load | None = None) -> pd.DataFrame:
    """The long-form board: one row per task, model, method, level, metric, ablation, counterfactual, split and status.

    Seeds are pooled (:mod:`bench.board.pool`); cells of one row with different statuses make a row each, so that a
    failed seed is seen beside the figure of the others. ``load`` finds a metric by name (default: what is registered).
    """
    return rows_of(list(figures(list(records), load)))


def rows_of(found: Sequence[Figure]) -> pd.DataFrame:
    """The board of these figures."""
    groups: dict[Key, list[Figure]] = defaultdict(list)
    for figure in found:
        if not figure.record.beside:
            groups[(*_group(figure), figure.status, figure.record.mark)].append(figure)
    places: dict[Key, list[Figure]] = defaultdict(list)
    for figure in found:
        if figure.status == "ok" and figure.record.method in (FLOOR, CEILING):
            places[(figure.record.method, *_place(figure))].append(figure)
    table = [_row(group, places) for group in groups.values()]
    more = list(dict.fromkeys(name for names in OF_TRACK.values() for name in names))
    frame = pd.DataFrame(table, columns=[*COLUMNS, *APPENDED, *more])
    order = sorted(range(len(table)), key=lambda i: _sort_key(table[i]))
    return frame.iloc[order].reset_index(drop=True)


def _group(figure: Figure) -> Key:
    record = figure.record
    return (
        record.track, record.task, record.model, record.planted, record.method, record.level, figure.metric,
        figure.ablation, record.counterfactual, record.split,
    )  # fmt: skip


def _place(figure: Figure) -> Key:
    """What a row shares with its floor and its ceiling."""
    group = _group(figure)
    return (*group[:4], *group[5:])


def _row(group: list[Figure], places: dict[Key, list[Figure]]) -> dict[str, Any]:
    first = group[0]
    record = first.record
    row: dict[str, Any] = dict.fromkeys(("score", "low", "high", "floor", "ceiling", "normalized", "p"), math.nan)
    row |= {
        "track": record.track, "task": record.task, "model": record.model, "method": record.method,
        "level": record.level, "metric": first.metric, "ablation": first.ablation,
        "counterfactual": record.counterfactual, "split": record.split, "n": min(f.record.n for f in group),
        "seeds": seed_column(group), "status": first.status, "reason": _reasons(group), "key": _key(group),
        "direction": first.direction, "planted": record.planted, "values": "", "note": "", "mark": record.mark,
    }  # fmt: skip
    row |= {name: "; ".join(sorted({getattr(f.record, name) for f in group})) for name in ("author", "link", "date")}
    row |= {name: _joined(getattr(f.record, name) for f in group) for names in OF_TRACK.values() for name in names}
    for cost in ("forwards", "backwards", "seconds"):
        row[cost] = _mean([getattr(f.record, cost) for f in group])
    if first.status == "ok":
        row |= _score(group, places)
    return row


def _score(group: list[Figure], places: dict[Key, list[Figure]]) -> dict[str, Any]:
    first = group[0]
    pooled = pool(group)
    floor = pooled.floor if math.isfinite(pooled.floor) else _baseline(FLOOR, group, places)
    ceiling = _baseline(CEILING, group, places) if not first.record.natural else math.nan
    if first.direction == 0:
        floor = ceiling = math.nan
    notes = [pooled.note] if pooled.note else []
    if first.record.was_trained_on(first.name, first.ablation):
        notes.append("trained on this metric")
    normalized = math.nan
    if first.direction * (ceiling - floor) > 1e-9:
        normalized = (pooled.score - floor) / (ceiling - floor)
    elif math.isfinite(ceiling - floor):
        notes.append("not normalized: the oracle is not above random")
    values = ";".join(f"{v:.4g}" for v in pooled.values) if len(pooled.values) > 1 else ""
    return {
        "score": pooled.score, "low": pooled.low, "high": pooled.high, "p": pooled.p, "floor": floor,
        "ceiling": ceiling, "normalized": normalized, "values": values, "note": "; ".join(notes),
    }  # fmt: skip


def _baseline(name: str, group: list[Figure], places: dict[Key, list[Figure]]) -> float:
    """Pooled score of a baseline on the same models and data as the row; NaN where it is not there."""
    data = {(f.record.model_seed, f.record.data_seed) for f in group}
    found = places.get((name, *_place(group[0])), [])
    same = [f for f in found if (f.record.model_seed, f.record.data_seed) in data]
    if {(f.record.model_seed, f.record.data_seed) for f in same} != data:
        return math.nan
    return pool(same).score


def _mean(values: Sequence[float | None]) -> float:
    known = [v for v in values if v is not None]
    return float(np.mean(known)) if known else math.nan


def _joined(values: Iterable[object]) -> str:
    """Each value once, in order; seeds may find different sites."""
    shown = {True: "yes", False: ""}
    texts = (f"{v:g}" if isinstance(v, float) else shown[v] if isinstance(v, bool) else str(v or "") for v in values)
    return ";".join(dict.fromkeys(text for text in texts if text))


def _reasons(group: list[Figure]) -> str:
    return "; ".join(sorted({f.reason for f in group if f.reason}))


def _key(group: list[Figure]) -> str:
    return hashlib.sha256("\n".join(sorted(f.key for f in group)).encode()).hexdigest()[:32]


def _natural(text: str) -> list[Any]:
    """Sort key that puts 2 before 10 and .05 before .1."""
    parts = re.split(r"(\d+(?:\.\d+)?)", text)
    return [(1, float(p), "") if i % 2 else (0, 0.0, p) for i, p in enumerate(parts)]


def _sort_key(row: dict[str, Any]) -> list[Any]:
    names = ("track", "task", "model", "level", "counterfactual", "split", "metric", "ablation", "method", "status")
    return [_natural(str(row[name])) for name in names] + [row["planted"], row["seeds"]]
