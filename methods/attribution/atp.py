"""Attribution patching of nodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.data import Batch
from bench.graph import ComponentGraph
from bench.method import Job, Method
from methods.attribution.gradient import ENDS, ends, refuse_flat
from methods.common import float64, mean_over_examples, one_of


@dataclass
class Atp(Method):
    """First-order patching of nodes: all effects from two runs.

    Score of node u = sum over positions of (u(clean) - u(corrupt)) . dm/du, with the gradient of the objective m at
    u's *output*, in the clean run (``at=clean``, noising) or in the corrupt run (``at=corrupt``, denoising).
    The gradient passes through everything after u. The objective kl is flat at the clean run and refused there.

    Source: Nanda 2023, "Attribution Patching"; Kramar et al. 2024 (arXiv:2403.00745). Sign: positive = helps the
    answer. Cost: 2 forwards and 1 backward per example.
    """

    name: ClassVar[str] = "atp"
    level: ClassVar[str] = "node"
    at: str = "clean"

    def __post_init__(self) -> None:
        one_of("at", self.at, ENDS)
        refuse_flat(self.name, self.objective, self.at, "at=corrupt")

    def passes(self, graph: ComponentGraph) -> tuple[float, float]:
        return 2.0, 1.0

    def scores(self, job: Job) -> NDArray[np.float64]:
        def attributions(batch: Batch) -> NDArray[np.float64]:
            end = ends(job, batch, self.at)
            return float64(job.engine.node_attribution(end.tokens, end.delta, end.value)).sum(axis=1)

        return mean_over_examples(job, attributions)
