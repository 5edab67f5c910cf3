"""What a metric may ask for beyond its own examples: other splits, other tasks, the method once more."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.explanation import Explanation
from bench.harness.cells import Cell, TaskChoice
from bench.harness.errors import CallError, plain, reason
from bench.harness.opened import Opened
from bench.harness.opening import accuracy, open_task
from bench.metric import ScoreContext, Undefined
from bench.registry import Registries
from bench.variable.data import VariableData

if TYPE_CHECKING:
    from bench.engine import Engine

Explain = Callable[[Cell, Opened], Explanation]
LABEL = re.compile(r"(?P<name>[^\[\]]+)(\[(?P<given>.*)\])?")


def answered(
    context: ScoreContext, cell: Cell, opened: Opened, registries: Registries, permutations: int, explain: Explain
) -> ScoreContext:
    """The context with answers to all that a metric may ask for."""
    return replace(
        context, permutations=permutations,
        on=lambda split: opened.context(context.ablation, split),
        elsewhere=lambda label: elsewhere(label, context, opened, registries),
        tasks=[name for name in registries.tasks.names() if name != cell.task.name],
        again=lambda draw, prompts, seed: again(cell, opened, draw, prompts, seed, explain),
        fitted=lambda data: fitted(cell, opened, data, explain),
        on_model=lambda engine: on_model(cell, opened, engine, explain),
    )  # fmt: skip


def again(cell: Cell, opened: Opened, draw: int, prompts: bool, seed: bool, explain: Explain) -> Explanation:
    """The cell's method on resampled training prompts and with a seed of its own, where these are asked for."""
    method = cell.method
    if seed and method.seed is not None:
        method = replace(method, seed=int(np.random.SeedSequence([method.seed, 1 + draw]).generate_state(1)[0]))
    there = opened
    if prompts:
        train = resampled(opened.examples["train"], np.random.default_rng([opened.seed, draw]))
        there = opened.with_examples({**opened.examples, "train": train})
    return explain(replace(cell, method=method), there)


def fitted(cell: Cell, opened: Opened, data: VariableData, explain: Explain) -> Explanation:
    """The cell's method on ``data``, in place of the job's own view of its variable; nothing found there is shared."""
    changed = replace(cell, method=replace(cell.method, variable=data.variable))
    there = opened.with_examples(opened.examples)
    there.engine, there.shared["variable", data.variable] = data.engine, data
    return explain(changed, there)


def on_model(cell: Cell, opened: Opened, engine: Engine, explain: Explain) -> Explanation:
    """The cell's method on another model; what is found out there is shared among those who look at that model."""
    key = ("on another model", id(engine))
    if key not in opened.shared:
        opened.shared[key] = replace(
            opened.with_examples(opened.examples), engine=engine
        )  # keeps the engine, and its id
    return explain(cell, opened.shared[key])


def resampled(rows: list[dict[str, Any]], rng: np.random.Generator) -> list[dict[str, Any]]:
    """As many rows, whole clusters of them drawn with replacement; the last cluster may be cut."""
    clusters: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        clusters.setdefault(row["cluster"], []).append(row)
    groups = list(clusters.values())
    drawn: list[dict[str, Any]] = []
    while len(drawn) < len(rows):
        drawn += groups[int(rng.integers(len(groups)))]
    return drawn[: len(rows)]


def elsewhere(label: str, own: ScoreContext, opened: Opened, registries: Registries) -> ScoreContext:
    """Another task's test examples for the same model; raises :class:`Undefined` where it is none for it.

    Each is tried once per job, and so are its examples' ablations made.
    """
    key = ("elsewhere", label, own.ablation)
    if key not in opened.shared:
        try:
            opened.shared[key] = _open(label, opened, registries).context(own.ablation)
        except Undefined as error:
            opened.shared[key] = error
    found = opened.shared[key]
    if isinstance(found, Undefined):
        raise found
    return replace(found, task=label, shared=opened.shared)


def _open(label: str, opened: Opened, registries: Registries) -> Opened:
    name, parameters = parsed(label)
    try:
        choice = TaskChoice(name, "", "", opened.seed, parameters)
        other = open_task(choice, opened.engine, opened.settings, registries)
        right = accuracy(opened.engine, other.batches("test"))
    except CallError:
        raise
    except Exception as error:  # a task that does not fit, or a plug-in's fault: it is not this cell's
        raise Undefined(plain(str(error)) or reason(error)) from error
    if right < other.task.gate:
        raise Undefined(f"accuracy {right:.3f} is under {other.task.gate:g}")
    return other


def parsed(label: str) -> tuple[str, dict[str, Any]]:
    """A task's name and parameters from its label in boards, ``sva[distractor=True,gate=0.5]``."""
    from yaml import safe_load

    found = LABEL.fullmatch(label)
    pairs = [part.partition("=") for part in (found["given"] or "").split(",") if part] if found else []
    if not found or not all(equals for _, equals, _ in pairs):
        raise CallError(f"{label!r} is no task's label; write name or name[parameter=value]")
    return found["name"], {key.strip(): safe_load(value) for key, _, value in pairs}
