"""Two sets of traces of one cell, held against each other: what is the same, what moved, what came and what went."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bench.board.record import CellRecord
from bench.regress.frozen import FrozenScore
from bench.regress.tolerance import bar, largest
from bench.regress.trace import ARRAY, FIGURE, Trace

SAME, MOVED, MISSING, NEW = "same", "moved", "missing", "new"
NAN = float("nan")


@dataclass(frozen=True)
class Change:
    """One figure of one cell, then and now."""

    record: CellRecord
    metric: str
    """The figure's label."""
    ablation: str
    status: str
    reason: str = ""
    old: float = NAN
    new: float = NAN
    direction: int = 0
    difference: NDArray[np.float64] | None = field(default=None, compare=False)
    """``[n_examples]``, new less old; None where they are not paired by example."""
    clusters: tuple[str, ...] = ()
    examples: int = 0
    """How many examples are beyond the tolerance, in the figure or in what is behind it."""
    worst: float = 0.0
    """The largest difference of the figure or of an example's share in it."""


def changes(
    record: CellRecord, old: Sequence[FrozenScore], new: Sequence[FrozenScore], dtype: str, problem: str = ""
) -> Iterator[Change]:
    """Every figure of a cell that is in either. ``record`` is the cell's, with its measurements now."""
    clusters = {s.place: m.clusters for s, m in zip(new, record.measurements, strict=False)}
    now = {score.place: score for score in new}
    for score in old:
        found = now.pop(score.place, None)
        if found is None:
            why = problem or "not measured any more: no such metric at this level"
            yield from _gone(record, score, why)
        else:
            yield from _measured(record, score, found, dtype, clusters.get(score.place, ()))
    for score in now.values():
        for trace in _figures(score).values():
            if trace.status == "ok":
                yield _came(record, score, trace)


def _measured(
    record: CellRecord, old: FrozenScore, new: FrozenScore, dtype: str, clusters: tuple[str, ...]
) -> Iterator[Change]:
    examples, why = _behind(old, new, dtype)
    before, after = _figures(old), _figures(new)
    if all(trace.status != "ok" for trace in (*before.values(), *after.values())):
        for name, trace in before.items():
            yield Change(record, name, old.ablation, SAME, trace.reason)
        return
    for name, trace in before.items():
        now = after.pop(name, None)
        if trace.status != "ok":
            if now is not None and now.status == "ok":
                yield _came(record, new, now)
            continue
        if now is None or now.status != "ok":
            reason = _without(new, now)
            yield Change(record, name, old.ablation, MISSING, reason, old=trace.value, direction=trace.direction)
            continue
        yield _figure(record, old, trace, now, dtype, (examples, why), clusters if old.clusters == new.clusters else ())
    for trace in after.values():
        if trace.status == "ok":
            yield _came(record, new, trace)


def _figure(
    record: CellRecord, score: FrozenScore, old: Trace, new: Trace, dtype: str, behind: tuple[int, str],
    clusters: tuple[str, ...],
) -> Change:  # fmt: skip
    """One figure that is there on both sides."""
    limit = bar(dtype, old.scale)
    examples, why = behind
    worst = abs(new.value - old.value)
    difference = None
    if old.column is not None and new.column is not None and clusters and len(old.column) == len(new.column):
        difference = new.column - old.column
        worst = max(worst, largest(difference))
        examples = max(examples, int((np.abs(difference) > limit).sum()))
    moved = worst > limit or examples > 0 or bool(why)
    return Change(
        record, old.name, score.ablation, MOVED if moved else SAME, why, old.value, new.value, new.direction,
        difference, clusters, examples, worst,
    )  # fmt: skip


def _behind(old: FrozenScore, new: FrozenScore, dtype: str) -> tuple[int, str]:
    """How many examples moved in what is behind the figures, and why they cannot be told or what else moved."""
    if old.clusters != new.clusters:
        return 0, "other examples than when this was frozen: not paired"
    before, after = ({t.name: t for t in score.traces if t.kind == ARRAY} for score in (old, new))
    if not before or not after:
        return 0, ""
    moved, others = 0, sorted(set(before) ^ set(after))
    for name in before.keys() & after.keys():
        a, b = before[name], after[name]
        limit = bar(dtype, a.scale)
        if (a.column is None) != (b.column is None):
            others.append(name)
        elif a.column is not None and b.column is not None:
            moved = max(moved, int((np.abs(b.column - a.column) > limit).sum()))
        elif abs(b.value - a.value) > limit:
            others.append(name)
    return moved, f"measured otherwise: {', '.join(sorted(others))}" if others else ""


def _figures(score: FrozenScore) -> dict[str, Trace]:
    return {trace.name: trace for trace in score.traces if trace.kind == FIGURE}


def _gone(record: CellRecord, score: FrozenScore, why: str) -> Iterator[Change]:
    for name, trace in _figures(score).items():
        if trace.status == "ok":
            yield Change(record, name, score.ablation, MISSING, why, old=trace.value, direction=trace.direction)


def _came(record: CellRecord, score: FrozenScore, trace: Trace) -> Change:
    return Change(record, trace.name, score.ablation, NEW, new=trace.value, direction=trace.direction)


def _without(new: FrozenScore, now: Trace | None) -> str:
    """Why a figure is not there now."""
    states: Mapping[str, Trace] = _figures(new)
    first = now or next(iter(states.values()), None)
    if first is None or first.status == "ok":
        return "the metric has no such figure any more"
    return f"{first.status}: {first.reason}" if first.reason else first.status
