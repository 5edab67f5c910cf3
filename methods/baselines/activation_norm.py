"""The size of what a component writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data import Batch
from bench.graph import ComponentGraph
from bench.method import Baseline, Job
from methods.common import float64, mean_over_examples

if TYPE_CHECKING:
    from bench.engine import Sources


@dataclass
class ActivationNorm(Baseline):
    """The Euclidean norm of what a component adds to the residual stream (a head's output after W_O).

    Mean over the real tokens of a clean prompt, then over the examples. An edge gets its source's score, ``input``
    that of the stream which enters block 0.

    Source: magnitude as importance, the usual control for effects. Sign: never negative. Cost: 1 forward per example.
    """

    name: ClassVar[str] = "activation_norm"

    def passes(self, graph: ComponentGraph) -> tuple[float, float]:
        return 1.0, 0.0

    def scores(self, job: Job) -> NDArray[np.float64]:
        def norms(batch: Batch) -> NDArray[np.float64]:
            mask = batch.clean.mask[:, :, None]
            sizes = lengths(job, job.engine.sources(batch.clean)).double() * mask
            return float64((sizes.sum(dim=1) / mask.sum(dim=1)).sum(dim=0))

        return of_sources(job.graph, self.level, mean_over_examples(job, norms))

    def extra(self, job: Job) -> dict[str, str]:
        return {"ties": "random"}


def lengths(job: Job, sources: Sources) -> Tensor:
    """``[B, T, n_sources]`` norms of what each source adds to the stream."""
    parts = [sources.input.norm(dim=-1, keepdim=True)]
    for layer, mlp in enumerate(sources.mlp):
        heads = torch.einsum("bthk,hkd->bthd", sources.written(layer), job.engine.wiring.w_out(layer))
        parts += [heads.norm(dim=-1), mlp.norm(dim=-1, keepdim=True)]
    return torch.cat(parts, dim=-1)


def of_sources(graph: ComponentGraph, level: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """``[n_sources]`` values as scores of a ``level``: an edge gets its source's."""
    return values[1:] if level == "node" else values[graph.edge_index[1]]
