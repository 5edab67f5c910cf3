"""What the methods share: walking over the training examples, summing in fp64, checking parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data import Batch
from bench.method import Job

SPLIT = "train"
"""Scores are computed on this split; validation is for choices, test for the metrics."""


def one_of(parameter: str, value: str, allowed: Sequence[str]) -> None:
    """Raise :class:`ValueError` where ``value`` is none of ``allowed``."""
    if value not in allowed:
        raise ValueError(f"{parameter}={value!r} is none of {', '.join(allowed)}")


def float64(values: Tensor) -> NDArray[np.float64]:
    """``values`` as an fp64 array in main memory."""
    array: NDArray[np.float64] = values.detach().to("cpu", torch.float64).numpy()
    return array


def mean_over_examples(job: Job, summed: Callable[[Batch], NDArray[np.float64]]) -> NDArray[np.float64]:
    """Mean over the training examples of ``summed(batch)``, which is a sum over the batch's examples.

    Sums are kept in fp64 and divided once, so that the batch size has no say.
    """
    total: NDArray[np.float64] | None = None
    count = 0
    for batch in job.batches(SPLIT):
        here = summed(batch.to(job.engine.device))
        total = here if total is None else total + here
        count += len(batch)
        job.progress(count, job.n_examples[SPLIT])
    if total is None:
        raise ValueError(f"the split {SPLIT!r} has no examples")
    return total / count
