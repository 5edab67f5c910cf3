"""Frozen figures against the committed board's CSV: are the two of one making?"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from bench.regress.frozen import Frozen
from bench.regress.trace import FIGURE

DIGITS = 5e-4
"""Relative: boards write the scores of single seeds with four digits."""
PLACE = ["task", "model", "level", "method", "metric", "ablation", "counterfactual", "split"]


def stale(frozen: Frozen, boards: Path) -> list[str]:
    """A line for each row of ``<track>.csv`` that says another score than the frozen cells of the same seed.

    Rows that are only on one side are no fault: what is frozen may be a part of the board. Cells are told apart by
    their seed, so only rows with one cell per seed are held against each other.
    """
    found = []
    tracks: dict[str, pd.DataFrame] = {}
    values: dict[tuple[str, ...], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for cell in frozen.cells:
        r = cell.record
        for score in cell.scores:
            for trace in (t for t in score.traces if t.kind == FIGURE and t.status == "ok"):
                where = (r["track"], r["task"], r["model"], r["level"], r["method"], trace.name, score.ablation)
                values[(*where, r["counterfactual"], r["split"])][_seed(r)].append(trace.value)
    for (track, *place), seeds in values.items():
        if track not in tracks:
            path = boards / f"{track}.csv"
            tracks[track] = _indexed(path) if path.is_file() else pd.DataFrame()
        if tuple(place) in tracks[track].index:
            found += _different(place, seeds, tracks[track].loc[tuple(place)])
    return found


def _seed(record: dict[str, object]) -> str:
    return str(record["data_seed"] if record["model_seed"] is None else record["model_seed"])


def _indexed(path: Path) -> pd.DataFrame:
    board = pd.read_csv(path, dtype=str, keep_default_na=False)
    board = board[board.status == "ok"].drop_duplicates(PLACE, keep=False)
    return board.set_index(PLACE).sort_index()


def _different(place: Iterable[str], seeds: dict[str, list[float]], row: pd.Series) -> list[str]:
    shown = row["values"].split(";") if row["values"] else [row["score"]]
    listed = row["seeds"].split(";")
    if len(listed) != len(shown) or len(set(listed)) != len(listed):
        return []
    lines = []
    for seed, text in zip(listed, shown, strict=True):
        if seed not in seeds:
            continue
        ours, theirs = float(np.mean(seeds[seed])), float(text)
        if not math.isclose(ours, theirs, rel_tol=DIGITS, abs_tol=1e-9):
            lines.append(f"{' '.join(place)}, seed {seed}: the board says {theirs:g}, what is frozen {ours:.4g}")
    return lines
