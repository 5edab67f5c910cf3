"""Sizes of what the nodes write."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from bench.method import Job, Method


@dataclass
class Norms(Method):
    """Mean norm of the difference between what a node writes on the two prompts. Cost: 2 forwards per example."""

    name: ClassVar[str] = "elsewhere_norms"
    level: ClassVar[str] = "node"
    power: float = 1.0

    def passes(self, graph):
        return 2.0, 0.0

    def scores(self, job: Job) -> np.ndarray:
        total, count = 0.0, 0
        for batch in job.batches("train"):
            delta = job.engine.sources(batch.clean) - job.engine.sources(batch.corrupt)
            total = total + np.concatenate([_norms(z, mlp) for z, mlp in zip(delta.z, delta.mlp, strict=True)])
            count += len(batch)
        return (total / count) ** self.power


def _norms(z, mlp):
    """Of a layer's heads, then of its MLP, summed over the batch."""
    heads = z.double().pow(2).sum(dim=(1, 3)).sqrt().sum(dim=0)
    return np.append(heads.cpu().numpy(), float(mlp.double().pow(2).sum(dim=(1, 2)).sqrt().sum()))
