"""Trees with two goals in different branches, and what their paths are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from tasks._common import one, pick

Parents = Mapping[str, str]
"""The parent of every node but the root."""


@dataclass(frozen=True)
class Problem:
    """A tree, its edges (parent, child) in the order in which they are said, and the goal.

    ``other`` is the goal that could have been: a node in another branch of the root.
    """

    edges: tuple[tuple[str, str], ...]
    root: str
    goal: str
    other: str

    @property
    def parents(self) -> dict[str, str]:
        return {child: parent for parent, child in self.edges}

    def turned(self) -> Problem:
        """The same tree with the other goal."""
        return replace(self, goal=self.other, other=self.goal)

    def renamed(self, names: Mapping[str, str]) -> Problem:
        """The same tree with other names."""
        edges = tuple((names[parent], names[child]) for parent, child in self.edges)
        return Problem(edges, names[self.root], names[self.goal], names[self.other])

    def exchanged(self, x: str, y: str) -> Problem:
        """The nodes ``x`` and ``y`` exchange their parents, and take along what is below them."""
        parents = self.parents
        now = {**parents, x: parents[y], y: parents[x]}
        return replace(self, edges=tuple((now[child], child) for _, child in self.edges))


def ancestors(parents: Parents, node: str) -> list[str]:
    """The nodes from the parent of ``node`` up to the child of the root, in this order; empty right below the root."""
    found: list[str] = []
    while (node := parents[node]) in parents:
        found.append(node)
    return found


def grow(rng: np.random.Generator, names: list[str], depth: int, goal_depth: int) -> Problem:
    """A tree over ``names``, at most ``depth`` edges deep, with a goal ``goal_depth`` edges below the root.

    The other goal is as deep, or where there are too few names for that, as deep as they allow. Which of the two is
    the goal is a coin's choice, so nothing in the tree tells. Both are leaves; edges are in random order.
    """
    used = 1 + goal_depth + min(goal_depth, len(names) - 1 - goal_depth)
    root, left, right = names[0], names[1 : goal_depth + 1], names[goal_depth + 1 : used]
    parents, level = dict[str, str](), {root: 0}
    for chain in (left, right):
        for parent, child in zip([root, *chain], chain, strict=False):
            parents[child], level[child] = parent, level[parent] + 1
    goals = [left[-1], right[-1]]
    for name in names[used:]:
        parent = one(rng, [node for node in level if level[node] < depth and node not in goals])
        parents[name], level[name] = parent, level[parent] + 1
    children = list(parents)
    edges = tuple((parents[children[i]], children[i]) for i in rng.permutation(len(children)))
    goal, other = (goals[i] for i in rng.permutation(2))
    return Problem(edges, root, goal, other)


def swapped(problem: Problem, rng: np.random.Generator) -> Problem:
    """Two nodes of one depth, on the ways to the two goals and not right below the root, with parents exchanged."""
    ways = [[goal, *ancestors(problem.parents, goal)][:-1] for goal in (problem.goal, problem.other)]
    below = int(rng.integers(min(map(len, ways))))
    return problem.exchanged(*(way[-1 - below] for way in ways))


def relabelled(problem: Problem, rng: np.random.Generator) -> Problem:
    """Every name becomes another: the nodes, in random order, take each the next one's."""
    names = [problem.root, *problem.parents]
    order = pick(rng, names, len(names))
    return problem.renamed(dict(zip(order, [*order[1:], order[0]], strict=True)))
