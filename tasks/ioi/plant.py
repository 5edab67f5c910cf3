"""IOI's planted models: the mechanism to plant, its prompts, and the entry points of `bench plant`.

The mechanism has two chains that vote, so that every role has two heads. Per chain: at S2 a head finds the first
mention of the name and writes its slot (D); at END a head reads that slot at S2 (I); a name mover attends to the name
in the other slot and copies what MLP 0 wrote there (N). A weaker third name mover breaks ties (backup), one head
writes against the answer (negative), and two look at the answer and write nothing that matters (decoys).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.planting.evidence.planting import Planting
from bench.planting.model import Shape
from bench.planting.spec import Pairs, PlantSpec, Role, Trial
from tasks.ioi.fillers import PLANTED_TEMPLATES
from tasks.ioi.plant_checks import CHECKS
from tasks.ioi.plant_prompts import sample, vocabulary

CHAINS = (("a1.h0", "a2.h0", "a4.h0"), ("a1.h1", "a2.h1", "a4.h1"))
LANES = {"first0": 4, "first1": 4, "slot0": 4, "slot1": 4, "decoy": 8, "name": 12, "word": 27}
BACKUP, NEGATIVE, DECOYS = "a5.h1", "a5.h0", ("a3.h2", "a4.h3")


def _roles() -> dict[str, Role]:
    word, inhibited = ("word",), ("slot0", "slot1")
    out = {"m0": Role("required", writes=("name",), reads={"mlp": word})}
    for c, (d, i, n) in enumerate(CHAINS):
        first, slot = (f"first{c}",), (f"slot{c}",)
        out[d] = Role("required", "D", "S2", ("S2", "S1"), first, {"q": word, "k": word, "v": word})
        out[i] = Role("required", "I", "END", ("END", "S2"), slot, {"q": word, "k": word, "v": first})
        out[n] = Role("required", "N", "END", ("END", "IO"), word, {"q": slot, "k": word, "v": ("name",)})
    mover = {"q": inhibited, "k": word, "v": ("name",)}
    out[BACKUP] = Role("backup", None, "END", ("END", "IO"), word, mover)
    out[NEGATIVE] = Role("negative", None, "END", ("END", "IO"), word, mover)
    return out | {name: Role("inert", None, "END", ("END", "IO"), ("decoy",), mover) for name in DECOYS}


def _edges() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The edges that the mechanism needs, and those that it may use (checks sort them later)."""
    need, may = ["input->m0"], []
    for d, i, n in CHAINS:
        need += [f"input->{d}<q>", f"input->{d}<k>", f"{d}->{i}<v>", f"{i}->{n}<q>", f"m0->{n}<v>", f"{n}->logits"]
        may += [f"input->{d}<v>", f"input->{i}<q>", f"input->{i}<k>", f"input->{n}<q>", f"input->{n}<k>"]
    for extra in (BACKUP, NEGATIVE):
        may += [f"{chain[1]}->{extra}<q>" for chain in CHAINS]
        may += [f"input->{extra}<q>", f"input->{extra}<k>", f"m0->{extra}<v>", f"{extra}->logits"]
    return tuple(need), tuple(may)


def _trials() -> tuple[Trial, ...]:
    """Both votes move the answer; one alone does not while the backup stands, and does with the backup."""
    (d0, i0, n0), (d1, i1, n1) = CHAINS
    return (
        Trial((), "base", 0.22),
        Trial((BACKUP,), "base", 0.05),
        Trial((BACKUP,), "base", 0.06, outside=False),
        Trial((NEGATIVE,), "base", 0.05),
        Trial((NEGATIVE,), "base", 0.05, outside=False),
        Trial((BACKUP, NEGATIVE), "base", 0.05),
        Trial((d0, d1), "D", 0.14),
        Trial((i0, i1), "I", 0.08),
        Trial((n0, n1), "N", 0.08),
        Trial((n0,), "base", 0.07),
        Trial((n1,), "base", 0.07),
        Trial((n0, BACKUP), "N", 0.07),
        Trial((n1, BACKUP), "N", 0.07),
    )


def spec(variant: str | None = None) -> PlantSpec:
    """IOI's planting; there is one variant."""
    need, may = _edges()
    shape = Shape(vocab=len(vocabulary()))
    return PlantSpec("ioi", shape, _roles(), need, may, _trials(), sample, LANES, "word", checks=CHECKS)


def fresh(seed: int, n: int, kinds: dict[str, float]) -> list[Pairs]:
    """n pairs of each template, from a stream of random numbers that no training reads."""
    return [sample(np.random.default_rng([seed, i, 2**32]), n, kinds, t) for i, t in enumerate(PLANTED_TEMPLATES)]


planting = Planting(
    spec, vocabulary, fresh, Path(__file__).parent, files=("plant", "plant_prompts", "templates", "fillers")
)
