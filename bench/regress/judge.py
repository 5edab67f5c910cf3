"""From changes of single cells to rows of a board: pooled as the board pools, graded, and ranked before and after."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from bench.board.figures import Figure
from bench.board.pool import pool, seed_column
from bench.regress.compare import MISSING, MOVED, NEW, SAME, Change
from bench.scoring.bootstrap import DRAWS, MIN_CLUSTERS, cluster_weights, n_clusters

NAN = math.nan
EXAMPLES, FIGURE, RANKS = "examples", "figure", "ranks"
"""Grades of a move: only examples beyond the tolerance; the figure too, its interval without 0 (or no interval);
and the order of the methods."""
COLUMNS = (
    "status", "grade", "task", "model", "level", "method", "metric", "ablation", "counterfactual", "seeds", "old",
    "new", "difference", "low", "high", "better", "examples", "n", "worst", "rank_old", "rank_new", "reason",
)  # fmt: skip
Key = tuple[str, ...]


@dataclass
class Row:
    """One row of a board, then and now; ``old`` and ``new`` are means over the frozen seeds."""

    key: Key
    """Task, model, level, metric, ablation, counterfactual, split; then the method."""
    changes: list[Change]
    status: str = SAME
    grade: str = ""
    old: float = NAN
    new: float = NAN
    difference: float = NAN
    low: float = NAN
    high: float = NAN
    rank_old: float = NAN
    rank_new: float = NAN

    @property
    def reason(self) -> str:
        found = {c.reason for c in self.changes if c.status == self.status and c.reason}
        return "; ".join(sorted(found))

    def values(self) -> dict[str, object]:
        """The row of the report."""
        task, model, level, metric, ablation, counterfactual, _, method = self.key
        direction = self.changes[0].direction
        better = "" if not direction or self.status != MOVED else "yes" if direction * self.difference > 0 else "no"
        measured = [c for c in self.changes if c.difference is not None]
        found = (
            self.status, self.grade, task, model, level, method, metric, ablation, counterfactual, self.seeds(),
            self.old, self.new, self.difference, self.low, self.high, better, sum(c.examples for c in self.changes),
            sum(len(c.clusters) for c in measured), max(c.worst for c in self.changes), self.rank_old, self.rank_new,
            self.reason,
        )  # fmt: skip
        return dict(zip(COLUMNS, found, strict=True))

    def seeds(self) -> str:
        """As boards write them."""
        return seed_column([_figure(c) for c in self.changes])


def judge(changes: Iterable[Change]) -> list[Row]:
    """The rows, in the order of their first change."""
    groups: dict[Key, list[Change]] = defaultdict(list)
    for change in changes:
        r = change.record
        where = (r.task, r.model, r.level, change.metric, change.ablation, r.counterfactual, r.split)
        groups[(*where, r.method)].append(change)
    rows = [_row(key, group) for key, group in groups.items()]
    boards: dict[Key, list[Row]] = defaultdict(list)
    for row in rows:
        boards[row.key[:-1]].append(row)
    for board in boards.values():
        _rank(board)
    for row in rows:
        row.grade = _grade(row)
    return rows


def _row(key: Key, group: list[Change]) -> Row:
    row = Row(key, group)
    states = {change.status for change in group}
    row.status = next((status for status in (MOVED, MISSING, NEW) if status in states), SAME)
    both = [c for c in group if c.status in (SAME, MOVED) and math.isfinite(c.old) and math.isfinite(c.new)]
    if not both:
        row.old, row.new = (_mean([getattr(c, name) for c in group]) for name in ("old", "new"))
        return row
    then, now = (pool([_figure(c, getattr(c, name)) for c in both]).score for name in ("old", "new"))
    row.old, row.new, row.difference = then, now, now - then
    if row.status == MOVED:
        row.low, row.high = _interval(both)
    return row


def _interval(both: Sequence[Change]) -> tuple[float, float]:
    """Of the paired difference: examples (by cluster) and seeds drawn again as for a board's score."""
    pooled = pool([_figure(c, c.new - c.old, _draws(c)) for c in both])
    return pooled.low, pooled.high


def _draws(change: Change) -> NDArray[np.float64] | None:
    """The difference of the two figures under the cluster bootstrap, ``[n_draws]``, to first order."""
    if change.difference is None or n_clusters(change.clusters) < MIN_CLUSTERS:
        return None
    weights = cluster_weights(change.clusters, change.record.data_seed or 0)
    means = weights @ change.difference / weights.sum(axis=1)
    return means - change.difference.mean() + (change.new - change.old)


def _figure(change: Change, value: float = NAN, draws: NDArray[np.float64] | None = None) -> Figure:
    clusters = n_clusters(change.clusters)
    if draws is None and clusters >= MIN_CLUSTERS:
        draws = np.full(DRAWS, value)
    return Figure(
        change.record, change.metric, change.metric, change.ablation, change.record.key, "ok", "", value, draws,
        n_clusters=clusters, clusters=change.clusters, direction=change.direction,
    )  # fmt: skip


def _rank(board: Sequence[Row]) -> None:
    """Ranks of a board's methods, 1 the best, ties sharing the middle; what has not moved keeps its old figure."""
    direction = next((c.direction for row in board for c in row.changes if c.direction), 0)
    both = [row for row in board if math.isfinite(row.old) and math.isfinite(row.new)]
    if not direction or len(both) < 2:
        return
    old = rankdata([-direction * row.old for row in both])
    new = rankdata([-direction * (row.new if row.status == MOVED else row.old) for row in both])
    for row, then, now in zip(both, old, new, strict=True):
        row.rank_old, row.rank_new = float(then), float(now)


def _grade(row: Row) -> str:
    if row.status != MOVED:
        return ""
    if math.isfinite(row.rank_old) and row.rank_old != row.rank_new:
        return RANKS
    sure = not math.isfinite(row.low) or row.low > 0 or row.high < 0
    return FIGURE if sure and abs(row.difference) > 1e-9 else EXAMPLES


def _mean(values: Sequence[float]) -> float:
    known = [v for v in values if math.isfinite(v)]
    return float(np.mean(known)) if known else NAN
