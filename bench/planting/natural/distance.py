"""How far planted models are from natural ones: how much goes on outside the circuit, how effects are spread."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from bench.planting.evidence.circuit import Circuit
from bench.planting.export import load
from bench.planting.natural.effects import Ablation, Effects
from bench.planting.natural.truth import COST, FIGURES, NOTHING, beyond
from bench.planting.spec import Pairs

OUTSIDE = ("free", "inert")
Floats = NDArray[np.float64]


def figures(circuit: Circuit, directory: Path, ablation: Ablation, effects: Effects) -> dict[str, float]:
    """All figures of one model in one setting, by the name that the report gives them."""
    outside = circuit.by_role(*OUTSIDE)
    nodes = ablation.costs(ablation.nodes([outside]))
    edges = ablation.costs(ablation.together(circuit.edges["out"]))
    return {
        "accuracy": effects.accuracy,
        "nodes in the circuit, share": 1 - len(outside) / len(effects.nodes),
        "`in` edges, share": len(circuit.edges["in"]) / sum(map(len, circuit.edges.values())),
        **spread(effects),
        **interaction(effects),
        **activity(circuit, directory, ablation.pairs),
        "all nodes outside resampled: accuracy lost": float(nodes.accuracy[0]),
        "all nodes outside resampled: margin lost": float(nodes.margin[0]),
        "all `out` edges resampled: accuracy lost": float(edges.accuracy[0]),
        "all `out` edges resampled: margin lost": float(edges.margin[0]),
    }


def spread(effects: Effects) -> dict[str, float]:
    """How single effects are spread over the nodes."""
    out: dict[str, float] = {}
    for figure in FIGURES:
        cost = getattr(effects.node, figure)
        out[f"nodes that cost {COST} of {figure}, share"] = float((cost >= COST).mean())
        out[f"nodes that move {figure} by {NOTHING}, share"] = float((np.abs(cost) >= NOTHING).mean())
        out[f"largest cost of a node, {figure}"] = float(cost.max())
    out["effective number of nodes (participation ratio of margin costs)"] = participation(effects.node.margin)
    return out


def participation(costs: Floats) -> float:
    """(sum |c|)^2 / sum c^2: 1 where one node has all the effect, the number of nodes where all have as much."""
    size = np.abs(costs)
    return float(size.sum() ** 2 / (size**2).sum()) if size.any() else math.nan


def interaction(effects: Effects) -> dict[str, float]:
    """Shares of the pairs that cost more (redundancy) or less (chains, saturation) than their nodes by themselves."""
    out = {}
    for figure in FIGURES:
        for sign, word in ((1, "more"), (-1, "less")):
            name = f"pairs that cost {word} than their nodes, {figure}, share"
            out[name] = float(beyond(effects, figure, sign).mean())
    return out


def activity(circuit: Circuit, directory: Path, pairs: list[Pairs]) -> dict[str, float]:
    """Median over free nodes over median over required ones, of outputs' norms and of their change between prompts.

    Norms are means over examples and positions. Decoys are left out: they are meant to be loud.
    """
    model = load(directory)
    size, change = [], []
    with torch.no_grad():
        for p in pairs:
            base, source = model(p.base).sources, model(p.source).sources
            size.append(base.norm(dim=-1).flatten(1))
            change.append((base - source).norm(dim=-1).flatten(1))
    out = {}
    for name, values in (("output norm", size), ("change between prompts", change)):
        mean = torch.cat(values, 1).double().mean(1).numpy()
        median = {
            role: _median([mean[model.graph.sources.index(node)] for node in circuit.by_role(role)])
            for role in ("free", "required")
        }
        out[f"{name}, free over required"] = median["free"] / median["required"]
    return out


def _median(values: list[float]) -> float:
    return float(np.median(values)) if values else math.nan
