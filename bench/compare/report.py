"""Comparisons as text."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from bench.compare.comparison import BOTH, Board, Comparison, OnTask
from bench.compare.words import conclusion
from bench.scoring.estimate import Estimate

HEAD = ["task", "difference", "95 % interval", "p", "Holm", "paired by", "seeds", "n"]


def report(found: Sequence[Comparison], family: str | int = "shown") -> str:
    """All comparisons: a block per pair and board, a table per metric, and what may be concluded."""
    blocks, before = [_family(found, family)], None
    for one in found:
        heading = (one.first, one.second, one.board[:4])
        if heading != before:
            blocks.append(_heading(one))
            before = heading
        blocks.append("\n".join(_lines(one)))
    return "\n\n".join(blocks) + "\n"


def _heading(one: Comparison) -> str:
    board = one.board
    models = "natural models" if board.kind == "natural" else f"{board.kind} models"
    text = f"{one.first} against {one.second}: {models}, {board.level} scores, {board.split}\n"
    if board.level == BOTH:
        text += "One scores nodes, the other edges: only figures over real sizes (kept / all edges) are compared.\n"
    return text + f"Differences are turned so that above 0 {one.first} is better."


def _family(found: Sequence[Comparison], family: str | int) -> str:
    pairs = len({(one.first, one.second) for one in found})
    boards = len({one.board for one in found})
    inside = sum(len(one.tasks) for one in found)
    tests = f"test{'s' * (len(found) > 1)} over tasks"
    shown = f"{pairs} pair{'s' * (pairs > 1)} x {boards} board{'s' * (boards > 1)} (metric, ablation, level, models)"
    if family == "metric":
        text = f"the {pairs} pair{'s' * (pairs > 1)} under each metric and ablation (family=metric)"
    elif family == "shown":
        text = f"{len(found)} {tests}: {shown} (family=shown)"
    else:
        text = f"{found[0].family} tests over tasks as declared (family={family}); {len(found)} are shown: {shown}"
    return (
        f"Holm's correction at .05 over {text}; the paired tests within tasks ({inside}) are corrected likewise, apart."
    )


def _lines(one: Comparison) -> Iterator[str]:
    yield _title(one.board)
    body = [HEAD, *(_task(task) for task in one.tasks)]
    widths = [max(len(row[i]) for row in body) for i in range(len(HEAD))]
    for row in body:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    yield from _remarks(one)
    yield from _over_tasks(one)
    yield f"  {conclusion(one)}"


def _title(board: Board) -> str:
    return board.metric + (f" ({board.ablation})" if board.ablation != "none" else "")


def _task(task: OnTask) -> list[str]:
    found = task.difference
    by = f"{found.clusters} clusters" if found.by_example else "models"
    return [
        task.task, signed(task.estimate.value), bounds(task.estimate), p_value(task.estimate.p), p_value(task.holm), by,
        str(found.seeds), str(found.n),
    ]  # fmt: skip


def _remarks(one: Comparison) -> Iterator[str]:
    """Notes under a table: what is not paired by example, what is missing, why an interval is."""
    if not all(task.difference.by_example for task in one.tasks):
        yield "  Not paired by example: it has no values per example, so models (seeds) and tasks are all there is."
    for task in one.tasks:
        if task.estimate.note:
            yield f"  {task.task}: {task.estimate.note}"
        if task.difference.alone:
            yield f"  {task.task}: only one of the two has seed {', '.join(task.difference.alone)}: left out"
    for name, why in one.missing.items():
        yield f"  {name}: missing: {' | '.join(why)}"


def _over_tasks(one: Comparison) -> Iterator[str]:
    n = len(one.tasks)
    if n > 1:
        yield f"  mean over these {n} tasks: {signed(one.here.value)} {bounds(one.here) or one.here.note}".rstrip()
        yield f"  with the tasks as a sample: {bounds(one.sample) or one.sample.note}"
    zeros = f", {one.test.zeros} of 0 left out" if one.test.zeros else ""
    yield (
        f"  signed-rank test over {n} task{'s' * (n > 1)}{zeros}: p = {p_value(one.test.p)}, Holm {p_value(one.holm)}"
        f" (smallest possible {p_value(one.smallest)}, Holm {p_value(one.smallest_holm)});"
        f" rank-biserial {one.test.effect:+.2f}"
    )


def signed(value: float) -> str:
    """``+0.123``; thin at small and large values."""
    shown = f"{value:+.3f}" if 0.001 <= abs(value) < 100 or value == 0 else f"{value:+.3g}"
    return shown.replace("+0.000", "0")


def bounds(found: Estimate) -> str:
    """``[+0.1, +0.2]``, or nothing."""
    return f"[{signed(found.low)}, {signed(found.high)}]" if math.isfinite(found.low) else ""


def p_value(p: float) -> str:
    """Two digits; a dash where nothing was tested."""
    return "–" if not math.isfinite(p) else "<1e-4" if p < 1e-4 else f"{p:.2g}"
