"""Sections of a board: methods by headline metrics, for one task, model, counterfactual, split and level."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.board.record import kind_of_truth
from bench.board.rows import CEILING, FLOOR

Row = dict[str, Any]
Column = tuple[str, str]
"""Metric label and ablation."""
FIRST = (
    "interchange", "area_log", "cpr_mib", "cmd_mib", "auroc", "average_precision", "sign_accuracy", "negative_recall",
    "backup_recall", "kl_to_final",
)  # fmt: skip
PARTS = ("faithfulness",)
"""Metrics that are given in parts, not as one figure: they have no column of their own."""
PLACES = re.compile(r"[\[,](site|layer)=[^,\]]+\]$")
"""What the parts of a metric end in that is measured at several places."""
ABLATIONS = ("none", "counterfactual", "mean", "zero", "resample")
ARROWS = {1: "↑", -1: "↓", 0: ""}
TRAINED = "†"


@dataclass(frozen=True)
class Section:
    """One table."""

    task: str
    model: str
    planted: bool
    counterfactual: str
    split: str
    level: str
    columns: tuple[Column, ...]
    directions: dict[Column, int]
    methods: tuple[str, ...]
    """Best first by the first column; without a figure there, last."""
    cells: dict[tuple[str, Column], Row]
    parts: dict[str, tuple[Column, ...]]
    """Per ablation the columns of metrics that are given in parts: faithfulness at each size."""
    without: tuple[Row, ...]
    """Rows without a figure: gated, skipped, failed, missing, undefined."""
    all: tuple[Row, ...]

    @property
    def title(self) -> str:
        kind = kind_of_truth(self.model, self.planted)
        return f"{self.task} on {self.model} ({kind}), {self.level} scores, {self.counterfactual}, {self.split}"

    @property
    def n(self) -> int:
        return max((int(row["n"]) for row in self.all), default=0)

    def anchor(self, name: str, column: Column) -> float:
        """The floor or ceiling of a column, from the first row that has one."""
        found = [self.cells[m, column][name] for m in self.methods if (m, column) in self.cells]
        return next((v for v in found if math.isfinite(v)), math.nan)

    def any_cell(self, method: str) -> Row:
        """A row of the method, for what does not depend on the metric: one that was run, where there is any."""
        rows = [row for row in self.all if row["method"] == method]
        return next((row for row in rows if math.isfinite(row["forwards"])), rows[0])

    def seeds(self, method: str) -> str:
        """Seeds of the method's figures."""
        found = [row["seeds"] for row in self.all if row["method"] == method and row["status"] == "ok"]
        return max(found, key=len, default="")


def sections(frame: pd.DataFrame) -> Iterator[Section]:
    """The sections in the order of the rows; planted and natural models never share one."""
    names = ["task", "model", "planted", "counterfactual", "split", "level"]
    for key, board in frame.groupby(names, sort=False):
        found: list[Row] = [{str(k): v for k, v in row.items()} for row in board.to_dict("records")]
        yield _section(dict(zip(names, key, strict=True)), found)


def _section(key: dict[str, Any], found: list[Row]) -> Section:
    ok = [row for row in found if row["status"] == "ok"]
    columns = sorted({_column(row) for row in ok if not _is_part(row)}, key=_column_order)
    cells = {(row["method"], _column(row)): row for row in ok}
    directions = {_column(row): int(row["direction"]) for row in ok}
    parts: dict[str, tuple[Column, ...]] = {}
    for row in ok:
        if _is_part(row) and _column(row) not in parts.get(row["ablation"], ()):
            parts[row["ablation"]] = (*parts.get(row["ablation"], ()), _column(row))
    methods = tuple(dict.fromkeys(row["method"] for row in found))
    if columns:
        methods = tuple(sorted(methods, key=lambda m: _rank(cells.get((m, columns[0])), directions[columns[0]])))
    without = tuple(row for row in found if row["status"] != "ok")
    return Section(
        **key, columns=tuple(columns), directions=directions, methods=methods, cells=cells, parts=parts,
        without=without, all=tuple(found),
    )  # fmt: skip


