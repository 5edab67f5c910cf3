"""One job: open it once, then explain and measure its cells, one after the other, each saved as soon as it is done."""

from __future__ import annotations

import logging
import shutil
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.explanation import Explanation, ExplanationError
from bench.harness.cells import Cell, Plain, Score
from bench.harness.choices import build
from bench.harness.errors import StoreError, plain, reason
from bench.harness.models import load_engine
from bench.harness.opened import Opened
from bench.harness.opening import Closed, Load, open_job
from bench.harness.partners import partner_of
from bench.harness.provenance import Meter, hardware, versions
from bench.harness.requests import answered
from bench.harness.store import Store
from bench.measuring import measure
from bench.method import Handed, Job, Method, Skip
from bench.metric import Measurement
from bench.objectives import objective
from bench.registry import Registries, discover

log = logging.getLogger(__name__)
Tell = Callable[..., None]
"""``tell(event, **details)``; the events are ``opened``, ``start``, ``step`` and ``done``."""


@dataclass(frozen=True)
class Work:
    """What is left to do on a cell."""

    cell: Cell
    explain: bool
    scores: tuple[Score, ...]


def run_job(works: Sequence[Work], store: Store, tell: Tell, load: Load = load_engine) -> None:
    """Do the work on cells that share task, model and seeds. What goes wrong becomes rows; the store's errors rise."""
    registries = discover()
    try:
        opened = open_job(works[0].cell, registries, load)
    except StoreError:
        raise
    except Exception as error:
        _close_all(works, store, tell, error)
        return
    first = works[0].cell
    found = {"kept": opened.kept, "accuracy": opened.accuracy, "seed": opened.seed}
    tell("opened", task=first.task.name, model=first.model, **found)
    for work in works:
        tell("start", key=work.cell.key, label=label(work.cell))
        _run_cell(work, opened, registries, store, tell)
        tell("done", key=work.cell.key)


def label(cell: Cell) -> str:
    """A cell on one line."""
    seeds = "" if cell.model.seed is None else f" seed {cell.model.seed}"
    return f"{cell.task.name} {cell.model.called}{seeds} {cell.method.label} ({cell.method.level})"


def save_outcome(cell: Cell, store: Store, status: str, why: str, **details: Any) -> None:
    """Record that a cell has no explanation, and why."""
    store.save_outcome(cell.key, {**description(cell), "status": status, "reason": why, **details})


def save_problem(cell: Cell, score: Score, store: Store, status: str, why: str) -> None:
    """Record that something could not be measured, and why."""
    problem = Measurement(*_of(score), status=status, reason=why, parameters=score.metric.parameters)
    _save_score(cell, score, store, problem)


def description(cell: Cell) -> Plain:
    """What every stored cell says about itself."""
    return {
        "key": cell.key, "record": cell.record(), "configuration": cell.configuration(), "written": time.time(),
        "provenance": {
            "versions": versions(), "revision": cell.model.revision, "hardware": hardware(cell.settings.device),
            "settings": {"batch_size": cell.settings.batch_size, "threads": cell.settings.threads},
        },
    }  # fmt: skip


def _close_all(works: Sequence[Work], store: Store, tell: Tell, error: Exception) -> None:
    if isinstance(error, Closed):
        status, why = error.status, plain(str(error))
    else:
        status, why = "failed", reason(error)
        log.error("%s", "".join(traceback.format_exception(error)))
    for work in works:
        if work.explain:
            save_outcome(work.cell, store, status, why)
        for score in () if work.explain else work.scores:
            save_problem(work.cell, score, store, "failed", why)
        tell("done", key=work.cell.key)


def _run_cell(work: Work, opened: Opened, registries: Registries, store: Store, tell: Tell) -> None:
    cell = work.cell
    if work.explain and store.status(cell.key) != "ok":  # another process may have come first
        try:
            explanation, cost = explain(cell, opened, registries, tell, store.checkpoints(cell.key))
        except Skip as skip:
            save_outcome(cell, store, "skipped", plain(str(skip)))
            return
        except Exception as error:
            log.exception("%s failed", label(cell))
            save_outcome(cell, store, "failed", reason(error), trace=_trace(error))
            return
        details = {"accuracy": opened.accuracy, "kept": opened.kept, "n": len(opened.examples["test"])}
        details |= seen(explanation)
        store.save_explanation(cell.key, explanation, {**description(cell), "status": "ok", "cost": cost, **details})
        shutil.rmtree(store.checkpoints(cell.key), ignore_errors=True)
    explanation = store.explanation(cell.key)
    for score in work.scores:
        meter = Meter(cell.settings.device)
        opened.engine.cost.reset()
        measurement = _measure(cell, score, explanation, opened, registries)
        _save_score(cell, score, store, measurement, **meter.read(), forwards=opened.engine.cost.forwards)


