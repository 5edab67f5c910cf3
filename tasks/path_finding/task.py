"""The task ``path_finding``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.task import DataRequest, TaskData, TaskError
from tasks._common import Encoder, GeneratedTask, Item, Pool, Prompt, fill, load_examples, pick
from tasks._common.together import found, together
from tasks.path_finding.causal import PathFindingCausalModel
from tasks.path_finding.fillers import CAPITALS, LETTERS, NUMBERS
from tasks.path_finding.templates import TEMPLATES, glued
from tasks.path_finding.trees import Problem, grow, relabelled, swapped

NODES, DEPTH, LEAST_DEPTH = 8, 3, 2


@dataclass
class PathFinding(GeneratedTask):
    """Path-finding in trees: "10>23 / 23>57 / 10>48 / 48>31 / 57:10>" (a line each) -> 23.

    Every line but the last is an edge, from parent to child; the last one names a goal and the root. The answer is the
    next node on the way from the root to the goal, the wrong answer another child of the root, with a goal of its own
    below it.

    Source: Brinkmann et al. 2024, "A Mechanistic Analysis of a Transformer Trained on a Symbolic Multi-Step Reasoning
    Task", arXiv:2402.11917 (the template ``paper``; its trees are binary and have 16 nodes). Accuracy is the share of
    examples where the answer has a larger logit than the wrong answer; chance is .5. The gate is .75, halfway up:
    below that a model mostly guesses between the root's children.

    Fillers. Trees have ``nodes`` nodes and are at most ``depth`` edges deep; the goal is a leaf, 2 to ``depth`` edges
    below the root (these depths take turns), and which of two leaves in different branches, both as deep if there are
    nodes enough, is the goal is a coin's choice, so nothing in the tree tells. Edges are said in random order. A node
    is a number of two digits, or, where the tokenizer does not read enough of these as one token, a letter (a capital
    where these suffice). Names are used where they are the same one token in every slot and as the answer, in every
    template that is kept; they are dealt to the splits. Then, where the request carries a model, templates are
    screened on prompts of train, and names on such prompts with the name as one of the two answers.

    Counterfactuals:

    - ``goal``: the goal is the leaf in the other branch, so that every step and the answer change;
    - ``swap``: a node on the way, or the goal, and one as deep in the other branch exchange their parents (with what
      is below them), so that the way changes from there on, and the answer;
    - ``relabel``: the names permuted, so that every node of the tree is another one;
    - ``random``: a control, a tree drawn afresh with other names (where the split has enough).

    Examples of one's own (``DataRequest.source``) are taken as they are; in those that read like a template here the
    positions of goal and root are found.
    """

    gate: float = 0.75
    nodes: int = NODES
    depth: int = DEPTH
    """Edges from the root to the deepest leaf, at most; a goal may be so deep."""
    templates: Sequence[str] | None = None
    """Keys of :data:`tasks.path_finding.templates.TEMPLATES`; all where None."""
    names: Sequence[str] | None = None
    """Names to choose from; the numbers, or else the letters, of :mod:`tasks.path_finding.fillers` where None."""
    screen_share: float = 0.75
    screen_prompts: int = 12

    name = "path_finding"
    version = "1"
    source = "Brinkmann et al. 2024, arXiv:2402.11917"
    counterfactuals = ("goal", "swap", "relabel", "random")
    default_counterfactual = "goal"
    chance = "accuracy .5 between two children of the root; about one in the vocabulary's size over all tokens"
    causal_model = PathFindingCausalModel(DEPTH)
    screened = ("templates", "names")
    least_screened = 1

    def __post_init__(self) -> None:
        if self.depth < LEAST_DEPTH:
            raise TaskError(f"task.depth is {self.depth}; the goal is at least {LEAST_DEPTH} edges below the root")
        if self.nodes < (needed := self.depth + LEAST_DEPTH + 1):
            raise TaskError(
                f"task.nodes is {self.nodes}; a root and two branches, {self.depth} (task.depth) and {LEAST_DEPTH} "
                f"edges deep, need {needed}"
            )
        self.causal_model = PathFindingCausalModel(self.depth)

    @property
    def least(self) -> Mapping[str, Mapping[str, int]]:  # type: ignore[override]
        """Every split needs a name for each node, and test some more, to have enough pairs of root and goal."""
        return {"names": {"train": self.nodes, "validation": self.nodes, "test": max(self.nodes, 10)}}

    def offered(self) -> dict[str, tuple[str, ...]]:
        """See :class:`GeneratedTask`."""
        templates = tuple(self.templates or TEMPLATES)
        for name in templates:
            if name not in TEMPLATES:
                raise TaskError(f"path_finding has no template {name!r}; it has {', '.join(TEMPLATES)}")
        return {"templates": templates, "names": tuple(dict.fromkeys(self.names or NUMBERS))}

    def readable(self, encoder: Encoder, offered: Pool) -> dict[str, tuple[str, ...]]:
        """See :class:`GeneratedTask`."""
        texts = {key: (TEMPLATES[key].text(self.nodes - 1), TEMPLATES[key].glued) for key in offered["templates"]}
        needed = sum(self.least["names"].values())
        others = [] if self.names else [CAPITALS, LETTERS]
        read = [together(encoder, texts, names, needed) for names in (offered["names"], *others)]
        templates, names = next((found for found in read if len(found[1]) >= needed), read[0])
        if not templates:
            raise TaskError(f"the tokenizer does not know the words or signs of any template ({', '.join(texts)})")
        return {"templates": templates, "names": names}

    def item(self, pool: Pool, number: int, rng: np.random.Generator) -> Item:
        """See :class:`GeneratedTask`."""
        template = pool["templates"][number % len(pool["templates"])]
        depths = range(LEAST_DEPTH, self.depth + 1)
        goal_depth = depths[number // len(pool["templates"]) % len(depths)]
        problem = grow(rng, pick(rng, pool["names"], self.nodes), self.depth, goal_depth)
        clean, goal = self._prompt(template, problem), self._prompt(template, problem.turned())
        others = {
            "goal": goal,
            "swap": self._prompt(template, swapped(problem, rng)),
            "relabel": self._prompt(template, relabelled(problem, rng)),
            "random": self._prompt(template, self._afresh(problem, pool["names"], goal_depth, rng)),
        }
        spans = {**clean.spans, "WRONG": goal.spans["ANSWER"]}
        return Item(
            clean=Prompt(clean.text, clean.answer, clean.values, spans),
            wrong=goal.answer,
            template=template,
            cluster=f"{problem.root}>{problem.goal}",
            others=others,
            labels=(("templates", template), ("names", clean.answer), ("names", goal.answer)),
            glued=TEMPLATES[template].glued,
        )

    def own(self, encoder: Encoder, request: DataRequest) -> TaskData:
        """See :class:`GeneratedTask`; behind a sign that stands close, the answer does so too."""
        return load_examples(encoder, request, find_positions=find_positions, glued=glued)

    def _prompt(self, template: str, problem: Problem) -> Prompt:
        words = {"GOAL": problem.goal, "ROOT": problem.root}
        child = {}
        for i, edge in enumerate(problem.edges, 1):
            words |= {f"P{i}": edge[0], f"C{i}": edge[1]}
            child[edge[1]] = f"C{i}"
        text, spans = fill(TEMPLATES[template].text(self.nodes - 1), words)
        values = self.causal_model.values(problem)
        named = {"GOAL": "GOAL", "ROOT": "ROOT", "LEAF": child[problem.goal], "ANSWER": child[values["answer"]]}
        return Prompt(text, values["answer"], values, {name: spans[slot] for name, slot in named.items()})

    def _afresh(self, problem: Problem, names: Sequence[str], goal_depth: int, rng: np.random.Generator) -> Problem:
        used = {problem.root, *problem.parents}
        rest = [name for name in names if name not in used]
        return grow(rng, pick(rng, rest if len(rest) >= self.nodes else names, self.nodes), self.depth, goal_depth)


def find_positions(prompt: str, answer: str, wrong: str) -> Mapping[str, tuple[int, int]] | None:
    """Where goal and root are in the query of a prompt that reads like one of the templates, else None."""
    for template in TEMPLATES.values():
        for edges in range(1, 31):
            spans = found(template.text(edges), prompt)
            if spans:
                return {name: spans[name] for name in ("GOAL", "ROOT")}
    return None
