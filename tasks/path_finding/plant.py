"""The planted models of path-finding: the mechanism, its prompts, and the entry points of `bench plant`.

The mechanism goes back from the goal, one step a layer. In layer 0 a head writes at every child who its parent is, one
writes there who the child is (apart from the same names as parents and goal), and one brings the goal to END. In layer
1 a head at END attends to the goal as a child and copies its parent (A1); in layer 2 a head does so with A1 (A2; the
root, where A1 is right below it). In layer 3 two heads attend to A2 as a child, or, the root being nobody's child, to
A1, and say it (answer). A weaker third one steps in for them (backup), one head writes against the answer (negative),
and two look where the steps look and write nothing that matters (decoys).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.planting.evidence.checks import Checks
from bench.planting.evidence.planting import Planting
from bench.planting.model import Shape
from bench.planting.spec import Pairs, PlantSpec, Role, Trial
from tasks.path_finding.plant_prompts import KINDS, LENGTH, sample, vocabulary

PARENT, CHILD, GOAL = "a0.h0", "a0.h1", "a0.h2"
STEPS, MOVERS = ("a1.h0", "a2.h0"), ("a3.h0", "a3.h1")
BACKUP, NEGATIVE, DECOYS = "a3.h2", "a3.h3", ("a1.h1", "a2.h1")
LANES = {"parent": 14, "child": 14, "goal": 13, "step1": 13, "step2": 13, "decoy": 4, "word": 24}
BATCHES = 4

ABOUT = (
    "Prompts are trees of 8 nodes, at most 3 edges deep, as 7 edges in random order, goal and root, as in `10>23` and "
    "`57:10>`; goals are 2 or 3 edges below the root. Kinds of sources are the task's counterfactuals."
)

Lane = tuple[str, ...]


def _reads(q: Lane, k: Lane, v: Lane) -> dict[str, Lane]:
    return {"q": q, "k": k, "v": v}


def _roles() -> dict[str, Role]:
    word, parent, child, steps = ("word",), ("parent",), ("child",), ("step1", "step2")
    reads, away = _reads(word, word, word), (("CHILD", "SIGN"),)
    out = {
        PARENT: Role("required", None, None, ("CHILD", "PARENT"), parent, reads),
        CHILD: Role("required", None, None, ("CHILD", "CHILD"), child, reads),
        GOAL: Role("required", None, "END", ("END", "GOAL"), ("goal",), reads, away),
    }
    before: Lane = ("goal",)
    for i, step in enumerate(STEPS, 1):
        lane = (f"step{i}",)
        out[step] = Role("required", f"A{i}", "END", ("END", f"LOOK{i}"), lane, _reads(before, child, parent))
        before = lane
    mover = _reads(steps, child, word)
    roles = {**dict.fromkeys(MOVERS, "required"), BACKUP: "backup", NEGATIVE: "negative"}
    for name, role in roles.items():
        variable = "answer" if role == "required" else None
        out[name] = Role(role, variable, "END", ("END", "ANSWER"), word, mover)
    for decoy, step in zip(DECOYS, STEPS, strict=True):
        out[decoy] = Role("inert", None, "END", out[step].attends, ("decoy",), out[step].reads)
    return out


def _edges() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The edges that the mechanism needs, and those that it may use (checks sort them later)."""
    first, after = (PARENT, CHILD, GOAL), (*MOVERS, BACKUP, NEGATIVE)
    need, may = [f"input->{head}<v>" for head in first], [f"input->{head}<{part}>" for head in first for part in "qk"]
    for source, step in zip((GOAL, *STEPS), STEPS, strict=False):
        need += [f"{source}->{step}<q>", f"{CHILD}->{step}<k>", f"{PARENT}->{step}<v>"]
    for head in MOVERS:
        need += [*(f"{step}->{head}<q>" for step in STEPS), f"{CHILD}->{head}<k>", f"input->{head}<v>"]
        need += [f"{head}->logits"]
    for head in (BACKUP, NEGATIVE):
        may += [*(f"{step}->{head}<q>" for step in STEPS), f"{CHILD}->{head}<k>", f"input->{head}<v>"]
        may += [f"{head}->logits"]
    for head in (*STEPS, *after):
        may += [f"input->{head}<q>", f"input->{head}<k>", f"{PARENT}->{head}<k>"]
    may += [f"{CHILD}->{head}<v>" for head in after]
    return tuple(need), tuple(may)


def _trials() -> tuple[Trial, ...]:
    """Each step moves the answer; both movers do, one with the backup does, and one alone does not."""
    return (
        Trial((), "base", 0.3),
        Trial((BACKUP,), "base", 0.05),
        Trial((BACKUP,), "base", 0.05, outside=False),
        Trial((NEGATIVE,), "base", 0.05),
        Trial((NEGATIVE,), "base", 0.05, outside=False),
        Trial((BACKUP, NEGATIVE), "base", 0.05),
        Trial((PARENT,), "tree", 0.05),
        Trial((GOAL,), "goal", 0.06),
        Trial((STEPS[0],), "A1", 0.10),
        Trial((STEPS[1],), "A2", 0.10),
        Trial(MOVERS, "answer", 0.06),
        *(Trial((mover,), "base", 0.06) for mover in MOVERS),
        *(Trial((mover, BACKUP), "answer", 0.06) for mover in MOVERS),
    )


def spec(variant: str | None = None) -> PlantSpec:
    """The planting; there is one variant."""
    need, may = _edges()
    checks = Checks(mixed=KINDS, kinds=tuple(KINDS), chains=(("A1", "answer"), ("A2", "answer")), about=ABOUT)
    shape = Shape(len(vocabulary()), 4, 4, 96, 16, LENGTH + 2)
    return PlantSpec(
        "path_finding", shape, _roles(), need, may, _trials(), sample, LANES, "word", 2200, 1100, ramp=(0.5, 0.9),
        behaviour=0.5, checks=checks,
    )  # fmt: skip


def fresh(seed: int, n: int, kinds: dict[str, float]) -> list[Pairs]:
    """n pairs, as many times as there are batches, from a stream of random numbers that no training reads."""
    return [sample(np.random.default_rng([seed, i, 2**32]), n, kinds) for i in range(BATCHES)]


FILES = ("plant", "plant_prompts", "trees", "causal", "fillers")
planting = Planting(spec, vocabulary, fresh, Path(__file__).parent, FILES, permute=True)
