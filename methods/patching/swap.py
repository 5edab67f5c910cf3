"""The two runs behind a patch: the one that is patched, and the one that the patches come from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from bench.data import Batch, Tokens
from bench.method import Job

if TYPE_CHECKING:
    from bench.engine import Sources

DIRECTIONS = ("noising", "denoising")


@dataclass(frozen=True)
class Swap:
    """A base run, what replaces its activations, and how an effect is read. Made with 2 forwards per example."""

    tokens: Tokens
    input: Tensor | None
    """``[B, T, d]`` stream that enters block 0 of the base run; None where it is the tokens' own."""
    replacement: Sources
    value: Tensor
    """``[B]`` objective of the base run."""
    read: Callable[[Tensor], Tensor]
    """``[B, V]`` logits to ``[B]`` objective."""
    sign: float

    def effect(self, patched: Tensor) -> Tensor:
        """``[n, B]`` fp64 effects, positive = helps: what noising loses, or what denoising restores."""
        return self.sign * (self.value.double() - patched.double())


def swap(job: Job, batch: Batch, direction: str, noised: Tensor | None = None) -> Swap:
    """The runs for ``direction``; ``noised`` is the corrupt run's stream where noise replaces the counterfactual."""
    engine = job.engine
    tokens = batch.corrupt if noised is None else batch.clean
    if direction == "noising":
        clean_logits = engine.logits(batch.clean)
        replacement = engine.sources(tokens, input=noised)
        base, stream, logits, sign = batch.clean, None, clean_logits, 1.0
    else:
        replacement, clean_logits = engine.sources_and_logits(batch.clean)
        base, stream, logits, sign = tokens, noised, engine.logits(tokens, input=noised), -1.0

    def read(values: Tensor) -> Tensor:
        return job.objective(values, batch, clean_logits)

    with torch.no_grad():
        return Swap(base, stream, replacement, read(logits), read, sign)
