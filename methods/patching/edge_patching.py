"""Edge (path) patching."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.data import Batch
from bench.graph import ComponentGraph
from bench.method import Job, Method, Skip
from methods.common import SPLIT, float64, mean_over_examples, one_of
from methods.patching.swap import DIRECTIONS, swap


@dataclass
class EdgePatching(Method):
    """The exact effect of an edge u -> v: v alone reads what u writes in the other run, and all after v is recomputed.

    Noising: m(clean) - m(clean[u -> v from corrupt]); ``direction=denoising``: the gain in the corrupt run.
    ``sample`` measures that many edges, drawn without replacement with the method's seed; the others get 0, and the
    explanation says so. More than ``budget`` passes (edges times examples) are refused with the numbers.

    Source: Goldowsky-Dill et al. 2023, "Localizing Model Behavior with Path Patching" (arXiv:2304.05969); Wang et al.
    2022 (arXiv:2211.00593). Sign: positive = helps the answer. Cost: e + 3 forwards per example for e measured edges.
    """

    name: ClassVar[str] = "edge_patching"
    level: ClassVar[str] = "edge"
    direction: str = "noising"
    sample: int = 0
    budget: int = field(default=500_000, metadata={"label": False})

    def __post_init__(self) -> None:
        one_of("direction", self.direction, DIRECTIONS)
        if self.sample < 0:
            raise ValueError(f"sample={self.sample}: give a number of edges, or 0 for all of them")
        self.stochastic = self.sample > 0  # type: ignore[misc]

    def passes(self, graph: ComponentGraph) -> tuple[float, float]:
        return (min(self.sample, graph.n_edges) or graph.n_edges) + 3.0, 0.0

    def scores(self, job: Job) -> NDArray[np.float64]:
        chosen = self.chosen(job)
        self.refuse(len(chosen), job)
        edges = [job.graph.edges[i] for i in chosen]

        def effects(batch: Batch) -> NDArray[np.float64]:
            runs = swap(job, batch, self.direction)
            patched = job.engine.patch_edges(runs.tokens, runs.replacement, edges, runs.read)
            return float64(runs.effect(patched).sum(dim=1))

        scores = np.zeros(job.graph.n_edges)
        scores[chosen] = mean_over_examples(job, effects)
        return scores

    def chosen(self, job: Job) -> NDArray[np.int64]:
        """Indices of the edges that are measured, ascending."""
        if not 0 < self.sample < job.graph.n_edges:
            return np.arange(job.graph.n_edges)
        return np.sort(job.generator().choice(job.graph.n_edges, size=self.sample, replace=False))

    def refuse(self, n_edges: int, job: Job) -> None:
        """Raise :class:`Skip` where the passes are over the budget."""
        examples = job.n_examples[SPLIT]
        passes = n_edges * examples
        if passes > self.budget:
            raise Skip(
                f"edge_patching needs {passes:,} forward passes ({n_edges:,} edges x {examples:,} examples), above "
                f"method.budget={self.budget:,}: raise it, or set method.sample={max(self.budget // examples, 1)}"
            )

    def extra(self, job: Job) -> dict[str, Any]:
        measured = len(self.chosen(job))
        if measured == job.graph.n_edges:
            return {}
        return {"measured_edges": measured, "edges": job.graph.n_edges, "unmeasured_score": 0.0}
