"""Random scores: the floor of every board."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.graph import ComponentGraph
from bench.method import Baseline, Handed, Job, Skip
from methods.features.dictionaries import shown
from methods.features.random_features import RandomFeatures
from methods.readouts.random_readout import RandomReadout
from methods.variables.random_rotation import RandomRotation


@dataclass
class Random(Baseline):
    """Independent standard normal scores, for nodes, edges or the latents of ``dictionaries``.

    A random rotation of the same rank for a variable; for a readout a random one of the same level
    (:mod:`methods.readouts.random_readout`).

    Source: the null of every circuit benchmark. Sign: half are negative. Cost: 0 passes per example.
    """

    name: ClassVar[str] = "random"
    stochastic: ClassVar[bool] = True
    ignored: ClassVar[tuple[str, ...]] = ()
    dictionaries: str = field(default="", metadata={"optional": True})
    """Of latents (:mod:`methods.features.dictionaries`), those of the rows that it accompanies."""

    def __post_init__(self) -> None:
        if self.dictionaries == RandomFeatures.dictionaries:
            self.dictionaries = ""

    def label(self) -> str:
        """Folders go by their last parts."""
        return super().label().replace(f"={self.dictionaries}", f"={shown(self.dictionaries)}")

    def passes(self, graph: ComponentGraph) -> tuple[float, float]:
        return 0.0, 0.0

    def explain(self, job: Job) -> Handed:
        if self.level == "dictionary":
            raise Skip("the floors of dictionaries are analytic, or figures of controls that name a site")
        if self.level in ("layer", "head"):
            return RandomReadout(level=self.level).explain(job)
        if self.level == "feature":
            return RandomFeatures(dictionaries=self.dictionaries or RandomFeatures.dictionaries).explain(job)
        return RandomRotation().explain(job) if self.level == "site" else super().explain(job)

    def scores(self, job: Job) -> NDArray[np.float64]:
        return job.generator().standard_normal(len(job.graph.names(self.level)))
