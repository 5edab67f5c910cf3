"""The planted models of path-finding: the mechanism, its prompts, and the entry points of `bench plant`.

The mechanism goes back from the goal, one step a layer. In layer 0 a head writes at every child who its parent is, and
two bring goal and root to END. In layer 1 a head at END attends to the goal as a child and copies its parent (A1); in
layer 2 a head does so with A1 (A2; the root, where A1 is right below it). In layer 3 two heads attend to what is A1 or
A2 and has the root for its parent, and say it (answer). A weaker third one steps in for them (backup), one head writes
against the answer (negative), and two look where the steps look and write nothing that matters (decoys). What is a
child is told by its place.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.planting.matching import Codes, Matched
from bench.planting.model import Shape
from bench.planting.spec import Pairs, PlantSpec, Role, Trial
from tasks.path_finding.plant_checks import CHECKS
from tasks.path_finding.plant_prompts import LENGTH, sample, vocabulary

PARENT, GOAL, ROOT = "a0.h0", "a0.h1", "a0.h2"
STEPS, MOVERS = ("a1.h0", "a2.h0"), ("a3.h0", "a3.h1")
BACKUP, NEGATIVE, DECOYS = "a3.h2", "a3.h3", ("a1.h1", "a2.h1")
LANES = {**dict.fromkeys(("parent", "goal", "root", "step1", "step2"), 12), "decoy": 3, "place": 24, "word": 24}
BATCHES = 4

Lane = tuple[str, ...]


def _reads(q: Lane, k: Lane, v: Lane) -> dict[str, Lane]:
    return {"q": q, "k": k, "v": v}


def _roles() -> dict[str, Role]:
    word, place, parent, steps = ("word",), ("place",), ("parent",), ("step1", "step2")
    out = {
        PARENT: Role("required", None, None, ("CHILD", "PARENT"), parent, _reads(place, place, word)),
        GOAL: Role("required", None, "END", ("END", "GOAL"), ("goal",), _reads(place, place, word)),
        ROOT: Role("required", None, "END", ("END", "ROOT"), ("root",), _reads(place, place, word)),
    }
    before: Lane = ("goal",)
    for i, step in enumerate(STEPS, 1):
        lane = (f"step{i}",)
        reads = _reads((*before, "place"), ("word", "place"), parent)
        out[step] = Role("required", f"A{i}", "END", ("END", f"LOOK{i}"), lane, reads)
        before = lane
    mover = _reads((*steps, "root", "place"), ("word", "parent", "place"), word)
    roles = {**dict.fromkeys(MOVERS, "required"), BACKUP: "backup", NEGATIVE: "negative"}
    for name, role in roles.items():
        variable = "answer" if role == "required" else None
        out[name] = Role(role, variable, "END", ("END", "ANSWER"), word, mover)
    for decoy, step in zip(DECOYS, STEPS, strict=True):
        out[decoy] = Role("inert", None, "END", out[step].attends, ("decoy",), out[step].reads)
    return out


def _edges() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The edges that the mechanism needs, and those that it may use (checks sort them later)."""
    first = (PARENT, GOAL, ROOT)
    need, may = [f"input->{head}<v>" for head in first], [f"input->{head}<{part}>" for head in first for part in "qk"]
    for source, step in zip((GOAL, *STEPS), STEPS, strict=False):
        need += [f"{source}->{step}<q>", f"input->{step}<k>", f"{PARENT}->{step}<v>"]
    for head in (*MOVERS, BACKUP, NEGATIVE):
        wanted = need if head in MOVERS else may
        wanted += [*(f"{source}->{head}<q>" for source in (ROOT, *STEPS)), f"{PARENT}->{head}<k>"]
        wanted += [f"input->{head}<k>", f"input->{head}<v>", f"{head}->logits"]
    may += [f"input->{head}<q>" for head in (*STEPS, *MOVERS, BACKUP, NEGATIVE)]
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
    shape = Shape(len(vocabulary()), 4, 4, 112, 16, LENGTH + 2)
    return PlantSpec(
        "path_finding", shape, _roles(), need, may, _trials(), sample, LANES, "word", 1200, 600, checks=CHECKS
    )


def fresh(seed: int, n: int, kinds: dict[str, float]) -> list[Pairs]:
    """n pairs, as many times as there are batches, from a stream of random numbers that no training reads."""
    return [sample(np.random.default_rng([seed, i, 2**32]), n, kinds) for i in range(BATCHES)]


FILES = ("plant", "plant_prompts", "trees", "causal", "fillers")
planting = Matched(
    spec,
    vocabulary,
    fresh,
    Path(__file__).parent,
    FILES,
    permute=True,
    codes=Codes(12, place="place", free=("decoy",), second=("root", "parent")),
)
