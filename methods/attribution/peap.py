"""Position-aware edge attribution patching."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data import Batch
from bench.graph import ComponentGraph
from bench.method import Job, Method
from methods.attribution.gradient import ENDS, ends, refuse_flat
from methods.common import float64, mean_over_examples, one_of

COMBINE = ("absolute", "largest", "sum")


@dataclass
class Peap(Method):
    """EAP with every span of positions scored apart, so that opposite signs at different positions do not cancel.

    Score of edge u -> v at span s = mean over examples of the sum over positions t in s of
    (u_t(clean) - u_t(corrupt)) . dm/dv_t. The spans of a task's examples are its named positions, one token each, and
    the stretches that lead up to them. An edge's score is made of its spans': ``absolute`` sums their sizes,
    ``largest`` takes the largest size (both with the sign of the sum), ``sum`` adds them, which is EAP. The largest
    positional scores are kept in ``extra``, ``listed`` of them.

    Edges between positions inside a head (a key's position to a query's) belong to the head in this graph and are not
    scored apart.

    Source: Haklay et al. 2025, "Position-aware Automatic Circuit Discovery" (arXiv:2502.04577); there an edge has its
    positions in the circuit too, so that ``combine`` is ours. Of the authors' ways to join the positions of a span
    (sum, mean, largest size) this is the sum. Sign: positive = helps
    the answer. Cost: 2 forwards and 1 backward per example (the contraction is made once per span).
    """

    name: ClassVar[str] = "peap"
    level: ClassVar[str] = "edge"
    at: str = "clean"
    combine: str = "absolute"
    listed: int = field(default=200, metadata={"label": False})

    def __post_init__(self) -> None:
        one_of("at", self.at, ENDS)
        one_of("combine", self.combine, COMBINE)
        refuse_flat(self.name, self.objective, self.at, "at=corrupt")
        self._largest: dict[str, Any] = {}

    def passes(self, graph: ComponentGraph) -> tuple[float, float]:
        return 2.0, 1.0

    def scores(self, job: Job) -> NDArray[np.float64]:
        names: list[str] = []

        def attributions(batch: Batch) -> NDArray[np.float64]:
            end = ends(job, batch, self.at)
            names[:], where = spans(batch)
            tables = job.engine.span_attribution(end.tokens, (end.clean, end.corrupt), end.value, where)
            return float64(tables)

        table = mean_over_examples(job, attributions)[:, *job.graph.edge_index]  # [S, n_edges]
        self._largest = largest(table, names, job.graph.edges, self.listed)
        total = table.sum(axis=0)
        if self.combine == "sum":
            return total
        size = np.abs(table).sum(axis=0) if self.combine == "absolute" else np.abs(table).max(axis=0)
        return np.where(total < 0, -size, size)

    def extra(self, job: Job) -> dict[str, Any]:
        return self._largest


def spans(batch: Batch) -> tuple[list[str], Tensor]:
    """Names, and ``[n_spans, B, T]`` bool: every real token is in one span.

    A named position is a span of its own (the first of its names, by the alphabet, where it has several); a token in
    between belongs to the stretch before the next named position, tokens behind the last one to ``rest``.
    """
    named = sorted(batch.positions)
    width = batch.clean.mask.shape[1]
    steps = torch.arange(width, device=batch.clean.mask.device)
    at = torch.stack([batch.positions[name] for name in named]).T  # [B, P]
    ahead = torch.where(at[:, None, :] >= steps[None, :, None], at[:, None, :], width)  # [B, T, P]
    nearest, owner = ahead.min(dim=-1)
    # Of several names for one position min gives no certain one: take the first.
    owner = (ahead == nearest[..., None]).int().argmax(dim=-1)
    here = nearest == steps
    kinds = [(name, here & (owner == i) & (nearest < width)) for i, name in enumerate(named)]
    kinds += [(f"before {name}", ~here & (owner == i) & (nearest < width)) for i, name in enumerate(named)]
    kinds.append(("rest", nearest == width))
    return [name for name, _ in kinds], torch.stack([mask & batch.clean.mask for _, mask in kinds])


def largest(table: NDArray[np.float64], names: list[str], edges: tuple[str, ...], count: int) -> dict[str, Any]:
    """The ``count`` largest positional scores, and every span's share of the total size."""
    size = np.abs(table)
    chosen = np.argsort(-size, axis=None, kind="stable")[:count]
    span, edge = np.unravel_index(chosen, table.shape)
    rows = [{"edge": edges[e], "span": names[s], "score": float(table[s, e])} for s, e in zip(span, edge, strict=True)]
    whole = size.sum() or 1.0
    return {"positional": rows, "spans": {n: float(x / whole) for n, x in zip(names, size.sum(axis=1), strict=True)}}
