"""Boards as files: CSV, Markdown and one offline page."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from bench.board.beats import against_random
from bench.board.budget import within
from bench.board.figures import Load, figures
from bench.board.markdown import markdown
from bench.board.page import Looks, Provenance, page
from bench.board.page.layers import charts, svg
from bench.board.page.sparsity import picture, sparsity
from bench.board.ranks import ranking
from bench.board.record import CellRecord
from bench.board.rows import OF_TRACK, rows_of
from bench.board.view import sections

DIGITS = 10


def write(
    records: Iterable[CellRecord], out: str | Path, load: Load | None = None, budget: float | None = None,
    looks: Looks | None = None, made: Provenance | None = None, name: str = "index.html",
) -> pd.DataFrame:  # fmt: skip
    """Write ``<track>.csv``, ``_ranks.csv``, ``_random.csv`` and ``.md`` per track, and the page ``name``, into
    ``out``; what is measured layer by layer, or over L0, also as pictures, ``layers/*.svg`` and ``sparsity/*.svg``. The
    page links to others beside it.

    ``budget`` leaves out methods that take more passes (forwards + backwards per example); Markdown and page say which.
    ``looks`` finds what the page's pictures of cells show, ``made`` says what made the boards. Returns the rows.
    """
    kept, note = list(records), ""
    if budget is not None:
        cut = within(kept, budget)
        kept, note = cut.kept, f"At a {cut}."
    found = list(figures(kept, load))
    frame = rows_of(found)
    ranks, beats = ranking(found, frame), against_random(found)
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    for track, board in frame.groupby("track", sort=True):
        _replace(folder / f"{track}.csv", csv(_own(board, str(track))))
        order, chance = ranks[ranks.track == track], beats[beats.track == track]
        _replace(folder / f"{track}_ranks.csv", csv(order))
        _replace(folder / f"{track}_random.csv", csv(chance))
        _replace(folder / f"{track}.md", markdown(board, order, note, chance))
    for board in sections(frame):
        for chart in charts(board):
            title = "_".join(filter(None, [board.task, board.model, chart.metric, chart.position]))
            _drawn(folder / "layers", title, svg(chart, title))
        if lines := sparsity(board):
            _drawn(folder / "sparsity", f"{board.task}_{board.model}", picture(lines, f"{board.task} on {board.model}"))
    shown = [figure for figure in found if not figure.record.beside]
    others = sorted(path.name for path in folder.glob("*.html") if path.name != name)
    _replace(folder / name, page(frame, shown, ranks, note, looks, made, others))
    return frame


def _drawn(folder: Path, name: str, drawing: str) -> None:
    folder.mkdir(exist_ok=True)
    _replace(folder / f"{re.sub(r'[^A-Za-z0-9.]+', '_', name).strip('_')}.svg", drawing)


def _own(board: pd.DataFrame, track: str) -> pd.DataFrame:
    """A track's board without the columns that only other tracks append."""
    others = {name for of, names in OF_TRACK.items() if of != track for name in names}
    return board.drop(columns=sorted(others - {*OF_TRACK.get(track, ())}))


def csv(frame: pd.DataFrame) -> str:
    """The board as CSV: numbers with at most ten significant digits, what is missing empty, ``\\n`` at line ends."""
    shown = frame.copy()
    for name in frame.columns:
        if frame[name].dtype.kind == "f":
            shown[name] = [number(v) for v in frame[name]]
    shown["planted"] = np.where(frame["planted"].astype(bool), "yes", "no")
    return shown.to_csv(index=False, lineterminator="\n")


def number(value: float, digits: int = DIGITS) -> str:
    """A number as boards write it; empty where there is none, and no negative zero."""
    return "" if not np.isfinite(value) else f"{value + 0.0:.{digits}g}"


def _replace(path: Path, content: str) -> None:
    """Write whole or not at all."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.write_text(content, encoding="utf-8", newline="\n")
    scratch.replace(path)
