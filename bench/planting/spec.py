"""What a task says to have a model planted: roles, variables, edges, the interventions to train, and a sampler."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from bench.planting.graph import Graph
from bench.planting.model import Shape


@dataclass(frozen=True)
class Role:
    """A node's role, the variable that it carries, where, and what it shall attend to (from, to; named positions).

    `writes` and `reads` (by q, k, v, or `mlp`) name the lanes, subspaces of the stream, where its weights start.
    """

    role: str
    variable: str | None = None
    position: str | None = None
    attends: tuple[str, str] | None = None
    writes: tuple[str, ...] = ()
    reads: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Trial:
    """An intervention to train: `nodes` are taken from the source prompt; `target` is `base` or a variable's name.

    `outside` says whether edges outside the declared set are cut as well (strictness). `probability` is the share
    of groups that are spent on it.
    """

    nodes: tuple[str, ...]
    target: str
    probability: float
    outside: bool = True


@dataclass
class Pairs:
    """Base and source prompts of one length, and what the causal model says of them.

    base, source: [n, T] token ids. answer, wrong: [n] of the base; source_answer: [n], and -1 where the source has
    none. targets: variable name to [n], the base's answer had the variable the source's value; -1 where undefined.
    positions: name to ([n] in the base, [n] in the source).
    """

    base: Tensor
    source: Tensor
    answer: Tensor
    wrong: Tensor
    source_answer: Tensor
    targets: dict[str, Tensor]
    positions: dict[str, tuple[Tensor, Tensor]]


Sampler = Callable[[np.random.Generator, int], Pairs]


@dataclass(frozen=True)
class PlantSpec:
    """Everything that the trainer needs; roles of nodes that are not named are `free`.

    lanes: name to width, together at most d_model; the embeddings start in `embedding_lane`.
    steps are trained in cycles of `cycle`, the learning rate starting anew at `lr` in each.
    """

    task: str
    shape: Shape
    roles: dict[str, Role]
    required_edges: tuple[str, ...]
    other_edges: tuple[str, ...]
    trials: tuple[Trial, ...]
    sample: Sampler = field(repr=False)
    lanes: dict[str, int] = field(default_factory=dict)
    embedding_lane: str | None = None
    steps: int = 2000
    cycle: int = 1000
    lr: float = 2e-3
    pairs: int = 32
    groups: int = 8

    @property
    def graph(self) -> Graph:
        """The component graph of the model."""
        return Graph(self.shape.n_layer, self.shape.n_head)

    @property
    def outside(self) -> Tensor:
        """Mask [destinations, sources] of the edges outside the declared set, which strictness cuts."""
        declared = {*self.required_edges, *self.other_edges}
        return self.graph.mask(edge for edge in self.graph.edges if edge not in declared)

    def nodes(self, role: str, variable: str | None = None) -> tuple[str, ...]:
        """Names of the nodes of a role, or those that carry a variable."""
        return tuple(n for n, r in self.roles.items() if r.role == role and variable in (None, r.variable))

    def column(self, nodes: tuple[str, ...]) -> Tensor:
        """A vector [sources] that is 1 at `nodes`."""
        return torch.tensor([float(name in nodes) for name in self.graph.sources])
