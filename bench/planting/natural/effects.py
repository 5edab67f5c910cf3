"""What cutting single nodes, pairs of nodes and single edges costs, through the benchmark's engine.

Cut means resampled: the output is the one that the same component has in the source prompt, at all positions. Two
costs are taken of each cut. `accuracy`: the share of right answers (first of the whole vocabulary) that is lost.
`margin`: the mean logit difference, answer minus wrong answer, that is lost, over what is lost when everything is cut;
1 minus the faithfulness of the model without the component. Standard errors are those of paired differences over
examples; the margin's is that of a ratio of means (delta method).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data import Tokens
from bench.engine import Engine
from bench.engine.sources import Sources
from bench.planting.spec import Pairs

Floats = NDArray[np.float64]
Z = 1.959964
"""Of a 95 % interval."""


class Outcome(NamedTuple):
    """Per cut and example, [k, n]: whether the answer is right (1 or 0), and the logit difference."""

    right: Floats
    margin: Floats


class Costs(NamedTuple):
    """Per cut, [k]: the two costs and their standard errors."""

    accuracy: Floats
    accuracy_se: Floats
    margin: Floats
    margin_se: Floats


@dataclass(frozen=True)
class Effects:
    """All that was measured in one setting; `excess` is a pair's cost above the sum of its nodes' own."""

    n: int
    accuracy: float
    margin: float
    """Mean logit difference of the whole model."""
    span: float
    """Mean logit difference that is lost when everything is cut."""
    nodes: tuple[str, ...]
    node: Costs
    pairs: tuple[tuple[str, str], ...]
    pair: Costs
    excess: Costs
    edges: tuple[str, ...]
    edge: Costs


class Ablation:
    """Cuts parts of one model on lists of pairs, each list entry of one prompt length."""

    def __init__(self, engine: Engine, pairs: Sequence[Pairs]) -> None:
        """Raises ValueError where cutting everything costs no logit difference that can be told from 0."""
        self.engine, self.pairs = engine, list(pairs)
        self.base = [_tokens(p.base) for p in self.pairs]
        source = [_tokens(p.source) for p in self.pairs]
        self.others: list[Sources] = [engine.sources(tokens) for tokens in source]
        self.whole = self._outcome([engine.logits(tokens)[None] for tokens in self.base])
        self.gone = self._outcome([engine.logits(tokens)[None] for tokens in source])
        self.lost = (self.whole.margin - self.gone.margin)[0]
        if self.lost.mean() <= Z * _se(self.lost):
            raise ValueError(
                f"cutting everything costs a logit difference of {self.lost.mean():.3g} (standard error "
                f"{_se(self.lost):.2g}): shares of it mean nothing; use sources that change the answer"
            )

    def nodes(self, sets: Sequence[Sequence[str]]) -> Outcome:
        """Each set of nodes cut at once."""
        return self._many(lambda i, read: self.engine.patch_sets(self.base[i], self.others[i], sets, read))

    def edges(self, edges: Sequence[str]) -> Outcome:
        """Each edge cut by itself."""
        return self._many(lambda i, read: self.engine.patch_edges(self.base[i], self.others[i], edges, read))

    def together(self, edges: Sequence[str]) -> Outcome:
        """All of these edges cut at once; one row."""
        graph = self.engine.graph
        kept = torch.from_numpy(graph.edge_mask(~np.isin(graph.edges, list(edges))))
        runs = zip(self.base, self.others, strict=True)
        return self._outcome([self.engine.run_circuit(tokens, kept, other)[None] for tokens, other in runs])

    def costs(self, cut: Outcome) -> Costs:
        """What cuts cost."""
        return costs_of(self.whole.right - cut.right, self.whole.margin - cut.margin, self.lost)

    def excess(self, pairs: Outcome, first: Outcome, second: Outcome) -> Costs:
        """What pairs cost above the sum of what their two nodes cost by themselves."""
        right = first.right + second.right - self.whole.right - pairs.right
        return costs_of(right, first.margin + second.margin - self.whole.margin - pairs.margin, self.lost)

    def _many(self, run: Callable[[int, Callable[[Tensor], Tensor]], Tensor]) -> Outcome:
        """Cuts [k] of all list entries. The engine calls `read` in an order of its own, so each call is numbered."""
        parts = []
        for i, pairs in enumerate(self.pairs):
            found: list[Outcome] = []

            def read(logits: Tensor, pairs: Pairs = pairs, found: list[Outcome] = found) -> Tensor:
                found.append(_read(logits, pairs))
                return logits.new_full((len(logits),), len(found) - 1)

            numbers = run(i, read)[:, 0].long().tolist()
            parts.append(Outcome(*(np.stack([found[k][j] for k in numbers]) for j in range(2))))
        return Outcome(*(np.concatenate(part, 1) for part in zip(*parts, strict=True)))

    def _outcome(self, logits: Sequence[Tensor]) -> Outcome:
        """Of logits [k, n, V] per list entry."""
        parts = [_read(x, pairs) for x, pairs in zip(logits, self.pairs, strict=True)]
        return Outcome(*(np.concatenate(part, -1) for part in zip(*parts, strict=True)))


def costs_of(right: Floats, margin: Floats, lost: Floats) -> Costs:
    """Costs of what is lost per example: right answers [k, n], logit difference [k, n], and all of that [n]."""
    share = margin.mean(1) / lost.mean()
    return Costs(right.mean(1), _se(right), share, _se(margin - share[:, None] * lost) / lost.mean())


def measure(ablation: Ablation, edges: bool = True) -> Effects:
    """Every node, every pair of nodes, and (if asked for) every edge."""
    graph = ablation.engine.graph
    nodes, names = graph.components, graph.edges if edges else ()
    pairs = tuple(itertools.combinations(nodes, 2))
    index = np.array(list(itertools.combinations(range(len(nodes)), 2)))
    single, double = ablation.nodes([(node,) for node in nodes]), ablation.nodes(pairs)
    first, second = (Outcome(*(part[index[:, side]] for part in single)) for side in range(2))
    whole, nothing = ablation.whole, np.zeros(0)
    return Effects(
        len(ablation.lost), float(whole.right.mean()), float(whole.margin.mean()), float(ablation.lost.mean()),
        nodes, ablation.costs(single), pairs, ablation.costs(double), ablation.excess(double, first, second),
        names, ablation.costs(ablation.edges(names)) if edges else Costs(nothing, nothing, nothing, nothing),
    )  # fmt: skip


def _tokens(ids: Tensor) -> Tokens:
    return Tokens(ids, torch.ones_like(ids, dtype=torch.bool))


def _read(logits: Tensor, pairs: Pairs) -> Outcome:
    """Of logits [..., n, V]."""
    rows = torch.arange(len(pairs.answer))
    margin = logits[..., rows, pairs.answer] - logits[..., rows, pairs.wrong]
    right = logits.argmax(-1) == pairs.answer
    return Outcome(right.double().numpy(), margin.double().numpy())


def _se(values: Floats) -> Floats:
    """Standard error of the mean over the last dimension."""
    return values.std(-1, ddof=1) / np.sqrt(values.shape[-1])
