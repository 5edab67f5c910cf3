"""Neurons and heads by the increase of the answer's log-probability."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.data import Batch
from bench.graph import ComponentGraph
from bench.method import Job, Method
from methods.attribution.neurons import BUDGET, head_increases, neuron_increases, refuse, strongest
from methods.common import mean_over_examples


@dataclass
class LogProbIncrease(Method):
    """How much likelier the answer gets, read off with the lens, when one neuron's write joins the residual.

    Score of neuron n of layer l = log p(w | x + h_n v_n) - log p(w | x) at the last position of the clean prompt, w the
    answer, x the residual in front of the layer's MLP, v_n the neuron's value vector, p the final norm and the
    unembedding on it. A head is scored the same way by all that it adds to the residual that enters its layer. An
    MLP's score is the sum over its neurons, which is not the increase by their sum: the logarithm is not linear. Only
    direct effects at the last position are seen. The strongest neurons are kept in ``extra``, ``listed`` of them.
    Another objective takes the place of log p. Too many logits (``budget``) are refused with the numbers.

    Source: Yu and Ananiadou 2024, "Neuron-Level Knowledge Attribution in Large Language Models" (arXiv:2312.12141).
    Sign: positive = helps the answer. Cost: 1 forward per example, and an unembedding of every neuron per batch.
    """

    name: ClassVar[str] = "log_prob_increase"
    level: ClassVar[str] = "node"
    objective: str = "logprob"
    listed: int = field(default=100, metadata={"label": False})
    budget: int = field(default=BUDGET, metadata={"label": False})

    def __post_init__(self) -> None:
        self._strongest: list[dict[str, Any]] = []

    def passes(self, graph: ComponentGraph) -> tuple[float, float]:
        return 1.0, 0.0

    def scores(self, job: Job) -> NDArray[np.float64]:
        refuse(job, self.budget)

        def increases(batch: Batch) -> NDArray[np.float64]:
            writes = job.engine.writes(batch.clean)
            return np.concatenate([head_increases(job, batch, writes), neuron_increases(job, batch, writes)], axis=1)

        table = mean_over_examples(job, increases)  # [L, H + n]
        heads, neurons = table[:, : job.graph.n_heads], table[:, job.graph.n_heads :]
        self._strongest = strongest(neurons, self.listed)
        return np.concatenate([heads, neurons.sum(axis=1, keepdims=True)], axis=1).flatten()

    def extra(self, job: Job) -> dict[str, Any]:
        return {"neurons": self._strongest}
