"""Prompts for the planted models of path-finding: base and source pairs over the whole planted pool, as token ids.

A prompt is "P > C" for each of the tree's edges, and "goal : root >".
"""

from __future__ import annotations

import numpy as np
import torch

from bench.planting.spec import Pairs
from tasks.path_finding.causal import PathFindingCausalModel
from tasks.path_finding.fillers import PLANTED_DEPTH, PLANTED_NAMES, PLANTED_NODES
from tasks.path_finding.trees import Problem, ancestors, grow, relabelled, swapped

SPECIAL = ("<pad>", "<unk>")
SIGNS = (">", ":")
KINDS = {"random": 0.35, "goal": 0.2, "swap": 0.2, "relabel": 0.25}
EDGE, EDGES = 3, PLANTED_NODES - 1
"""Tokens of an edge, and edges; a child is an edge's last token."""
LENGTH = EDGE * EDGES + 4
MODEL = PathFindingCausalModel(PLANTED_DEPTH)


def vocabulary() -> list[str]:
    """The planted models' words, by id."""
    return [*SPECIAL, *SIGNS, *PLANTED_NAMES]


IDS = {word: i for i, word in enumerate(vocabulary())} | {"": -1}


def sample(rng: np.random.Generator, n: int, kinds: dict[str, float] | None = None) -> Pairs:
    """n pairs of prompts; sources are drawn by kind (the task's counterfactuals).

    Targets beside the variables': ``goal``, the base's tree with the source's goal; ``tree``, the source's tree with
    the base's goal, where the source has the same children in the same places.
    """
    odds = kinds or KINDS
    drawn = rng.choice(list(odds), n, p=np.array(list(odds.values())) / sum(odds.values()))
    bases = [_draw(rng) for _ in range(n)]
    sources = [_source(rng, base, kind) for base, kind in zip(bases, drawn, strict=True)]
    pairs = list(zip(bases, sources, strict=True))
    values = [(MODEL.values(base), MODEL.values(source)) for base, source in pairs]
    targets = {name: [MODEL.interchange(b, s, name)["answer"] for b, s in values] for name in MODEL.variables}
    targets["goal"] = [_answer(base, source.goal) for base, source in pairs]
    targets["tree"] = [_answer(source, base.goal) if _same(base, source) else "" for base, source in pairs]
    edges = rng.integers(0, EDGES, n)
    at = [(_places(base, edge), _places(source, edge)) for (base, source), edge in zip(pairs, edges, strict=True)]
    return Pairs(
        base=torch.tensor([_prompt(base) for base in bases]),
        source=torch.tensor([_prompt(source) for source in sources]),
        answer=_ids([b["answer"] for b, _ in values]),
        wrong=_ids([_answer(base, base.other) for base in bases]),
        source_answer=_ids([s["answer"] for _, s in values]),
        targets={name: _ids(words) for name, words in targets.items()},
        positions={p: (torch.tensor([b[p] for b, _ in at]), torch.tensor([s[p] for _, s in at])) for p in at[0][0]},
    )


def _draw(rng: np.random.Generator) -> Problem:
    names = [PLANTED_NAMES[i] for i in rng.permutation(len(PLANTED_NAMES))[:PLANTED_NODES]]
    return grow(rng, names, PLANTED_DEPTH, int(rng.integers(2, PLANTED_DEPTH + 1)))


def _source(rng: np.random.Generator, base: Problem, kind: str) -> Problem:
    if kind == "random":
        return _draw(rng)
    if kind == "goal":
        return base.turned()
    return swapped(base, rng) if kind == "swap" else relabelled(base, rng)


def _same(base: Problem, source: Problem) -> bool:
    return [child for _, child in base.edges] == [child for _, child in source.edges]


def _answer(problem: Problem, goal: str) -> str:
    """The next node on the way to a goal; empty where that is not in the tree, or not two edges below the root."""
    path = ancestors(problem.parents, goal) if goal in problem.parents else []
    return path[-1] if path else ""


def _prompt(problem: Problem) -> list[int]:
    words = [word for parent, child in problem.edges for word in (parent, ">", child)]
    return [IDS[word] for word in (*words, problem.goal, ":", problem.root, ">")]


def _places(problem: Problem, edge: int) -> dict[str, int]:
    """Named positions: an edge's three tokens; where each step reads its parent; goal, root, answer, end."""
    place = {child: EDGE * i + 2 for i, (_, child) in enumerate(problem.edges)}
    path = [problem.goal, *ancestors(problem.parents, problem.goal)]
    of_edge = {name: EDGE * int(edge) + i for i, name in enumerate(("PARENT", "SIGN", "CHILD"))}
    looks = {f"LOOK{i}": place[path[i - 1]] for i in range(1, PLANTED_DEPTH)}
    return {**of_edge, **looks, "GOAL": LENGTH - 4, "ROOT": LENGTH - 2, "ANSWER": place[path[-1]], "END": LENGTH - 1}


def _ids(words: list[str]) -> torch.Tensor:
    return torch.tensor([IDS[word] for word in words])
