"""Random scores of latents: what the baseline ``random`` is at level ``feature``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.features.latents import Latents
from bench.method import Job
from methods.features.base import FeatureMethod


@dataclass
class RandomFeatures(FeatureMethod):
    """Independent standard normal scores of the latents and errors.

    Source: the null of every circuit benchmark. Sign: half are negative. Cost: no passes, beside what training
    dictionaries takes where they are not given.
    """

    stochastic: ClassVar[bool] = True

    def of_latents(self, job: Job, latents: Latents) -> NDArray[np.float64]:
        return job.generator().standard_normal(len(latents.names))
