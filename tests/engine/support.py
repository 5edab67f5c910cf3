"""Engines and references of the tiny models, and the same prompts for both."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from bench.data import Tokens, pad
from bench.engine import Engine
from tests.engine.reference import Reference, Run
from tests.engine.tiny import LENGTHS, pairs, tiny

TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-9}
"""Relative to the largest value."""


class Pair:
    """One tiny model twice: in the engine, and with eager attention in the reference; clean and corrupt prompts."""

    def __init__(
        self,
        name: str,
        dtype: torch.dtype = torch.float32,
        side: str = "left",
        seed: int = 0,
        lengths: tuple[int, ...] = LENGTHS,
    ) -> None:
        self.engine = Engine(tiny(name, dtype, seed), check=False)
        self.reference = Reference(tiny(name, dtype, seed))
        self.graph = self.engine.graph
        self.ids, self.other_ids = pairs(lengths, seed)
        self.tokens, self.others = self.padded(self.ids, side), self.padded(self.other_ids, side)

    def padded(self, prompts: Sequence[Sequence[int]], side: str) -> Tokens:
        return pad(prompts, pad_id=0, side=side)

    def plain(self, prompts: Sequence[list[int]]) -> list[Run]:
        with torch.no_grad():
            return [self.reference.plain(ids) for ids in prompts]


def error(found: Tensor, expected: Tensor) -> float:
    """Largest difference, relative to the largest expected value."""
    return float((found - expected).abs().max() / expected.abs().max())


def same(found: Tensor, expected: Tensor, tolerance: float | None = None) -> bool:
    assert found.shape == expected.shape
    return error(found, expected) <= (TOLERANCE[expected.dtype] if tolerance is None else tolerance)


def logits_of(runs: Sequence[Run]) -> Tensor:
    """``[B, V]``"""
    return torch.stack([run.logits for run in runs])
