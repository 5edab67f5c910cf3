"""A small job on a planted model to try a method on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.cli.compose import composer
from bench.explanation import TRACKS
from bench.harness.cells import Cell
from bench.harness.errors import CallError
from bench.harness.opened import Opened
from bench.harness.opening import open_job
from bench.harness.planning import make_plan
from bench.method import Job
from bench.objectives import logit_diff, objective
from bench.registry import Registries, discover

SIZES = {"train": 12, "validation": 6, "test": 24}
"""Examples per split, where the call does not say: exact methods stay quick, and batches of 5 leave an uneven one."""
SIZES_OF = {"variable": {"train": 32, "validation": 24, "test": 24}}
"""Tracks that need more: a site is chosen and a part fitted by pairs, of which only some count."""


def open_cell(overrides: Sequence[str]) -> tuple[Cell, Opened]:
    """The cell of a call and its open job; raises :class:`CallError` where the call names no planted model."""
    registries = discover()
    words = [*overrides, *_sizes(overrides, registries)]
    with composer(words, registries) as hydra:
        config: Mapping[str, Any] = hydra.config(words)
    cell = make_plan([config], [], registries, one_level=True).cells[0]
    if cell.reason:
        raise CallError(cell.reason)
    if not cell.model.planted:
        raise CallError("the contract is checked on a planted model: leave model= out, or name one with a circuit.json")
    return cell, open_job(cell, registries)


def _sizes(overrides: Sequence[str], registries: Registries) -> list[str]:
    """Sizes of the splits that the call leaves open, as its method's track needs them."""
    named = dict(word.split("=", 1) for word in overrides if "=" in word)
    level = named.get("method.level") or registries.methods.load(named["method"]).level
    sizes = SIZES_OF.get(TRACKS.get(level, ""), SIZES)
    return [f"task.sizes.{split}={n}" for split, n in sizes.items() if f"task.sizes.{split}" not in named]


def job_on(
    opened: Opened, seed: int = 0, batch_size: int | None = None, goal: str = "logit_diff", variable: str = ""
) -> Job:
    """What a method gets, as the harness would give it, with batches of ``batch_size``."""
    settings = replace(opened.settings, batch_size=batch_size or opened.settings.batch_size)
    own = replace(opened, settings=settings, shared={}, _batches={}, _contexts={})
    counts = {split: len(opened.examples[split]) for split in ("train", "validation")}
    return Job(
        opened.engine, own.tuning_batches, counts, objective(goal), opened.counterfactual, seed,
        variable_data=lambda: own.variable_data(variable).seen_by_methods(),
        readout_data=lambda: own.readout_data().seen_by_methods(),
    )  # fmt: skip


def planted_job(task: str = "ioi", seed: int = 0, batch_size: int = 16, variable: str = "") -> Job:
    """A job on the planted model of ``task``, for a method's own tests; ``variable`` for one of the variable track."""
    sizes = [f"task.sizes.{split}={n}" for split, n in SIZES_OF["variable"].items()] if variable else []
    _, opened = open_cell([f"task={task}", "model=planted", "method=random", f"batch_size={batch_size}", *sizes])
    return job_on(opened, seed, variable=variable)


def exact_effects(job: Job) -> NDArray[np.float64]:
    """What the logit difference loses, on average, when one node's output is the counterfactual's, ``[n_nodes]``."""
    total, count = np.zeros(len(job.graph.components)), 0
    for batch in job.batches("train"):
        whole = logit_diff(job.engine.logits(batch.clean), batch)
        other = job.engine.sources(batch.corrupt)
        objective = partial(logit_diff, batch=batch)
        patched = job.engine.patch_nodes(batch.clean, other, job.graph.components, objective)
        total += (whole[None, :] - patched).double().sum(dim=1).cpu().numpy()
        count += len(batch)
    return total / count
