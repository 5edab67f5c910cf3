"""The boards as one offline page: it reads without JavaScript, and sorts and filters with it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources import files
from urllib.parse import quote

import pandas as pd

from bench.board.figures import Figure
from bench.board.markdown import LEGEND
from bench.board.page.look import Looks
from bench.board.page.markup import details, text
from bench.board.page.overview import overview
from bench.board.page.provenance import Provenance, provenance
from bench.board.page.section import PLACE, section
from bench.board.page.sensitivity import sensitivity
from bench.board.ranks import kind
from bench.board.record import CellRecord
from bench.board.view import sections

TITLE = "interpassay boards"
P_NOTE = (
    "p: one-sided, labels permuted over the components (1,999 seeded draws); empty where no null is drawn. Values:"
    " the score of each model and data seed, or of each method seed where there is one model. n: examples per seed."
)


def page(
    frame: pd.DataFrame, found: Sequence[Figure] = (), ranks: pd.DataFrame | None = None, note: str = "",
    looks: Looks | None = None, made: Provenance | None = None, others: Sequence[str] = (),
) -> str:  # fmt: skip
    """The page of all rows. ``found`` gives drawings and pairs, ``ranks`` (:mod:`bench.board.ranks`) the places.

    ``looks`` finds a cell's scores and known circuit for its picture and is asked for one cell at a time; ``made`` says
    what made the boards; ``others`` are pages beside this one.
    """
    body = "\n".join(_body(frame, found, ranks, note, looks, made, others))
    style, script = _asset("style.css"), _asset("script.js")
    policy = f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{TITLE}</title>\n<style>{style}</style></head>\n<body>\n{body}\n"
        f"<script>{script}</script>\n</body></html>\n"
    )


def _body(
    frame: pd.DataFrame, found: Sequence[Figure], ranks: pd.DataFrame | None, note: str, looks: Looks | None,
    made: Provenance | None, others: Sequence[str],
) -> Iterator[str]:  # fmt: skip
    yield f"<header><h1>{TITLE}</h1><p>{text(_counts(frame))}</p>"
    yield f"<p><b>{text(note)}</b></p>" if note else ""
    if others:
        links = (f'<a href="{text(quote(other))}">{text(other.removesuffix(".html"))}</a>' for other in others)
        yield f"<p>More boards: {' '.join(links)}</p>"
    yield details("How to read the figures", f"<p>{text(LEGEND)}</p><p>{text(P_NOTE)}</p>")
    if frame.empty:
        yield "<p>The board is empty.</p></header>"
        return
    yield '<nav aria-label="Parts of the page"><a href="#overview">Over tasks</a> <a href="#boards">Boards by task</a>'
    yield '<a href="#sensitivity">Sensitivity</a> <a href="#provenance">Provenance</a></nav></header>'
    yield '<div id="controls"></div><main>'
    yield f'<section id="overview"><h2>Over tasks</h2>{overview(frame, ranks, looks is not None)}</section>'
    yield '<section id="boards"><h2>Boards by task</h2>'
    yield from _boards(frame, found, ranks, looks)
    yield "</section>"
    yield f'<section id="sensitivity"><h2>Sensitivity</h2>{sensitivity(found)}</section>'
    yield f'<section id="provenance"><h2>Provenance</h2>{provenance(made or Provenance())}</section></main>'


def _boards(
    frame: pd.DataFrame, found: Sequence[Figure], ranks: pd.DataFrame | None, looks: Looks | None
) -> Iterator[str]:
    figures: dict[tuple[object, ...], list[Figure]] = {}
    records: dict[tuple[object, ...], dict[str, CellRecord]] = {}
    for figure in found:
        place = tuple(getattr(figure.record, name) for name in PLACE)
        figures.setdefault(place, []).append(figure)
        records.setdefault(place, {})[figure.record.key] = figure.record
    shared: dict[str, str] = {}
    for board in sections(frame):
        place = tuple(getattr(board, name) for name in PLACE)
        mine = None
        if ranks is not None:
            mine = ranks
            for name, value in zip(PLACE, place, strict=True):
                mine = mine[mine[name] == value]
        yield section(board, figures.get(place, []), list(records.get(place, {}).values()), mine, looks, shared)
    marks = "".join(f'<g id="{name}">{content}</g>' for name, content in shared.items())
    yield f'<svg class="defs" aria-hidden="true" width="0" height="0"><defs>{marks}</defs></svg>'


def _counts(frame: pd.DataFrame) -> str:
    kinds = {kind(m, p) for m, p in zip(frame["model"], frame["planted"], strict=True)}
    counts = [(frame["task"].nunique(), "task"), (frame["method"].nunique(), "method"),
              (len(kinds), "kind of models"), (len(frame), "figure")]  # fmt: skip
    shown = [f"{n} {what.replace('kind', 'kinds', 1) if n != 1 and 'kind' in what else what}"
             + ("s" if n != 1 and "kind" not in what else "") for n, what in counts]  # fmt: skip
    return "Interpretability methods crossed with tasks, scored for faithfulness: " + ", ".join(shown) + "."


@cache
def _asset(name: str) -> str:
    return "\n" + files("bench.board.page").joinpath(name).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
