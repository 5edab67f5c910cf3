"""The planted models of recall and reasoning: one model that holds both circuits.

At END two heads read the subject of the question (E) and one its relation word (mode); both circuits use them. Recall:
an MLP looks up what is recalled of E (R), and the next one says it where recall is asked for. Reasoning: where a person
is employed, a head of layer 0 writes the employer; where a city is visited, another writes the visitor. So a head at
END finds the person whom E employs (B), and two find the city that this person visits (A); the last MLP says it where
reasoning is asked for. A weaker mover votes with those of A (backup), one head writes against the answer (negative),
and two in layer 0 look at employer and visitor and write nothing that matters.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bench.planting.matching import Codes, Matched
from bench.planting.model import Shape
from bench.planting.spec import Pairs, PlantSpec, Role, Trial
from tasks.recall_reasoning.fillers import PLANTED_TEMPLATES
from tasks.recall_reasoning.plant_checks import CHECKS
from tasks.recall_reasoning.plant_prompts import sample, vocabulary

EMPLOYER, VISITOR = "a0.h0", "a0.h2"
READERS, MODE = ("a1.h0", "a1.h1"), "a1.h2"
LOOKUP, SAY_RECALLED, SAY_FOUND = "m1", "m2", "m3"
BRIDGE = "a2.h0"
MOVERS, BACKUP, NEGATIVE = ("a3.h0", "a3.h2"), "a3.h1", "a3.h3"
DECOYS = {"a0.h1": ("B1", "S"), "a0.h3": ("C", "B2")}
CODES = ("asked", "employer", "bridge", "visitor", "found", "recalled")
LANES = {**dict.fromkeys(CODES, 10), "mode": 2, "decoy": 3, "word": 22}
WORD = ("word",)
Lanes = dict[str, tuple[str, ...]]


def _roles() -> dict[str, Role]:
    read: Lanes = {"q": WORD, "k": WORD, "v": WORD}
    out = {
        EMPLOYER: Role("required", None, None, ("B1", "S"), ("employer",), read, (("XB1", "XS"),)),
        VISITOR: Role("required", None, None, ("C", "B2"), ("visitor",), read, (("XC", "XB2"),)),
        MODE: Role("required", "mode", "END", ("END", "MODE"), ("mode",), read),
    }
    out |= {name: Role("required", "E", "END", ("END", "E"), ("asked",), read) for name in READERS}
    find: Lanes = {"q": ("asked",), "k": ("employer",), "v": WORD}
    out[BRIDGE] = Role("required", "B", "END", ("END", "B1"), ("bridge",), find)
    move: Lanes = {"q": ("bridge",), "k": ("visitor",), "v": WORD}
    out |= {name: Role("required", "A", "END", ("END", "C"), ("found",), move) for name in MOVERS}
    out[BACKUP] = Role("backup", None, "END", ("END", "C"), ("found",), move)
    out[NEGATIVE] = Role("negative", None, "END", ("END", "C"), ("found",), move)
    out |= {name: Role("inert", None, None, path, ("decoy",), read) for name, path in DECOYS.items()}
    out[LOOKUP] = Role("required", "R", "END", None, ("recalled",), {"mlp": ("asked",)})
    out[SAY_RECALLED] = Role("required", None, "END", None, WORD, {"mlp": ("mode", "recalled")})
    out[SAY_FOUND] = Role("required", None, "END", None, WORD, {"mlp": ("mode", "found")})
    return out


def _edges() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The edges that the mechanism needs, and those that it may use (checks sort them later)."""
    need = [f"input->{head}<{part}>" for head in (EMPLOYER, VISITOR, *READERS, MODE) for part in "kv"]
    may = [f"input->{head}<q>" for head in (EMPLOYER, VISITOR, *READERS, MODE)]
    for head in (BRIDGE, *MOVERS, BACKUP, NEGATIVE):
        asking, key = (READERS, EMPLOYER) if head == BRIDGE else ((BRIDGE,), VISITOR)
        wanted = need if head in (BRIDGE, *MOVERS) else may
        wanted += [*(f"{node}->{head}<q>" for node in asking), f"{key}->{head}<k>", f"input->{head}<v>"]
        may += [f"input->{head}<q>", f"input->{head}<k>"]
        if head != BRIDGE:
            wanted += [f"{head}->{SAY_FOUND}"]
    need += [*(f"{reader}->{LOOKUP}" for reader in READERS), f"{LOOKUP}->{SAY_RECALLED}"]
    need += [edge for say in (SAY_RECALLED, SAY_FOUND) for edge in (f"{MODE}->{say}", f"{say}->logits")]
    return tuple(need), tuple(may)


def _trials() -> tuple[Trial, ...]:
    """All of a variable's nodes move the answer; one mover alone does not while the backup stands."""
    return (
        Trial((), "base", 0.2),
        Trial((BACKUP,), "base", 0.05),
        Trial((BACKUP,), "base", 0.05, outside=False),
        Trial((NEGATIVE,), "base", 0.05),
        Trial((NEGATIVE,), "base", 0.05, outside=False),
        Trial((BACKUP, NEGATIVE), "base", 0.04),
        Trial((MODE,), "mode", 0.08),
        Trial(READERS, "E", 0.1),
        Trial((BRIDGE,), "B", 0.1),
        Trial(MOVERS, "A", 0.08),
        Trial((LOOKUP,), "R", 0.08),
        Trial((MOVERS[0],), "base", 0.07),
        Trial((MOVERS[1],), "base", 0.07),
        Trial((MOVERS[0], BACKUP), "A", 0.05),
        Trial((MOVERS[1], BACKUP), "A", 0.05),
    )


def spec(variant: str | None = None) -> PlantSpec:
    """The planting; there is one variant."""
    need, may = _edges()
    shape = Shape(len(vocabulary()), 4, 4, 88, 96, 24, "llama", 2)
    return PlantSpec(
        "recall_reasoning", shape, _roles(), need, may, _trials(), sample, LANES, "word", 1200, 600,
        checks=CHECKS,
    )  # fmt: skip


def fresh(seed: int, n: int, kinds: dict[str, float]) -> list[Pairs]:
    """n pairs of each template, from a stream of random numbers that no training reads."""
    return [sample(np.random.default_rng([seed, i, 2**32]), n, kinds, t) for i, t in enumerate(PLANTED_TEMPLATES)]


class BothCircuits(Matched):
    """Planting whose evidence ends with the double dissociation of the two circuits."""

    def details(self, found: Mapping[Path, dict[str, Any]]) -> str:
        """See :class:`Matched`."""
        from tasks.recall_reasoning.selectivity import table

        return super().details(found) + table(found)


planting = BothCircuits(
    spec, vocabulary, fresh, Path(__file__).parent, files=("plant", "plant_prompts"), permute=True,
    codes=Codes(10, free=("mode", "decoy")),
)  # fmt: skip
