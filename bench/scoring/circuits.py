"""Per-example values of circuits: the one place where scoring runs the model."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from bench.data import Batch
from bench.metric import ScoreContext
from bench.objectives import Objective, objective
from bench.scoring.merging import merged
from bench.scoring.space import EdgeSpace, Space

BUFFER_BYTES = 32 * 2**20
"""Batches are joined while what all sources write fits into this: small models gain, large ones are left alone."""


def circuit_values(
    context: ScoreContext,
    circuits: Sequence[NDArray[np.bool_]],
    objective_name: str = "logit_diff",
    space: Space | None = None,
) -> NDArray[np.float64]:
    """The objective of each circuit on each example of the scored split, ``[n_examples, n_circuits]``.

    Each of ``circuits`` is ``[n]`` kept flags of ``space``, by default the edges; the rest carries the context's
    ablation. Equal circuits are run once, also among all metrics and explanations that share ``context.shared``.
    """
    space = space or EdgeSpace(context.engine)
    scored = (context.task, context.split, context.counterfactual, context.seed, context.n_examples)
    key = ("circuit_values", *scored, context.ablation, objective_name, space.key)
    known: dict[bytes, NDArray[np.float64]] = context.shared.setdefault(key, {})
    digests = [digest(circuit) for circuit in circuits]
    missing = {d: c for d, c in zip(digests, circuits, strict=True) if d not in known}
    if missing:
        values = _run(context, space, list(missing.values()), objective(objective_name))
        known.update(zip(missing, values.T, strict=True))
    return np.stack([known[d] for d in digests], axis=1)


def whole(context: ScoreContext) -> NDArray[np.bool_]:
    """The circuit that is the whole model."""
    return np.ones(context.engine.graph.n_edges, dtype=bool)


def empty(context: ScoreContext) -> NDArray[np.bool_]:
    """The circuit with every edge cut."""
    return np.zeros(context.engine.graph.n_edges, dtype=bool)


def digest(circuit: NDArray[np.bool_]) -> bytes:
    """A key of the kept edges."""
    return hashlib.sha256(np.packbits(circuit).tobytes()).digest()


def _run(
    context: ScoreContext, space: Space, circuits: list[NDArray[np.bool_]], value: Objective
) -> NDArray[np.float64]:
    columns: list[NDArray[np.float64]] = []
    for batch in merged(context.batches(), BUFFER_BYTES // (space.floats * 4)):
        columns.append(_run_batch(context, space, batch, circuits, value))
    return np.concatenate(columns, axis=0)


@torch.no_grad()
def _run_batch(
    context: ScoreContext, space: Space, batch: Batch, circuits: list[NDArray[np.bool_]], value: Objective
) -> NDArray[np.float64]:
    clean = context.engine.logits(batch.clean) if value.needs_clean else None
    runs = space.run(context, batch, circuits)
    return np.stack([value(logits.float(), batch, clean).double().cpu().numpy() for logits in runs], axis=1)
