"""The training loop: seeded step by step, so that a killed training goes on from its checkpoint to the same weights."""

from __future__ import annotations

import copy
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from bench.planting.losses import loss
from bench.planting.model import PlantedModel
from bench.planting.spec import PlantSpec
from bench.planting.start import start

Progress = Callable[[int, int, str], None]
SAVE_EVERY, WARM_UP, CLIP = 100, 100, 1.0


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread, so that sums come out the same on a machine with more cores; what was set comes back."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def code_hash(files: Iterable[Path]) -> str:
    """SHA-256 over the names and contents of the files that make a model."""
    out = hashlib.sha256()
    for path in sorted(files, key=lambda p: p.name):
        out.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return out.hexdigest()


def train(
    spec: PlantSpec,
    seed: int,
    checkpoint: Path,
    progress: Progress | None = None,
    steps: int | None = None,
    code: str = "",
    init: PlantedModel | None = None,
) -> PlantedModel:
    """Train a planted model on one thread; `checkpoint` is read when it fits the call, and kept up to date.

    With `init` the training goes on from its weights (a copy of them), and lanes are not looked at.
    """
    spec.check()
    total = steps or spec.steps
    stamp = {"task": spec.task, "seed": seed, "steps": total, "code": code, "init": _digest(init)}
    if init is not None and init.shape != spec.shape:
        raise ValueError(f"{spec.task}: the model to go on from has {init.shape}, the spec {spec.shape}")
    with one_thread():
        model = start(spec, seed) if init is None else copy.deepcopy(init)
        optimizer = torch.optim.Adam(model.parameters(), lr=spec.lr, betas=(0.9, 0.95), fused=True)
        for step in range(_resume(checkpoint, stamp, model, optimizer), total):
            parts = _step(spec, model, optimizer, seed, step, total)
            if (step + 1) % SAVE_EVERY == 0 or step + 1 == total:
                _save(checkpoint, stamp | {"step": step + 1}, model, optimizer)
            if progress and ((step + 1) % 10 == 0 or step + 1 == total):
                progress(step + 1, total, " ".join(f"{name} {value:.3f}" for name, value in parts.items()))
    return model


def _step(
    spec: PlantSpec, model: PlantedModel, optimizer: torch.optim.Optimizer, seed: int, step: int, total: int
) -> dict[str, float]:
    """One update; every random choice comes from (seed, step). The rate falls in a line, in cycles."""
    rng = np.random.default_rng([seed, step])
    cycle = min(spec.cycle, total)
    within = step % cycle
    for group in optimizer.param_groups:
        group["lr"] = spec.lr * min(1.0, (within + 1) / WARM_UP) * (1.0 - within / cycle)
    value, parts = loss(model, spec, spec.sampler(step / total)(rng, spec.pairs), rng, min(1.0, step / cycle))
    optimizer.zero_grad()
    value.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
    optimizer.step()
    return parts


def _digest(model: PlantedModel | None) -> str:
    """SHA-256 of a model's weights; nothing for none."""
    out = hashlib.sha256()
    for value in model.state_dict().values() if model is not None else ():
        out.update(value.numpy().tobytes())
    return out.hexdigest() if model is not None else ""


def _save(path: Path, stamp: dict, model: PlantedModel, optimizer: torch.optim.Optimizer) -> None:
    """Write a checkpoint whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".part")
    torch.save({"stamp": stamp, "model": model.state_dict(), "optimizer": optimizer.state_dict()}, beside)
    os.replace(beside, path)


def _resume(path: Path, stamp: dict, model: PlantedModel, optimizer: torch.optim.Optimizer) -> int:
    """Load a checkpoint of the same call, and say at which step to go on; 0 when there is none."""
    if not path.is_file():
        return 0
    state = torch.load(path, weights_only=True)
    found = dict(state["stamp"])
    step = int(found.pop("step"))
    if found != stamp:
        return 0
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return step
