"""The planted truth itself: the ceiling of planted boards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.graph import ComponentGraph
from bench.method import Baseline, Handed, Job, Skip, Truth
from methods.variables.oracle_site import OracleSite

ROLES = {"required": 1.0, "negative": -0.75, "backup": 0.5, "free": 0.25, "inert": 0.0}
EDGES = {"in": 1.0, "undetermined": 0.5, "out": 0.0}


@dataclass
class Oracle(Baseline):
    """Scores read off the planted circuit; components of one kind are tied, and ties carry no order.

    Nodes by role: required 1, negative -0.75, backup 0.5, free 0.25, inert 0. Edges: in 1, undetermined 0.5, out 0;
    those that leave or enter a negative node are negative, since what passes through it speaks against the answer.

    For a variable it is the planted site (:mod:`methods.variables.oracle_site`).

    Source: ``circuit.json`` of a planted model. Skipped on natural models, which have no known circuit.
    Cost: 0 passes per example.
    """

    name: ClassVar[str] = "oracle"
    needs_truth: ClassVar[bool] = True

    def passes(self, graph: ComponentGraph) -> tuple[float, float]:
        return 0.0, 0.0

    def explain(self, job: Job) -> Handed:
        if self.level == "dictionary":
            raise Skip("a planted circuit names no dictionary")
        if self.level == "feature":
            raise Skip("a planted circuit names no latents")
        if self.level in ("layer", "head"):
            raise Skip("a readout has no oracle: the last layer's is the model's own distribution")
        return OracleSite().explain(job) if self.level == "site" else super().explain(job)

    def scores(self, job: Job) -> NDArray[np.float64]:
        if job.truth is None:
            raise Skip("the oracle needs a planted model: this one's circuit is not known")
        truth = job.truth
        if self.level == "node":
            return np.array([ROLES[truth.roles[name]] for name in job.graph.components])
        return edge_scores(job.graph, truth)

    def extra(self, job: Job) -> dict[str, str]:
        return {"ties": "random"}


def edge_scores(graph: ComponentGraph, truth: Truth) -> NDArray[np.float64]:
    """``[n_edges]`` scores by status, signed by the ends' roles."""
    scores = np.array([EDGES[truth.edges.get(name, "undetermined")] for name in graph.edges])
    against = np.array([truth.roles.get(name) == "negative" for name in (*graph.sources, "logits")])
    destination, source = graph.edge_index
    return np.where(against[source] | against[graph.owner[destination]], -scores, scores)
