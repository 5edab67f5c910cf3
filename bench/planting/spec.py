"""What a task says to have a model planted: roles, variables, edges, the interventions to train, and a sampler."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from bench.planting.evidence.checks import ROLES, Checks
from bench.planting.graph import Graph
from bench.planting.model import Shape


@dataclass(frozen=True)
class Role:
    """A node's role, the variable that it carries, where, and what it shall attend to (from, to; named positions).

    `also` are further such pairs that are asked of the same head, at other places or in other kinds of prompts.
    `writes` and `reads` (by q, k, v, or `mlp`) name the lanes, subspaces of the stream, where its weights start. Under
    grouped-query attention the heads of a group have k and v in common, so they must name the same lanes there.
    """

    role: str
    variable: str | None = None
    position: str | None = None
    attends: tuple[str, str] | None = None
    writes: tuple[str, ...] = ()
    reads: dict[str, tuple[str, ...]] = field(default_factory=dict)
    also: tuple[tuple[str, str], ...] = ()

    @property
    def looks(self) -> tuple[tuple[str, str], ...]:
        """All that the head shall attend to."""
        return (*((self.attends,) if self.attends else ()), *self.also)

    @property
    def place(self) -> str | None:
        """The named position at which the node's output is looked at: its own, or the one that it attends from."""
        return self.position or (self.attends[0] if self.attends else None)


@dataclass(frozen=True)
class Trial:
    """An intervention to train: `nodes` are taken from the source prompt; `target` is `base` or a name in `targets`.

    `outside` says whether edges outside the declared set are cut as well (strictness). `probability` is the share
    of groups that are spent on it. In a share `local` of them each node is taken at its role's position alone (in
    the source: at the source's own such position); in the others, and where a role has no position, everywhere.
    """

    nodes: tuple[str, ...]
    target: str
    probability: float
    outside: bool = True
    local: float = 0.5


@dataclass
class Pairs:
    """Base and source prompts of one length, and what the causal model says of them.

    base, source: [n, T] token ids. answer, wrong: [n] of the base; source_answer: [n], and -1 where the source has
    none. targets: name (a variable's, or any other that a trial aims at) to [n], the base's answer had the variable
    the source's value; -1 where undefined. positions: name to ([n] in the base, [n] in the source); -1 where a prompt
    has no such position: there nothing is asked of the attention, and nothing is patched.
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

    A spec without roles and trials is that of a model trained on the task alone.

    lanes: name to width, together below d_model; the embeddings start in `embedding_lane`. steps are trained in cycles
    of `cycle`, the learning rate starting anew at `lr` in each. stages: (share of all steps, sampler) in order: until
    that share the sampler stands in for `sample` (a curriculum). ramp: behaviour's weight rises from 0 at the one to
    its own at the other of these shares of the first cycle. checks: what the evidence is taken on.
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
    stages: tuple[tuple[float, Sampler], ...] = ()
    ramp: tuple[float, float] = (0.25, 0.75)
    behaviour: float = 1.0
    attention: float = 2.0
    decoy: float = 0.3
    negative: float = 0.3
    checks: Checks = field(default_factory=Checks)

    @property
    def graph(self) -> Graph:
        """The component graph of the model."""
        return self.shape.graph

    @property
    def outside(self) -> Tensor:
        """Mask [destinations, sources] of the edges outside the declared set, which strictness cuts."""
        declared = {*self.required_edges, *self.other_edges}
        return self.graph.mask(edge for edge in self.graph.edges if edge not in declared)

    def nodes(self, role: str, variable: str | None = None) -> tuple[str, ...]:
        """Names of the nodes of a role, or those that carry a variable."""
        return tuple(n for n, r in self.roles.items() if r.role == role and variable in (None, r.variable))

    def sampler(self, share: float) -> Sampler:
        """The sampler when a share of all steps is behind."""
        return next((sample for until, sample in self.stages if share < until), self.sample)

    def check(self) -> None:
        """Raise ValueError for what does not fit: names, lanes, sizes, roles that lack without saying so."""
        if 2 * self.pairs % self.groups:
            raise ValueError(f"{self.task}: {2 * self.pairs} rows cannot be dealt to {self.groups} groups")
        self._check_names()
        for name, role in self.roles.items():
            parts = "qkv" if "." in name else ("mlp",)
            if (role.looks and "." not in name) or any(part not in parts for part in role.reads):
                raise ValueError(f"{self.task}: {name} reads with {', '.join(parts)}, and only heads attend")
        for kind in ROLES:
            if bool(self.nodes(kind)) == (kind in self.checks.without):
                has = "has" if self.nodes(kind) else "lacks"
                raise ValueError(f"{self.task}: the spec {has} {kind} nodes; checks.without is {self.checks.without}")

    def _check_names(self) -> None:
        nodes, edges = set(self.graph.nodes), set(self.graph.edges)
        named = [*self.roles, *(n for t in self.trials for n in t.nodes), *(self.checks.movers or ())]
        named += [n for part in self.checks.circuits.values() for n in part]
        for name in named:
            if name not in nodes:
                raise ValueError(f"{self.task}: the model has no node {name}")
        for name in (*self.required_edges, *self.other_edges):
            if name not in edges:
                raise ValueError(f"{self.task}: the model has no edge {name}")
        for lane in (lane for r in self.roles.values() for part in (r.writes, *r.reads.values()) for lane in part):
            if lane not in self.lanes:
                raise ValueError(f"{self.task}: a role names the lane {lane}, which lanes does not have")
        for name in (n for part in self.checks.circuits.values() for n in part):
            if name not in self.nodes("required"):
                raise ValueError(f"{self.task}: checks.circuits has {name}, which is not required")
