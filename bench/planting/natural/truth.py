"""From measured costs to roles of nodes and classes of edges.

A node is `required` when its cut costs `COST` of accuracy or of the margin in some setting. Either figure alone is
blind to something: accuracy saturates where the margin is wide, and the margin compares two words only, so that a node
which keeps all the others down costs it nothing. So a node counts as needed when the answer or the preference depends
on it, and what is left for `free` depends on it in neither way. `negative`: cutting it raises the margin by `COST`.
`backup`: it costs less than that by itself, but a pair with it costs `COST` more than the sum of its two nodes, by a
margin that chance over all pairs does not explain (Bonferroni, one-sided .025). All others are `free`.

Edges: `in` where the cut costs `COST` in either figure, `out` where it moves both by less than `NOTHING`, each in the
setting where it shows most; else `undetermined`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from bench.planting.natural.effects import Costs, Effects

COST, NOTHING, TAIL = 0.05, 0.01, 0.025
FIGURES = ("accuracy", "margin")
Flags = NDArray[np.bool_]


def node_roles(settings: Sequence[Effects], figures: Sequence[str] = FIGURES) -> dict[str, str]:
    """Roles by node; `figures` says which costs count."""
    names = settings[0].nodes
    required, negative, backup = (np.zeros(len(names), dtype=bool) for _ in range(3))
    for effects in settings:
        required |= _any(effects.node, figures, COST)
        negative |= effects.node.margin <= -COST
        for (first, second), found in zip(effects.pairs, redundant(effects, figures), strict=True):
            backup[[names.index(first), names.index(second)]] |= found
    roles = np.select([required, negative, backup], ["required", "negative", "backup"], "free")
    return dict(zip(names, map(str, roles), strict=True))


def edge_classes(settings: Sequence[Effects]) -> dict[str, list[str]]:
    """Edges by class, each in the graph's order."""
    names = settings[0].edges
    found = np.any([_any(e.edge, FIGURES, COST) for e in settings], axis=0)
    still = np.all([_still(e.edge) for e in settings], axis=0)
    classes = {"in": found, "out": still, "undetermined": ~found & ~still}
    return {key: [name for name, flag in zip(names, flags, strict=True) if flag] for key, flags in classes.items()}


def redundant(effects: Effects, figures: Sequence[str] = FIGURES) -> Flags:
    """Pairs [k] that cost `COST` more than the sum of their nodes, beyond chance."""
    return np.any([beyond(effects, figure, 1) for figure in figures], axis=0)


def beyond(effects: Effects, figure: str, sign: int) -> Flags:
    """Pairs [k] whose cost lies `COST` above (`sign` 1) or below (-1) the sum of their nodes', beyond chance."""
    excess, se = getattr(effects.excess, figure), getattr(effects.excess, f"{figure}_se")
    bar = norm.isf(TAIL / max(1, len(effects.pairs)))
    return (sign * excess >= COST) & (sign * excess >= bar * se)


def _any(costs: Costs, figures: Sequence[str], least: float) -> Flags:
    return np.any([getattr(costs, figure) >= least for figure in figures], axis=0)


def _still(costs: Costs) -> Flags:
    return (np.abs(costs.accuracy) < NOTHING) & (np.abs(costs.margin) < NOTHING)
