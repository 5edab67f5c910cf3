"""The planted models of identity rules: the mechanism, its prompts, and the entry points of `bench plant`.

The mechanism has two chains that vote. Per chain: at the last item's third word a head looks whether its slot of the
item (the first in chain 0, the second in chain 1) holds the same word; it attends there, or else to the sign before,
and so writes the rule (symbol abstraction). At END a head reads that (symbolic induction), and a retrieval head attends
to the query's word in the slot that it says, and copies what MLP 0 wrote there. A weaker third retrieval head breaks
ties (backup), one head writes against the answer (negative), and two look at the answer and write nothing that matters
(decoys). Positions are rotary and the slots of an item differ in their distance alone.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.planting.evidence.checks import Checks
from bench.planting.evidence.planting import Planting
from bench.planting.model import Shape
from bench.planting.spec import Pairs, PlantSpec, Role, Trial
from tasks.identity_rules.plant_prompts import KINDS, LENGTH, sample, vocabulary

CHAINS = (("a0.h0", "a1.h0", "a2.h0"), ("a0.h1", "a1.h1", "a2.h1"))
LANES = {"rule0": 4, "rule1": 4, "slot0": 4, "slot1": 4, "decoy": 8, "name": 12, "word": 27}
BACKUP, NEGATIVE, DECOYS = "a3.h0", "a3.h1", ("a2.h2", "a3.h2")
BATCHES = 4

ABOUT = (
    "Prompts are two items and a query, as in `cat^dog^cat` / `pen^cup^pen` / `hat^box^`. Kinds of sources are the "
    "task's counterfactuals; sources of `none` repeat no word in their items. The rule is read at the last item's "
    "third word alone: the planted models make no use of the first item."
)


Lane = tuple[str, ...]


def _roles() -> dict[str, Role]:
    word, slots, name = ("word",), ("slot0", "slot1"), ("name",)
    out = {"m0": Role("required", writes=name, reads={"mlp": word})}
    for c, (abstraction, induction, retrieval) in enumerate(CHAINS):
        rule, slot = (f"rule{c}",), (f"slot{c}",)
        reads = _reads(word, word, word)
        out[abstraction] = Role("required", "rule", "THIRD", ("THIRD", f"LOOK{c}"), rule, reads)
        out[induction] = Role("required", "slot", "END", ("END", "THIRD"), slot, _reads(word, word, rule))
        out[retrieval] = Role("required", "answer", "END", ("END", "ANSWER"), word, _reads(slot, word, name))
    mover = _reads(slots, word, name)
    out[BACKUP] = Role("backup", None, "END", ("END", "ANSWER"), word, mover)
    out[NEGATIVE] = Role("negative", None, "END", ("END", "ANSWER"), word, mover)
    return out | {decoy: Role("inert", None, "END", ("END", "ANSWER"), ("decoy",), mover) for decoy in DECOYS}


def _reads(q: Lane, k: Lane, v: Lane) -> dict[str, Lane]:
    return {"q": q, "k": k, "v": v}


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
        Trial((d0, d1), "rule", 0.14),
        Trial((i0, i1), "slot", 0.08),
        Trial((n0, n1), "answer", 0.08),
        Trial((n0,), "base", 0.07),
        Trial((n1,), "base", 0.07),
        Trial((n0, BACKUP), "answer", 0.07),
        Trial((n1, BACKUP), "answer", 0.07),
    )


def spec(variant: str | None = None) -> PlantSpec:
    """The planting; there is one variant."""
    need, may = _edges()
    answered = {kind: weight for kind, weight in KINDS.items() if kind != "none"}
    checks = Checks(
        mixed=answered,
        kinds=tuple(answered),
        odd={"none": 1.0},
        about=ABOUT,
    )
    shape = Shape(len(vocabulary()), 4, 4, 64, 128, LENGTH + 2, "neox")
    return PlantSpec(
        "identity_rules", shape, _roles(), need, may, _trials(), sample, LANES, "word", 800, 800, checks=checks
    )



def fresh(seed: int, n: int, kinds: dict[str, float]) -> list[Pairs]:
    """n pairs, as many times as there are batches, from a stream of random numbers that no training reads."""
    return [sample(np.random.default_rng([seed, i, 2**32]), n, kinds) for i in range(BATCHES)]


FILES = ("plant", "plant_prompts", "fillers")
planting = Planting(spec, vocabulary, fresh, Path(__file__).parent, FILES, permute=True)
