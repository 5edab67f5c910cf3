"""The report: how far planted models are from natural ones, and how well their boards agree."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from bench.board.agreement import agreement
from bench.board.record import CellRecord
from bench.harness.provenance import code
from bench.planting.evidence.circuit import Circuit
from bench.planting.evidence.planting import VERIFY_SEED
from bench.planting.natural.distance import figures
from bench.planting.natural.effects import measure
from bench.planting.natural.planting import NaturalPlanting
from bench.planting.train import one_thread

N = 240
"""Pairs of prompts on which each cut is measured, the same for planted and natural models."""
COLUMNS = ("task", "setting", "figure", "model", "seed", "value")
Progress = Callable[[int, int, str], None]

HEAD = """# Planted models and natural ones

A natural model has the planted ones' sizes and vocabulary and is trained on the same prompts, but on the answer alone,
from random weights: nothing says how. Its circuit is measured by resampling all single nodes, all pairs of nodes and
all single edges. Every number is in `distance.csv` and `agreement.csv`; `made.json` has the hash of the code.
"""
DISTANCE = """
## How far planted models are from natural ones

Each cut is measured on {n} fresh pairs of prompts, the same for both. Costs are those of a cut: the share of right
answers that is lost (accuracy), the share of the logit difference that is lost of what is lost when everything is cut
(margin). Planted: mean [least, most] over seeds. "Circuit" and "outside" are what each model's circuit.json says: for
planted models what was planted and verified, for the natural one what the cuts say one at a time. Outside are the
nodes `free` and `inert` (decoys); activity leaves decoys out. A pair counts as interacting when its cost differs from
the sum of its nodes' by .05 or more, and by more than chance over all pairs explains.
"""
AGREEMENT = """
## How well the boards agree

Kendall's tau-b between the scores of the methods on the planted models and on the natural one: 1, the same order; 0,
none; -1, the reverse. The oracle is left out, since it reads both truths. The 95 % interval holds what it means that
there are but so many methods (they are drawn again), together with the error of the scores (examples and data seeds,
the same for both boards, are drawn again). With so few methods it is wide whatever the boards say: an interval with 0
in it leaves open whether the boards agree at all. Several of the methods are baselines that any board should put
last, so part of each tau is the easy part. The truth behind `auroc` and `average_precision` is of another kind on
either side: on a natural model it is what single cuts cost, with all the kinds of sources that the planted evidence
uses, while methods see the task's one default counterfactual. A metric that needs a role which the natural model does
not have (negative, backup) has no tau.
"""


def distances(tasks: Mapping[str, NaturalPlanting], progress: Progress | None = None, n: int = N) -> pd.DataFrame:
    """One row per task, setting, figure and model; planted models first."""
    found = [(name, kind, seed, where) for name, task in tasks.items() for kind, seed, where in _models(task)]
    rows: list[tuple[str, str, str, str, int, float]] = []
    for done, (name, kind, seed, where) in enumerate(found):
        circuit = Circuit.read(where / "circuit.json")
        with one_thread():
            for setting, ablation in tasks[name].ablations(where, VERIFY_SEED, n).items():
                values = figures(circuit, where, ablation, measure(ablation, edges=False))
                rows += [(name, setting, figure, kind, seed, value) for figure, value in values.items()]
        if progress:
            progress(done + 1, len(found), f"{name} {kind} {seed}")
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _models(task: NaturalPlanting) -> list[tuple[str, int, Path]]:
    planted = [("planted", seed, where) for seed, where in task.task.shipped(task.of).items()]
    return planted + [("natural", seed, where) for seed, where in task.shipped().items()]


def write(found: pd.DataFrame, records: Iterable[CellRecord], out: Path) -> pd.DataFrame:
    """Write report.md, distance.csv, agreement.csv and made.json into `out`; the agreement."""
    agreed = agreement(records)
    out.mkdir(parents=True, exist_ok=True)
    found.to_csv(out / "distance.csv", index=False, float_format="%.6g", lineterminator="\n")
    agreed.to_csv(out / "agreement.csv", index=False, float_format="%.6g", lineterminator="\n")
    (out / "report.md").write_text(markdown(found, agreed), encoding="utf-8")
    (out / "made.json").write_text(json.dumps({"code": code(), "pairs": N}, indent=1) + "\n", encoding="utf-8")
    return agreed


def markdown(found: pd.DataFrame, agreed: pd.DataFrame) -> str:
    """The report's page."""
    parts = [HEAD, DISTANCE.format(n=N)]
    for (task, setting), table in found.groupby(["task", "setting"], sort=False):
        parts.append(f"\n### {task}" + (f", {setting}" if found[found.task == task].setting.nunique() > 1 else ""))
        parts.append("\n" + _compared(table))
    parts.append(AGREEMENT)
    if agreed.empty:
        parts.append("\nNo task has both boards.\n")
    else:
        parts += [_taus(agreed), "\n### The orders behind it\n", _orders(agreed[agreed.planted != ""])]
    return "\n".join(parts) + "\n"


def _compared(table: pd.DataFrame) -> str:
    lines = []
    for figure, rows in table.groupby("figure", sort=False):
        planted, natural = (rows[rows.model == kind].value for kind in ("planted", "natural"))
        lines.append([str(figure), _several(list(planted)), _several(list(natural))])
    return _table(["figure", "planted", "natural"], lines)


def _several(values: Sequence[float]) -> str:
    """A mean with the least and the most; one value by itself."""
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return "-"
    mean = f"{sum(known) / len(known):.3f}"
    return mean if len(known) == 1 else f"{mean} [{min(known):.3f}, {max(known):.3f}]"


def _taus(agreed: pd.DataFrame) -> str:
    lines = []
    for row in agreed.itertuples():
        shown = "-" if math.isnan(row.tau) else f"{row.tau:.2f}"
        between = "-" if math.isnan(row.low) else f"[{row.low:.2f}, {row.high:.2f}]"
        lines.append([row.task, row.level, row.metric, row.ablation, shown, between, str(row.methods)])
    return _table(["task", "level", "metric", "ablation", "tau-b", "95 % interval", "methods"], lines)


def _orders(agreed: pd.DataFrame) -> str:
    lines = [[r.task, r.level, r.metric, r.ablation, r.planted, r.natural] for r in agreed.itertuples()]
    return _table(["task", "level", "metric", "ablation", "planted", "natural"], lines)


def _table(head: list[str], lines: list[list[str]]) -> str:
    rows = ["| " + " | ".join(cells) + " |" for cells in (head, *lines)]
    return "\n".join([rows[0], "|" + "---|" * len(head), *rows[1:]])
