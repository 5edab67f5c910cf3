"""The same mechanism in other heads: so that seeds of one task do not share the places of their roles."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from bench.planting.model import Shape
from bench.planting.spec import PlantSpec

_HEAD = re.compile(r"a(\d+)\.h(\d+)")


def permuted(spec: PlantSpec, seed: int) -> PlantSpec:
    """The spec with the heads of each layer in the seed's order; layers and MLPs stay.

    Under grouped-query attention groups are permuted, and heads within each, so that heads that share k and v do so
    still.
    """
    rename = renaming(spec.shape, seed)
    return replace(
        spec,
        roles={rename(name): role for name, role in spec.roles.items()},
        required_edges=tuple(map(rename, spec.required_edges)),
        other_edges=tuple(map(rename, spec.other_edges)),
        trials=tuple(replace(trial, nodes=tuple(map(rename, trial.nodes))) for trial in spec.trials),
        checks=spec.checks.renamed(rename),
    )


def renaming(shape: Shape, seed: int) -> Callable[[str], str]:
    """A function from names of nodes and edges to the seed's names."""
    rng = np.random.default_rng([seed, shape.n_layer, shape.n_head])
    share = shape.n_head // shape.kv_heads
    orders = []
    for _ in range(shape.n_layer):
        groups = rng.permutation(shape.kv_heads)
        orders.append([int(g) * share + int(i) for g in groups for i in rng.permutation(share)])

    def rename(name: str) -> str:
        return _HEAD.sub(lambda m: f"a{m[1]}.h{orders[int(m[1])][int(m[2])]}", name)

    return rename
