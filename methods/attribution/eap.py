"""Edge attribution patching."""

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
class Eap(Method):
    """First-order patching of edges: all effects from two runs.

    Score of edge u -> v = sum over positions of (u(clean) - u(corrupt)) . dm/dv, with the gradient of the objective m
    at v's *input* (a head's q, k and v inputs apart), in the clean run, or in the corrupt run with ``at=corrupt``.
    The objective kl is flat at the clean run and refused there.

    Source: Syed et al. 2023, "Attribution Patching Outperforms Automated Circuit Discovery" (arXiv:2310.10348).
    Sign: positive = helps the answer (the paper ranks |score|). Cost: 2 forwards and 1 backward per example.
    """

    name: ClassVar[str] = "eap"
    level: ClassVar[str] = "edge"
    at: str = "clean"

    def __post_init__(self) -> None:
        one_of("at", self.at, ENDS)
        refuse_flat(self.name, self.objective, self.at, "at=corrupt, eap_ig")

    def passes(self, graph: ComponentGraph) -> tuple[float, float]:
        return 2.0, 1.0

    def scores(self, job: Job) -> NDArray[np.float64]:
        def attributions(batch: Batch) -> NDArray[np.float64]:
            end = ends(job, batch, self.at)
            return float64(job.engine.edge_attribution(end.tokens, end.clean, end.corrupt, end.value))

        return mean_over_examples(job, attributions)[job.graph.edge_index]