def explain(
    cell: Cell, opened: Opened, registries: Registries, tell: Tell, scratch: Path | None = None
) -> tuple[Explanation, Plain]:
    """Run the method; its explanation, and its cost per training example."""
    method: Method = build("method", registries.methods.load(cell.method.name), cell.method.parameters)
    seed = cell.method.seed or 0
    torch.manual_seed(seed)
    np.random.seed(seed)  # for methods that forget to use the generators that they are given
    job = Job(
        engine=opened.engine, batches=opened.tuning_batches, objective=objective(method.objective), seed=seed,
        n_examples={split: len(opened.examples[split]) for split in ("train", "validation")},
        counterfactual=opened.counterfactual, truth=opened.truth if method.needs_truth else None,
        partner=partner_of(cell.method, cell.settings, opened.shared),
        progress=lambda done, total: tell("step", done=done, total=total),
        scratch=scratch, variable_data=lambda: opened.variable_data(cell.method.variable).seen_by_methods(),
        readout_data=lambda: opened.readout_data().seen_by_methods(), shared=opened.shared,
    )  # fmt: skip
    opened.engine.cost.reset()
    meter = Meter(cell.settings.device)
    handed = method.explain(job)
    spent = meter.read()
    n = job.n_examples["train"]
    cost = {"forwards": opened.engine.cost.forwards / n, "backwards": opened.engine.cost.backwards / n, **spent}
    return _explanation(cell, method, handed), cost


def _explanation(cell: Cell, method: Method, handed: Handed) -> Explanation:
    scores = np.asarray(handed.scores)
    if not np.issubdtype(scores.dtype, np.number):
        raise ExplanationError(f"scores are {scores.dtype}, not numbers")
    return Explanation(
        level=method.level, components=handed.components, scores=scores.astype(np.float32),
        task=cell.task.name, task_version=cell.task.version,
        model=cell.model.called, model_revision=cell.model.revision,
        method=cell.method.label, method_version=cell.method.version, counterfactual=cell.task.counterfactual,
        objective=method.objective, positions=method.position_axis(), track=cell.method.track,
        extra=handed.extra, tensors=handed.tensors,
    )  # fmt: skip


def seen(explanation: Explanation) -> Plain:
    """What boards show of an explanation beside its figures: site and rank of a variable, the L0 of a dictionary."""
    return {name: explanation.extra[name] for name in ("site", "rank", "l0", "control") if name in explanation.extra}


def _of(score: Score) -> tuple[str, str, str]:
    return score.metric.name, score.metric.version, score.metric.ablation


def _measure(cell: Cell, score: Score, explanation: Explanation, opened: Opened, registries: Registries) -> Measurement:
    def explain_again(changed: Cell, other: Opened) -> Explanation:
        spent = replace(opened.engine.cost)
        try:
            found, _ = explain(changed, other, registries, lambda event, **details: None)
        finally:  # a control's engine counts on the same cost
            opened.engine.cost.add(spent.forwards, spent.backwards)
        return found

    try:
        if score.metric.problem:
            raise RuntimeError(score.metric.problem)
        metric = build("metric", registries.metrics.load(score.metric.name), score.metric.parameters)
        context = opened.context(score.metric.ablation)
        context = answered(context, cell, opened, registries, score.metric.permutations or 0, explain_again)
        measurement = measure(metric, explanation, context)
    except Exception as error:  # `measure` reports the metric's own faults; this is what comes before
        log.exception("%s cannot be measured", score.metric.label)
        measurement = Measurement(*_of(score), status="failed", reason=reason(error))
    return replace(measurement, reason=plain(measurement.reason), parameters=score.metric.parameters)


def _save_score(cell: Cell, score: Score, store: Store, measurement: Measurement, **cost: float) -> None:
    meta = {"key": score.key, "label": score.metric.label, "cost": cost, "written": time.time()}
    meta["provenance"] = {"versions": versions()}
    store.save_score(cell.key, score.key, measurement, meta)


def _trace(error: BaseException) -> list[str]:
    """Where it went wrong, in file names without folders."""
    frames = traceback.extract_tb(error.__traceback__)
    return [f"{plain(frame.filename)}:{frame.lineno} {frame.name}" for frame in frames]
