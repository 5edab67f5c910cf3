"""An engine whose logit difference is a known sum over the kept edges, so that figures have closed forms."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from bench.data import Batch, Tokens, pad
from bench.explanation import Explanation
from bench.graph import ComponentGraph
from bench.method import Truth
from bench.metric import ScoreContext

ANSWER, WRONG = 3, 4


@dataclass
class AdditiveEngine:
    """m(circuit, example) = base[example] + gain[example] * sum of the weights of the kept edges."""

    graph: ComponentGraph
    weights: np.ndarray
    base: np.ndarray
    gain: np.ndarray
    runs: list[int] = field(default_factory=list)
    """How many circuits each call ran."""
    d_model: int = 2**14
    """So large that batches are not joined."""

    def run_circuit(self, tokens: Tokens, kept: torch.Tensor, ablation: Any) -> torch.Tensor:
        destination, source = self.graph.edge_index
        flags = kept.numpy()[:, destination, source]
        self.runs.append(len(flags))
        example = tokens.ids[:, 0].numpy()
        m = self.base[example] + self.gain[example] * (flags @ self.weights)[:, None]
        logits = torch.zeros(*m.shape, 6, dtype=torch.float64)
        logits[..., ANSWER] = torch.from_numpy(m)
        return logits

    def logits(self, tokens: Tokens) -> torch.Tensor:
        whole = torch.from_numpy(self.graph.edge_mask(np.ones(self.graph.n_edges, dtype=bool)))
        return self.run_circuit(tokens, whole[None], None)[0]


def fake_batches(n: int, size: int = 16) -> Iterator[Batch]:
    """Batches of ``n`` two-token examples; the first token is the example's number."""
    for start in range(0, n, size):
        index = torch.arange(start, min(start + size, n))
        tokens = pad([[int(i), 1] for i in index])
        both = torch.full_like(index, ANSWER), torch.full_like(index, WRONG)
        yield Batch(index, tokens, tokens, *both, {})


def engine(
    graph: ComponentGraph, weights: np.ndarray, n: int = 48, base: float = -1.0, noise: float = 0.0
) -> AdditiveEngine:
    """An additive engine on ``n`` examples, all alike but for ``noise``."""
    rng = np.random.default_rng(0)
    return AdditiveEngine(graph, weights, base + noise * rng.standard_normal(n), 1 + noise * rng.standard_normal(n))


def context(
    fake: AdditiveEngine, clusters: Sequence[str] | None = None, truth: Truth | None = None, **changes: Any
) -> ScoreContext:
    """A context over all examples of the engine, a cluster each."""
    n = len(fake.base)
    arguments = {
        "engine": fake, "batches": lambda: fake_batches(n), "n_examples": n,
        "clusters": clusters or [str(i) for i in range(n)], "ablation": "counterfactual", "ablate": lambda batch: None,
        "counterfactual": "flip", "truth": truth,
    }  # fmt: skip
    return ScoreContext(**{**arguments, **changes})


def explanation(graph: ComponentGraph, scores: np.ndarray, level: str = "edge", **changes: Any) -> Explanation:
    """An explanation with these scores."""
    return Explanation(
        level, graph.names(level), np.asarray(scores, dtype=np.float32), "toy", "1", "model", "abc", "method", "1",
        "flip", **changes,
    )  # fmt: skip
