"""What a training is told."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

FROZEN = ("none", "decoder", "encoder")


@dataclass(frozen=True)
class TrainingSettings:
    """Sizes and rates. What is None is the architecture's own, as published."""

    d_sae: int
    l0: float
    """Active latents per token: k of the TopK family, the target of the others."""
    steps: int = 1000
    batch_size: int = 1024
    """Tokens per step."""
    lr: float | None = None
    betas: tuple[float, float] | None = None
    warmup: float = 0.05
    """Share of the steps over which the learning rate, and the sparsity coefficient, rise from 0."""
    decay: float = 0.2
    """Share of the steps, the last ones, over which the learning rate falls to 0."""
    clip: float = 1.0
    """Largest norm of the gradient."""
    dead_after: int = 200_000
    """Tokens without activity after which a latent counts as dead."""
    resamplings: int = 4
    """How often, evenly over the first half of the steps, dead latents start anew (architectures without aux-k); as
    often after that as long as the architecture says."""
    bandwidth: float = 1e-3
    """Of JumpReLU's straight-through estimators."""
    coefficient: float | None = None
    """Sparsity coefficient at first; it is tuned from there."""
    tune: float = 0.02
    """How fast: the largest change of its logarithm per step."""
    tolerance: float = 0.2
    """How far the L0 on held-out activations may be from the target, as a share of it."""
    groups: tuple[float, ...] = (1 / 32, 3 / 32, 7 / 32, 15 / 32, 1.0)
    """Matryoshka: the prefixes, as shares of the latents (Bussmann et al. 2025: 2048 to 65536)."""
    frozen: str = "none"
    """``decoder`` or ``encoder``: random and not trained."""
    seed: int = 0
    mixed: bool = True
    """bfloat16 products on a GPU; the parameters, losses and sums stay float32."""

    def __post_init__(self) -> None:
        if self.d_sae < 1 or self.steps < 1 or self.batch_size < 1:
            raise ValueError(f"d_sae={self.d_sae}, steps={self.steps}, batch_size={self.batch_size}: give 1 or more")
        if not 0 < self.l0 < self.d_sae:
            raise ValueError(f"l0={self.l0:g}: a dictionary of {self.d_sae} latents has between 0 and {self.d_sae}")
        if self.frozen not in FROZEN:
            raise ValueError(f"frozen={self.frozen}: use one of {', '.join(FROZEN)}")
        if self.lr is not None and not self.lr > 0:
            raise ValueError(f"lr={self.lr}: give a positive number")
        if self.warmup < 0 or self.decay < 0 or self.warmup + self.decay > 1:
            raise ValueError(
                f"warmup={self.warmup:g}, decay={self.decay:g}: give shares of the steps, 1 together at most"
            )

    def rate(self, step: int) -> float:
        """Factor on the learning rate at ``step``, 1 the first: linear up, constant, linear down."""
        rising = step / (self.warmup * self.steps) if self.warmup else 1.0
        falling = (self.steps - step + 1) / (self.decay * self.steps) if self.decay else 1.0
        return min(1.0, rising, falling)

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}
