"""Derivatives of an objective by central differences of the reference, in fp64 (inside :class:`double`)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from tests.engine.reference import Reference

STEP = 1e-4
Objective = Callable[[Tensor], Tensor]
"""Logits ``[V]`` to a number."""


@torch.no_grad()
def edge_derivative(reference: Reference, ids: list[int], edge: str, delta: Tensor, objective: Objective) -> float:
    """The objective's derivative when an edge carries ``step * delta`` more, ``delta`` ``[T, d]``."""
    destination = edge.partition("->")[2]
    up, down = (objective(reference.circuit(ids, extra={destination: sign * STEP * delta}).logits) for sign in (1, -1))
    return float((up - down) / (2 * STEP))


@torch.no_grad()
def node_derivative(reference: Reference, ids: list[int], node: str, delta: Tensor, objective: Objective) -> float:
    """The objective's derivative when a node's output is moved along ``delta``; heads ``[T, D]``, others ``[T, d]``."""

    def moved(step: float) -> Tensor:
        return objective(reference.plain(ids, lambda name, x: x + step * delta if name == node else x).logits)

    return float((moved(STEP) - moved(-STEP)) / (2 * STEP))
