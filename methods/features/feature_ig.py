"""Attribution patching of latents with integrated gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from bench.data import Batch
from bench.features.attribution import effects, entrances, line_gradients
from bench.features.latents import Latents
from bench.graph import ComponentGraph
from bench.method import Job
from methods.attribution.gradient import check_steps, shares
from methods.common import float64, mean_over_examples
from methods.features.base import FeatureMethod
from methods.features.dictionaries import n_sites


@dataclass
class FeatureIg(FeatureMethod):
    """feature_atp with the gradient at each site averaged over a line from the corrupt run's activations to the clean.

    All latents and the error of one site move together from corrupt + k/m (clean - corrupt), the rest of the run being
    the clean one's, k = 1 .. m (``include=clean``, the authors'), 0 .. m - 1 (``corrupt``) or the middles of m equal
    parts (``midpoint``). So with many steps a site's scores sum to the effect of patching the whole site,
    m(clean) - m(clean[site <- corrupt]). Over all sites they do not sum to the effect of the prompt.

    Source: Marks et al. 2024, "Sparse Feature Circuits" (arXiv:2403.19647), equation 3, with their m = 10. Sign:
    positive = helps the answer. Cost: 2 + S m forwards and S m backwards per example for S sites, and what training
    dictionaries takes where they are not given.
    """

    name: ClassVar[str] = "feature_ig"
    steps: int = 10
    include: str = "clean"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_steps(self.steps, self.include, self.name, self.objective)

    def passes(self, graph: ComponentGraph) -> tuple[float, float] | None:
        runs = float(self.steps * n_sites(self.dictionaries, graph))
        return None if self.trains else (2 + runs, runs)

    def of_latents(self, job: Job, latents: Latents) -> NDArray[np.float64]:
        into = entrances(job.engine, latents)
        line = shares(self.steps, self.include)

        def attributions(batch: Batch) -> NDArray[np.float64]:
            clean = latents.record(job.engine, batch.clean, into)
            corrupt = latents.record(job.engine, batch.corrupt)

            def value(logits: torch.Tensor) -> torch.Tensor:
                return job.objective(logits, batch, clean.logits)

            parts = []
            for i in range(len(latents.sites)):
                gradient = line_gradients(job.engine, latents, i, batch.clean, clean, corrupt, value, line)
                parts.append(float64(effects(latents, i, clean.found[i], corrupt.found[i], gradient, batch.clean.mask)))
            return np.concatenate(parts)

        return mean_over_examples(job, attributions)
