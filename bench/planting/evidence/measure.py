"""Interventions on a planted model over fresh pairs, and the two figures taken of each: accuracy, interchange accuracy.

Resampled means replaced by the source prompt's outputs, mean by the mean over the sources of the same template, zero
by nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

import torch
from torch import Tensor

from bench.planting.evidence.passes import CutPass
from bench.planting.model import PlantedModel, Run
from bench.planting.spec import Pairs

ABLATIONS = ("resample", "mean", "zero")


class Measure:
    """Runs a model on lists of pairs (one template each) and takes shares of right answers."""

    def __init__(self, model: PlantedModel, pairs: list[Pairs]) -> None:
        self.model, self.graph, self.pairs = model, model.graph, pairs
        with torch.no_grad():
            self.base = [model(p.base) for p in pairs]
            self.source = [model(p.source) for p in pairs]
        self.right = [
            (b.logits.argmax(-1) == p.answer) & (s.logits.argmax(-1) == p.source_answer)
            for p, b, s in zip(pairs, self.base, self.source, strict=True)
        ]
        self._mask = lru_cache(maxsize=8)(lambda edges: self.graph.mask(edges))

    def logits(
        self,
        nodes: Iterable[str] = (),
        edges: Iterable[str] = (),
        places: Mapping[str, str | None] | None = None,
        restore: Iterable[str] = (),
        ablation: str = "resample",
    ) -> list[Tensor]:
        """Last logits [n, V] per list entry with nodes and edges cut.

        A node that `places` gives a named position is cut there alone, and takes what the source has at its own such
        position; prompts without the position keep theirs. Other nodes are cut everywhere. Nodes in `restore` are put
        back to their outputs in the base run.
        """
        mask, out = self._mask(tuple(edges)), []
        columns = {self.graph.sources.index(name): (places or {}).get(name) for name in nodes}
        kept = [self.graph.sources.index(name) for name in restore]
        for p, base, source in zip(self.pairs, self.base, self.source, strict=True):
            corrupt = self._corrupt(source, ablation)
            cut: dict[int, Tensor | None] = dict.fromkeys((*columns, *kept))
            for column, place in columns.items():
                if place is None or column in kept:
                    continue
                rows, at, there = _both(p, place)
                where = torch.zeros(p.base.shape)
                where[rows, at] = 1.0
                cut[column] = where
                if not torch.equal(at, there):
                    corrupt = corrupt.clone()
                    corrupt[column, rows, at] = corrupt[column, rows, there]
            if kept:
                corrupt = corrupt.clone()
                corrupt[kept] = base.sources[kept]
            with torch.no_grad():
                out.append(CutPass(self.model, corrupt, mask, cut)(p.base))
        return out

    @staticmethod
    def _corrupt(source: Run, ablation: str) -> Tensor:
        if ablation == "resample":
            return source.sources
        if ablation == "mean":
            return source.sources.mean(1, keepdim=True).expand_as(source.sources)
        if ablation == "zero":
            return torch.zeros_like(source.sources)
        raise ValueError(f"unknown ablation {ablation!r}; one of {', '.join(ABLATIONS)}")

    def accuracy(self, logits: list[Tensor] | None = None) -> float:
        """Share of pairs whose base answer comes out first of the whole vocabulary."""
        logits = logits or [run.logits for run in self.base]
        return _share([(x.argmax(-1) == p.answer) for x, p in zip(logits, self.pairs, strict=True)])

    def pair_accuracy(self, logits: list[Tensor]) -> float:
        """Share of pairs whose base answer comes out above the wrong one."""
        return _share([x > 0 for x in self.difference(logits)])

    def difference(self, logits: list[Tensor] | None = None) -> list[Tensor]:
        """Logit differences, answer minus wrong, [n] per list entry."""
        logits = logits or [run.logits for run in self.base]
        rows = [torch.arange(len(p.answer)) for p in self.pairs]
        return [x[r, p.answer] - x[r, p.wrong] for x, r, p in zip(logits, rows, self.pairs, strict=True)]

    def interchange(self, logits: list[Tensor], variable: str) -> float:
        """Share with the causal model's answer, among pairs where it differs from the base's and both are right."""
        hits = []
        for x, p, right in zip(logits, self.pairs, self.right, strict=True):
            target = p.targets[variable]
            counts = right & (target >= 0) & (target != p.answer)
            hits.append((x.argmax(-1) == target)[counts])
        return _share(hits)

    def restored(self, logits: list[Tensor], variable: str) -> float:
        """Share with the base's answer among the pairs that `interchange` counts."""
        hits = []
        for x, p, right in zip(logits, self.pairs, self.right, strict=True):
            target = p.targets[variable]
            hits.append((x.argmax(-1) == p.answer)[right & (target >= 0) & (target != p.answer)])
        return _share(hits)

    def norm(self, node: str, position: str) -> float:
        """Mean norm of a node's output at a position, over the base runs that have it."""
        column, values = self.graph.sources.index(node), []
        for p, run in zip(self.pairs, self.base, strict=True):
            at = p.positions[position][0]
            rows = (at >= 0).nonzero()[:, 0]
            values.append(run.outs[column][rows, at[rows]].norm(dim=-1))
        return float(torch.cat(values).double().mean())

    def attention(self, head: str, start: str, end: str) -> float:
        """Mean attention of a head from one named position to another."""
        layer, number = (int(part[1:]) for part in head.split("."))
        values = []
        for p, run in zip(self.pairs, self.base, strict=True):
            first, last = p.positions[start][0], p.positions[end][0]
            rows = ((first >= 0) & (last >= 0)).nonzero()[:, 0]
            values.append(run.patterns[layer][rows, number, first[rows], last[rows]])
        return float(torch.cat(values).double().mean())

    def change(self, node: str, position: str) -> float:
        """Mean norm of the difference between a node's output in the base and in the source."""
        column, values = self.graph.sources.index(node), []
        for p, base, source in zip(self.pairs, self.base, self.source, strict=True):
            rows, at, there = _both(p, position)
            values.append((base.sources[column, rows, at] - source.sources[column, rows, there]).norm(dim=-1))
        return float(torch.cat(values).double().mean())


def _both(pairs: Pairs, position: str) -> tuple[Tensor, Tensor, Tensor]:
    """The rows that have a position in base and source, and where in each."""
    at, there = pairs.positions[position]
    rows = ((at >= 0) & (there >= 0)).nonzero()[:, 0]
    return rows, at[rows], there[rows]


def _share(hits: list[Tensor]) -> float:
    """Mean of booleans over all entries; nan when there are none."""
    joined = torch.cat(hits).double()
    return float(joined.mean()) if len(joined) else float("nan")
