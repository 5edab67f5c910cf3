"""Exact patching of latents."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from bench.data import Batch
from bench.features.circuits import single_effects
from bench.features.latents import Latents
from bench.method import Job, Skip
from methods.common import SPLIT, mean_over_examples
from methods.features.base import FeatureMethod


@dataclass
class FeaturePatching(FeatureMethod):
    """The exact effect of every latent, and of every error: what feature_atp and feature_ig estimate.

    Score = m(clean) - m(clean with this component, at all positions, as in the corrupt run). A latent with the same
    codes in both runs has none, and takes no pass.

    Source: Marks et al. 2024, "Sparse Feature Circuits" (arXiv:2403.19647), equation 1. Sign: positive = helps the
    answer. Cost: 2 forwards per example, and 1 per component whose codes differ in its batch; and what training
    dictionaries takes where they are not given. ``budget`` is the most forwards that it may take.
    """

    name: ClassVar[str] = "feature_patching"
    budget: int = field(default=2_000_000, metadata={"label": False})

    def of_latents(self, job: Job, latents: Latents) -> NDArray[np.float64]:
        passes = len(latents.names) * job.n_examples[SPLIT]
        if passes > self.budget:
            raise Skip(
                f"feature_patching may need {passes:,} forward passes ({len(latents.names):,} latents and errors x "
                f"{job.n_examples[SPLIT]:,} examples), above method.budget={self.budget:,}: raise it, or use feature_ig"
            )

        def exact(batch: Batch) -> NDArray[np.float64]:
            clean_logits: torch.Tensor | None = None

            def read(logits: torch.Tensor) -> torch.Tensor:
                nonlocal clean_logits
                clean_logits = logits if clean_logits is None else clean_logits
                return job.objective(logits, batch, clean_logits)

            total = np.zeros(len(latents.names))
            for index, effect in single_effects(job.engine, latents, batch, read):
                total[index] = float(effect.double().sum())
            return total

        return mean_over_examples(job, exact)
