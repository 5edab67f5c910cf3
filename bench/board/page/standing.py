"""Ranks: which places the tests leave open, as bars beside the figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from bench.board.page.bars import axis, ranks, scale
from bench.board.page.markup import attributes, table, td, text, th
from bench.board.ranks import ALL
from bench.board.standings import note_of
from bench.board.view import ABLATIONS, Column, column_name, short

DRAWN = "the bar spans the ranks that the tests leave open, the dot is the rank by score"


def over_tasks(ranking: pd.DataFrame, kind: str, level: str, split: str, column: Column, direction: int) -> str:
    """The table over tasks of one board; empty where it has fewer than two tasks."""
    mine = ranking[(ranking.task == ALL) & (ranking.model == kind) & (ranking.level == level)]
    mine = mine[(mine.split == split) & (mine.metric == column[0]) & (mine.ablation == column[1])]
    if mine.empty:
        return ""
    rows: list[Any] = list(mine.itertuples())
    tasks = int(max(row.tasks for row in rows))
    mean = "mean between floor and ceiling" if rows[0].scale == "normalized" else "mean score"
    columns = [*_columns(rows), th(mean, "number"), th("Borda", "number"), th("tasks", "number"), th("missing")]
    body = [
        _line(row, len(rows), [td(text(short(row.score) + _bounds(row)), row.score), td(short(row.borda), row.borda),
              td(f"{row.tasks:g}", row.tasks), f"<td>{text(row.missing)}</td>"])
        for row in rows
    ]  # fmt: skip
    under = "" if column[1] == ABLATIONS[0] else f" ({column[1]} ablation)"
    caption = f"Ranks over {tasks} tasks by {column_name(column, direction)}{under}: {DRAWN}"
    said = note_of(tasks, rows[0].smallest_p)
    return table(caption, columns, body) + (f'<p class="note">{text(said)}</p>' if said else "")


def on_a_task(ranking: pd.DataFrame, column: Column, direction: int) -> str:
    """The table of one task's ``ranking`` under one metric; empty where there is nothing to rank."""
    mine = ranking[(ranking.metric == column[0]) & (ranking.ablation == column[1])]
    rows: list[Any] = list(mine.itertuples())
    if len(rows) < 2:
        return ""
    columns = [*_columns(rows), th("score", "number"), th("group")]
    body = [
        _line(row, len(rows), [td(text(short(row.score) + _bounds(row)), row.score), f"<td>{text(row.group)}</td>"])
        for row in rows
    ]
    under = "" if column[1] == ABLATIONS[0] else f" ({column[1]} ablation)"
    caption = (
        f"Ranks by {column_name(column, direction)}{under}: {DRAWN} (paired tests, Holm over all pairs); methods that"
        " share a letter cannot be told apart"
    )
    return table(caption, columns, body)


def _columns(rows: Sequence[Any]) -> list[str]:
    ticks = list(range(1, len(rows) + 1))
    marks = scale(axis(1, max(len(rows), 2)), ticks)
    drawn = f'<th scope="col" data-sort="none"><span>open ranks</span>{marks}</th>'
    return [th("method"), drawn, th("rank", "number")]


def _line(row: Any, methods: int, more: Sequence[str]) -> str:
    if math.isfinite(row.rank):
        limits = f"{row.rank_low:g}" if row.rank_low == row.rank_high else f"{row.rank_low:g}–{row.rank_high:g}"
        says, shown = f"rank {row.rank:g}, ranks {limits} open", f"{row.rank:g}"
    else:
        limits, says, shown = "–", "no rank: a figure is missing", "–"
    drawing = ranks(row.rank, row.rank_low, row.rank_high, methods, says)
    return (
        f'<tr{attributes(data_method=row.method)}><th scope="row">{text(row.method)}</th><td>{drawing}</td>'
        f"{td(shown, row.rank, [f'open: {limits}'])}{''.join(more)}</tr>"
    )


def _bounds(row: Any) -> str:
    return f" [{short(row.low)}, {short(row.high)}]" if math.isfinite(row.low) else ""
