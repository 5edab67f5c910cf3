"""The size of what a component writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from bench.data import Batch
from bench.graph import ComponentGraph
from bench.method import Baseline, Job
from methods.common import float64, mean_over_examples


@dataclass
class ActivationNorm(Baseline):
    """The Euclidean norm of what a component adds to the residual stream (a head's output after W_O).

    Mean over the real tokens of a clean prompt, then over the examples. An edge gets its source's score, ``input``
    that of the stream which enters block 0.

    Source: magnitude as importance, the usual control for effects. Sign: never negative. Cost: 1 forward per example.
    """

    name: ClassVar[str] = "activation_norm"

    def scores(self, job: Job) -> NDArray[np.float64]:
        def norms(batch: Batch) -> NDArray[np.float64]:
            written = job.engine.written(job.engine.sources(batch.clean))  # [B, T, n_sources, d]
            size = torch.linalg.vector_norm(written, dim=-1).double() * batch.clean.mask[:, :, None]
            return float64((size.sum(dim=1) / batch.clean.mask.sum(dim=1, keepdim=True)).sum(dim=0))

        return of_sources(job.graph, self.level, mean_over_examples(job, norms))

    def extra(self, job: Job) -> dict[str, str]:
        return {"ties": "random"}


def of_sources(graph: ComponentGraph, level: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """``[n_sources]`` values as scores of a ``level``: an edge gets its source's."""
    return values[1:] if level == "node" else values[graph.edge_index[1]]
