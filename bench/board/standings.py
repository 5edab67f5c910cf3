"""Ranks for reading: tables of text that Markdown and the page share."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import pandas as pd

from bench.board.ranks import ALL
from bench.board.view import ABLATIONS, Section, column_name, short
from bench.scoring.significance import ALPHA

ON_A_TASK = (
    "Ranks that the paired tests leave open (Holm over all pairs, 5 %), and groups of methods that they cannot tell"
    " apart"
)


class Table(NamedTuple):
    """A table of text with a title."""

    title: str
    head: list[str]
    rows: list[list[str]]
    note: str = ""


def of_section(section: Section, ranks: pd.DataFrame) -> Table | None:
    """Ranks and groups on one task, ``2-4 ab``; None where there is nothing to rank."""
    place = {name: getattr(section, name) for name in ("task", "model", "planted", "counterfactual", "split", "level")}
    mine = ranks
    for name, value in place.items():
        mine = mine[mine[name] == value]
    cells = {(row.method, (row.metric, row.ablation)): row for row in mine.itertuples()}
    methods = [m for m in section.methods if any(method == m for method, _ in cells)]
    columns = [c for c in section.columns if any(column == c for _, column in cells)]
    if len(methods) < 2:
        return None
    head = ["method", *(_head(column, section.directions[column]) for column in columns)]
    body = [[m, *(_ranks(cells.get((m, c))) for c in columns)] for m in methods]
    return Table(ON_A_TASK, head, body)


def over_tasks(ranks: pd.DataFrame) -> Iterator[Table]:
    """A table per board that spans tasks."""
    mine = ranks[ranks.task == ALL]
    names = ["model", "level", "split", "metric", "ablation"]
    for key, board in mine.groupby(names, sort=False):
        model, level, split, metric, ablation = (str(part) for part in key)
        rows: list[Any] = list(board.itertuples())
        tasks = int(max(row.tasks for row in rows))
        under = f" ({ablation})" if ablation != ABLATIONS[0] else ""
        mean = "mean between floor and ceiling" if rows[0].scale == "normalized" else "mean score"
        yield Table(
            f"{metric}{under} over {tasks} tasks: {model} models, {level} scores, {split}",
            ["method", mean, "Borda", "rank", "open ranks", "tasks", "missing"],
            [_over_tasks(row) for row in rows],
            note_of(tasks, rows[0].smallest_p),
        )


def _over_tasks(row: Any) -> list[str]:
    bounds = f" [{short(row.low)}, {short(row.high)}]" if math.isfinite(row.low) else ""
    rank = f"{row.rank:g}" if math.isfinite(row.rank) else "–"
    return [
        row.method, short(row.score) + bounds, short(row.borda), rank, _ranks(row), f"{row.tasks:g}", row.missing,
    ]  # fmt: skip


def _ranks(row: Any) -> str:
    if row is None or not math.isfinite(row.rank_low):
        return "–"
    low, high = int(row.rank_low), int(row.rank_high)
    return f"{low if low == high else f'{low}–{high}'} {row.group}"


def note_of(tasks: int, smallest: float) -> str:
    """What the exact tests over so many tasks can tell at best; empty where there is nothing to test."""
    if not math.isfinite(smallest):
        return ""
    text = f"Exact signed-rank tests over {tasks} tasks, Holm over all pairs: the smallest p that they can give is"
    impossible = ": with so few tasks no two methods can be told apart" if smallest > ALPHA else ""
    return f"{text} {smallest:.2g}{impossible}."


def _head(column: tuple[str, str], direction: int) -> str:
    return column_name(column, direction) + (f" ({column[1]})" if column[1] != ABLATIONS[0] else "")
