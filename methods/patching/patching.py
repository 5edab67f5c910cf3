"""Activation patching of nodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.data import Batch
from bench.graph import ComponentGraph
from bench.method import Job, Method
from methods.common import float64, mean_over_examples, one_of
from methods.patching.noise import embedding_std, named_positions, noised
from methods.patching.swap import DIRECTIONS, swap


@dataclass
class Patching(Method):
    """The exact effect of a node: its output in one run is replaced by its output in another.

    With m the objective and x[u <- x'] the run on x where node u writes what it writes on x',

    - ``direction=noising``: m(clean) - m(clean[u <- corrupt]), what the answer loses without u;
    - ``direction=denoising``: m(corrupt[u <- clean]) - m(corrupt), what u alone restores.

    ``corruption=counterfactual`` takes the task's counterfactual prompt (symmetric token replacement);
    ``corruption=noise`` takes the clean prompt with N(0, s) on the embeddings of the key tokens, where s is
    ``noise_scale`` standard deviations of those tokens' embeddings over the training examples, and the key tokens are
    those that the counterfactual replaces, or the positions in ``noise_at`` (names joined by ``+``).
    ``positions`` patches at named positions only.

    Source: Vig et al. 2020 (arXiv:2004.12265), Meng et al. 2022 (arXiv:2202.05262), Zhang and Nanda 2024, "Towards
    Best Practices of Activation Patching" (arXiv:2309.16042). Sign: positive = helps the answer, in both directions.
    Effects are in the objective's units, not divided by the gap m(clean) - m(corrupt): that changes no order.
    Cost: n + 3 forwards per example for n nodes (heads and MLPs): each node's, the two runs, and the patched run once
    more as it is, to resume it.
    """

    name: ClassVar[str] = "patching"
    level: ClassVar[str] = "node"
    corruption: str = "counterfactual"
    direction: str = "noising"
    positions: str = "all"
    noise_scale: float = 3.0
    noise_at: str = "replaced"

    def __post_init__(self) -> None:
        one_of("direction", self.direction, DIRECTIONS)
        one_of("corruption", self.corruption, ("counterfactual", "noise"))
        self.stochastic = self.corruption == "noise"  # type: ignore[misc]

    def passes(self, graph: ComponentGraph) -> tuple[float, float]:
        return len(graph.components) + 3.0, 0.0

    def scores(self, job: Job) -> NDArray[np.float64]:
        std = self.noise_scale * embedding_std(job, self.noise_at) if self.stochastic else 0.0

        def effects(batch: Batch) -> NDArray[np.float64]:
            stream = noised(job, batch, self.noise_at, std) if self.stochastic else None
            runs = swap(job, batch, self.direction, stream)
            where = None if self.positions == "all" else named_positions(batch, self.positions)
            patched = job.engine.patch_nodes(
                runs.tokens, runs.replacement, job.graph.components, runs.read, positions=where, input=runs.input
            )
            return float64(runs.effect(patched).sum(dim=1))

        return mean_over_examples(job, effects)

    def extra(self, job: Job) -> dict[str, Any]:
        return {} if self.positions == "all" else {"patched_positions": self.positions.split("+")}
