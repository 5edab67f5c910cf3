"""Training on the task alone: cross-entropy on the answer, from random weights, until fresh prompts come right."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bench.planting.architectures import build
from bench.planting.model import PlantedModel
from bench.planting.spec import Pairs, PlantSpec, Sampler
from bench.planting.train import Progress, one_thread

CHECK_STREAM = 2**33
"""Keeps the prompts of checks apart from those of training, whose random numbers come from (seed, step)."""


@dataclass(frozen=True)
class Schedule:
    """How to train: Adam at `lr` behind `warm_up` steps of a line; at most `steps`, each on `pairs` pairs of prompts.

    Every `every` steps, `checks` draws of the sampler are answered; a sampler is done with when the accuracy was at
    least `enough` `hold` times in a row, so that one lucky draw is not taken for learning.
    """

    lr: float = 2e-3
    warm_up: int = 100
    steps: int = 6000
    pairs: int = 32
    every: int = 50
    checks: int = 16
    enough: float = 0.99
    hold: int = 3
    clip: float = 1.0


@dataclass
class _State:
    """Where a training is: steps taken, samplers done with, and how many checks in a row were good enough."""

    step: int = 0
    stage: int = 0
    streak: int = 0


def train(
    spec: PlantSpec,
    seed: int,
    checkpoint: Path,
    schedule: Schedule | None = None,
    progress: Progress | None = None,
    code: str = "",
    curriculum: Sequence[Sampler] = (),
) -> tuple[PlantedModel, int]:
    """The trained model and how many steps it took; of `spec` only the shape and the sampler are looked at.

    curriculum: samplers of easier prompts, each learnt before the next, the spec's own last. One thread; every random
    choice comes from (seed, step), so that a training that was killed goes on from `checkpoint` to the same weights.
    Raises RuntimeError where the steps are not enough.
    """
    plan, accuracy, stages = schedule or Schedule(), float("nan"), (*curriculum, spec.sample)
    stamp = {"task": spec.task, "schedule": str(plan), "stages": len(stages), "seed": seed, "code": code}
    with one_thread():
        model = first(spec, seed)
        optimizer = torch.optim.Adam(model.parameters(), lr=plan.lr, betas=(0.9, 0.95), fused=True)
        state = _resume(checkpoint, stamp, model, optimizer)
        while state.step < plan.steps and state.stage < len(stages):
            sample = stages[state.stage]
            loss = _step(model, optimizer, sample, seed, state.step, plan)
            state.step += 1
            if state.step % plan.every == 0:
                accuracy = _check(model, sample, seed, state.step, plan)
                _judge(state, accuracy, plan)
                _save(checkpoint, stamp, state, model, optimizer)
                if progress:
                    progress(state.step, plan.steps, f"loss {loss:.3f} accuracy {accuracy:.3f}")
    if state.stage < len(stages):
        raise RuntimeError(
            f"{spec.task}: accuracy {accuracy:.3f} after {state.step} steps, not {plan.enough} {plan.hold} times in a "
            "row; give the schedule more steps or another rate"
        )
    return model, state.step


def _judge(state: _State, accuracy: float, plan: Schedule) -> None:
    """Count a check; go on to the next sampler after enough good ones."""
    state.streak = state.streak + 1 if accuracy >= plan.enough else 0
    if state.streak == plan.hold:
        state.stage, state.streak = state.stage + 1, 0


def first(spec: PlantSpec, seed: int) -> PlantedModel:
    """The architecture's own random weights; the caller's random state is left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(spec.shape)


def _step(
    model: PlantedModel, optimizer: torch.optim.Optimizer, sample: Sampler, seed: int, step: int, plan: Schedule
) -> float:
    """One update; the loss before it."""
    for group in optimizer.param_groups:
        group["lr"] = plan.lr * min(1.0, (step + 1) / plan.warm_up)
    logits, labels = _answered(model, sample(np.random.default_rng([seed, step]), plan.pairs))
    loss = F.cross_entropy(logits, labels, ignore_index=-1)
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), plan.clip)
    optimizer.step()
    return float(loss.detach())


def _answered(model: PlantedModel, pairs: Pairs) -> tuple[Tensor, Tensor]:
    """Logits [2n, V] and answers [2n] of both prompts of each pair; -1 for a source without an answer."""
    return model(torch.cat([pairs.base, pairs.source])).logits, torch.cat([pairs.answer, pairs.source_answer])


def _check(model: PlantedModel, sample: Sampler, seed: int, step: int, plan: Schedule) -> float:
    """Share of right answers, first of the whole vocabulary, on prompts drawn for this check alone."""
    hits = []
    with torch.no_grad():
        for draw in range(plan.checks):
            pairs = sample(np.random.default_rng([seed, step, draw, CHECK_STREAM]), plan.pairs)
            logits, labels = _answered(model, pairs)
            hits.append((logits.argmax(-1) == labels)[labels >= 0])
    return float(torch.cat(hits).double().mean())


def _save(
    path: Path, stamp: dict[str, Any], state: _State, model: PlantedModel, optimizer: torch.optim.Optimizer
) -> None:
    """Write a checkpoint whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".part")
    content = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save(content | {"stamp": stamp, "state": vars(state)}, beside)
    os.replace(beside, path)


def _resume(path: Path, stamp: dict[str, Any], model: PlantedModel, optimizer: torch.optim.Optimizer) -> _State:
    """Take up the checkpoint of a call with the same stamp; the beginning where there is none."""
    if not path.is_file():
        return _State()
    content = torch.load(path, weights_only=True)
    if content["stamp"] != stamp:
        return _State()
    model.load_state_dict(content["model"])
    optimizer.load_state_dict(content["optimizer"])
    return _State(**content["state"])
