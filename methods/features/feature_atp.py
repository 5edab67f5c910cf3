"""Attribution patching of latents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from bench.data import Batch
from bench.features.attribution import effects, recorded_gradients
from bench.features.latents import Latents
from bench.graph import ComponentGraph
from bench.method import Job
from methods.attribution.gradient import ENDS, clean_objective, refuse_flat
from methods.common import float64, mean_over_examples, one_of
from methods.features.base import FeatureMethod


@dataclass
class FeatureAtp(FeatureMethod):
    """First-order patching of the latents of dictionaries, and of what the dictionaries leave over.

    At a site y = sum_i c_i d_i + error. Score of latent i = sum over positions of (c_i(clean) - c_i(corrupt)) d_i . g,
    of the error (error(clean) - error(corrupt)) . g, with g = dm/dy in the model as it is, in the clean run
    (``at=clean``) or in the corrupt one. A site's scores sum to AtP of all that is at the site. ``dictionaries``:
    :mod:`methods.features.dictionaries`; the components are called ``m2/f17`` and ``m2/error``.

    Source: Marks et al. 2024, "Sparse Feature Circuits" (arXiv:2403.19647), equation 2. Sign: positive = helps the
    answer. Cost: 2 forwards and 1 backward per example, and what training dictionaries takes where they are not given.
    """

    name: ClassVar[str] = "feature_atp"
    at: str = "clean"

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("at", self.at, ENDS)
        refuse_flat(self.name, self.objective, self.at, "at=corrupt")

    def passes(self, graph: ComponentGraph) -> tuple[float, float] | None:
        return None if self.trains else (2.0, 1.0)

    def of_latents(self, job: Job, latents: Latents) -> NDArray[np.float64]:
        def attributions(batch: Batch) -> NDArray[np.float64]:
            sides = (batch.clean, batch.corrupt) if self.at == "clean" else (batch.corrupt, batch.clean)
            if self.at == "clean":
                other, value = latents.record(job.engine, sides[1]), clean_objective(job, batch)
            else:
                other = latents.record(job.engine, sides[1])

                def value(logits: torch.Tensor) -> torch.Tensor:
                    return job.objective(logits, batch, other.logits)

            own, gradients = recorded_gradients(job.engine, latents, sides[0], value)
            clean, corrupt = (own, other) if self.at == "clean" else (other, own)
            parts = [
                float64(effects(latents, i, clean.found[i], corrupt.found[i], gradient, batch.clean.mask))
                for i, gradient in enumerate(gradients)
            ]
            return np.concatenate(parts)

        return mean_over_examples(job, attributions)
