"""Scoring frozen explanations with the current code, in a store of its own that is thrown away."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.board.record import CellRecord
from bench.harness.cells import Settings
from bench.harness.job import Load, description, load_engine, seen
from bench.harness.records import read_records
from bench.harness.report import Report
from bench.harness.runner import run
from bench.harness.store import Store
from bench.registry import Registries
from bench.regress.freeze import frozen_score, thaw, to_score
from bench.regress.frozen import FrozenCell, FrozenScore


@dataclass(frozen=True)
class Rescored:
    """One cell's measurements now; ``problem`` where there are none."""

    frozen: FrozenCell
    record: CellRecord
    """With its measurements; without any where there is a problem."""
    dtype: str
    scores: tuple[FrozenScore, ...] = ()
    problem: str = ""


def rescore(
    cells: Sequence[FrozenCell], settings: Settings, registries: Registries, report: Report, load: Load = load_engine
) -> list[Rescored]:
    """Every cell, measured again; in the order given."""
    with tempfile.TemporaryDirectory(prefix="interpassay-") as folder:
        here = replace(settings, store=str(Path(folder) / "regress"))
        with Store(here.store) as store:
            problems = _measure(cells, store, here, registries, report, load)
            found = {record.key: record for record in read_records(store)}
        out = []
        for cell in cells:
            gone = CellRecord(**cell.record, status="missing", reason=problems.get(cell.key, ""), n=cell.n)
            record = found.get(cell.key, gone)
            scores = tuple(frozen_score(record, m) for m in record.measurements)
            dtype = cell.configuration["model"]["dtype"]
            out.append(Rescored(cell, record, dtype, scores, problems.get(cell.key, "")))
        return out


def _measure(
    cells: Sequence[FrozenCell], store: Store, settings: Settings, registries: Registries, report: Report, load: Load
) -> dict[str, str]:
    """Fill the store; why cells could not be measured at all, by key."""
    problems, thawed = {}, []
    for frozen in cells:
        cell, problem = thaw(frozen, settings, registries)
        if cell is None:
            problems[frozen.key] = problem
            continue
        details = {"status": "ok", "n": frozen.n, "accuracy": 0.0, "kept": {}, "cost": {}, **seen(frozen.explanation)}
        store.save_explanation(frozen.key, frozen.explanation, {**description(cell), **details})
        thawed.append(to_score(cell, frozen.scores, registries))
    run(thawed, store, report, explain=False, load=load)
    return problems
