"""Scoring a checked submission: as a cell of its own, beside its own floor and ceiling, in a store of its own.

The store is the folder ``submissions`` of the run's. Test examples are drawn with a seed that is picked when the
submission is first taken and written into its entry, so that handing in the same again draws no others.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.harness.cells import Cell, MethodChoice, MetricChoice, identity
from bench.harness.job import description, save_outcome, seen
from bench.harness.keys import explanation_key
from bench.harness.planning import make_plan, with_scores
from bench.harness.report import Report
from bench.harness.runner import Summary, run
from bench.harness.store import Store
from bench.registry import Registries
from bench.submit.checking import Submission
from bench.submit.entries import PUBLIC, Entry, slug

SEEDS = 2**31


def draw_seed() -> int:
    """A seed for test examples that nobody chose."""
    return secrets.randbelow(SEEDS)


def store_of(root: str | Path) -> Path:
    """Where submissions to the store ``root`` are kept."""
    return Path(root) / "submissions"


def board_label(submission: Submission) -> str:
    """The method's name on boards, with its author among the parameters: no registered method is called so."""
    name, _, rest = submission.explanation.method.partition("[")
    parts = sorted([f"by={slug(submission.about.author)}", *(p for p in rest.rstrip("]").split(",") if p)])
    return f"{name}[{','.join(parts)}]"


def plan(
    submission: Submission, config: Mapping[str, Any], metrics: Sequence[MetricChoice], registries: Registries
) -> tuple[Cell, tuple[Cell, ...]]:
    """The submission's cell, and those of floor and ceiling on the same examples.

    ``config`` is the resolved configuration of the baseline ``random`` at the submission's level, with the drawn seed.
    """
    baselines = make_plan([config], metrics, registries, one_level=True).cells
    found = submission.explanation
    method = MethodChoice(
        found.method.split("[")[0], board_label(submission), found.method_version, found.level,
        {"submission": submission.digest}, track=found.track, variable=found.extra.get("variable", ""),
    )  # fmt: skip
    first = baselines[0]
    cell = replace(first, method=method, key=explanation_key(identity(first.task, first.model, method)), scores=())
    return with_scores(cell, metrics, registries), baselines


def entry_of(submission: Submission, cell: Cell) -> Entry:
    """The entry of a planned submission."""
    about, found = submission.about, submission.explanation
    seed = cell.model.seed if cell.model.seed is not None else -1
    return Entry(
        about.author, about.link, about.date, PUBLIC, cell.method.label, cell.record()["task"], cell.record()["model"],
        found.level, found.counterfactual, (cell.key,), submission.digest, found.model_revision, seed, cell.task.seed,
    )  # fmt: skip


def score(submission: Submission, cell: Cell, baselines: Sequence[Cell], store: Store, report: Report) -> Summary:
    """Measure floor and ceiling, then the submission; a model that fails the gate closes it as it closes any cell."""
    run(baselines, store, report)
    floor = store.cell(baselines[0].key) or {"status": "missing", "reason": "has not been run"}
    if floor["status"] == "ok":
        known = {name: floor[name] for name in ("accuracy", "kept", "n")} | seen(submission.explanation)
        store.save_explanation(cell.key, submission.explanation, _ok(cell, known))
    else:
        save_outcome(cell, store, floor["status"], floor["reason"])
    return run([cell], store, report, explain=False)


def _ok(cell: Cell, known: Mapping[str, Any]) -> dict[str, Any]:
    return {**description(cell), "status": "ok", "cost": {}, **known}