def _column(row: Row) -> Column:
    return (row["metric"], row["ablation"])


def _is_part(row: Row) -> bool:
    return is_part(row["metric"])


def is_part(metric: str) -> bool:
    """Whether a figure is one of several of its metric: a size, or a site beside the chosen one."""
    return metric.split("[")[0] in PARTS or bool(PLACES.search(metric))


def _column_order(column: Column) -> tuple[Any, ...]:
    metric, ablation = column
    name = metric.split("[")[0]
    known = FIRST.index(name) if name in FIRST else len(FIRST)
    where = ABLATIONS.index(ablation) if ablation in ABLATIONS else len(ABLATIONS)
    return (known, metric, where, ablation)


def _rank(row: Row | None, direction: int) -> tuple[bool, float]:
    return (row is None, 0.0 if row is None else -direction * row["score"])


def method_name(method: str) -> str:
    """The method's label, and what it stands for where it is a bound."""
    return method + {FLOOR: " (floor)", CEILING: " (the truth)"}.get(method, "")


def short(value: float) -> str:
    """A figure for reading: three decimals, thin at large values; a dash where there is none."""
    if not math.isfinite(value):
        return "–"
    return f"{round(value, 3) + 0.0:.3f}" if abs(value) < 100 else f"{value:.4g}"


def with_interval(row: Row) -> str:
    """``0.812 [0.790, 0.834]``, marked where the method was trained on the metric."""
    mark = TRAINED if "trained on" in row["note"] else ""
    bounds = f" [{short(row['low'])}, {short(row['high'])}]" if math.isfinite(row["low"]) else ""
    return short(row["score"]) + mark + bounds


def handed_in(section: Section) -> list[tuple[str, str]]:
    """Who stands behind each submission of a section, as text and link: author, date and mark."""
    found = {}
    for row in section.all:
        if row.get("mark"):
            found[row["method"]] = f"{row['method']}: {row['author']}, {row['date']}: {row['mark']}", row["link"]
    return list(found.values())


def passes(row: Row) -> str:
    """Cost, ``forwards + backwards`` per example."""
    costs = [row["forwards"], row["backwards"]]
    return " + ".join(f"{c:.4g}" for c in costs) if all(math.isfinite(c) for c in costs) else "–"


def column_name(column: Column, direction: int) -> str:
    """``area_log ↑``"""
    return f"{column[0]} {ARROWS[direction]}".strip()


def part_name(column: Column) -> str:
    """``size=0.01`` of ``faithfulness[size=0.01]``."""
    inside = column[0].partition("[")[2].rstrip("]")
    return f"{column[0].partition('[')[0]} {inside}" if PLACES.search(column[0]) else inside or column[0]


def part_title(ablation: str) -> str:
    """What stands above the parts of one ablation."""
    if ablation == "none":
        return "At the other sites that were declared"
    return f"Faithfulness of the largest circuit within each size, and of one with no logit difference ({ablation})"


def problems(found: Sequence[Row]) -> list[str]:
    """Lines on rows without figures: one per ablation, status and reason, with all that it befell."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in found:
        groups.setdefault(tuple(row[name] for name in ("ablation", "status", "seeds", "reason")), []).append(row)
    return [_problem(group) for group in groups.values()]


def _problem(group: Sequence[Row]) -> str:
    row = group[0]
    methods = ", ".join(dict.fromkeys(r["method"] for r in group))
    metrics = ", ".join(dict.fromkeys(r["metric"] for r in group if r["metric"]))
    under = f" ({row['ablation']})" if row["ablation"] not in ("", "none") else ""
    what = f": {metrics}{under}" if metrics else ""
    seeds = f", seeds {row['seeds']}" if row["seeds"] else ""
    return f"{methods}{what}: {row['status']}{seeds}" + (f": {row['reason']}" if row["reason"] else "")
