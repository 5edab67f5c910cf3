"""Hallucination's planted models: the mechanism to plant and the entry points of `bench plant`.

A GPT-NeoX model, whose parallel blocks keep a layer's heads from its own MLP. At END two heads bring the subject (S)
and two read the cue (G, the deciding nodes). Each of two chains then holds three answers, of which its G lets one
through: a copying head attends to the language in the text (C), an MLP looks up what memory holds of the subject (M),
and a false-premise head attends to the country in the question and carries what MLP 0 found to belong to it (F). Where
the cue asks for another source, copying and false-premise heads look at END, which says nothing: memory's answer is
looked up in later layers, lest they copy it from there. The chains vote, so that every role has two nodes; each kind of
answer has a weaker third vote (backup). One head writes against whatever answer has been written (negative), and two
look at the language and the country in the text whatever the cue says, and write nothing that matters (decoys).
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench.planting.model import Shape
from bench.planting.spec import Pairs, PlantSpec, Role, Trial
from tasks.hallucination.effects import WithEffects
from tasks.hallucination.plant_checks import checks
from tasks.hallucination.plant_prompts import sample, serves, vocabulary
from tasks.hallucination.templates import CONTEXT, MEMORY, PLANTED_TEMPLATES, PREMISE


class Chain(NamedTuple):
    """The nodes of one vote, by what they carry."""

    s: str
    g: str
    m: str
    c: str
    f: str

    @property
    def answers(self) -> tuple[str, str, str]:
        """The nodes that write an answer."""
        return self.m, self.c, self.f


CHAINS = (Chain("a0.h0", "a0.h2", "m2", "a1.h0", "a1.h2"), Chain("a0.h1", "a0.h3", "m3", "a1.h1", "a1.h3"))
LOOKUP = "m0"
BACKUP = Chain("", "", "m4", "a2.h0", "a2.h1")
NEGATIVE, DECOYS = "a4.h0", {"a2.h2": "C", "a2.h3": "O"}
LANES = {"subject0": 6, "subject1": 6, "gate0": 3, "gate1": 3, "belongs": 8, "decoy": 5, "word": 31}


def _roles() -> dict[str, Role]:
    word: tuple[str, ...] = ("word",)
    read, both = {"q": word, "k": word, "v": word}, ("gate0", "gate1")
    out = {LOOKUP: Role("required", None, "O", None, ("belongs",), {"mlp": word})}
    for i, chain in enumerate(CHAINS):
        subject, gate = f"subject{i}", f"gate{i}"
        out[chain.s] = Role("required", "S", "END", ("END", "S"), (subject,), read)
        out[chain.g] = Role("required", "G", "END", ("END", "CUE"), (gate,), read)
        out[chain.m] = Role("required", "M", "END", None, word, {"mlp": (subject, gate)})
        copy: dict[str, tuple[str, ...]] = {"q": (gate,), "k": word, "v": word}
        out[chain.c] = Role("required", "C", "END", ("END", "COPIED"), word, copy)
        out[chain.f] = Role("required", "F", "END", ("END", "CARRIED"), word, {**copy, "v": ("belongs",)})
    out[BACKUP.m] = Role("backup", None, "END", None, word, {"mlp": ("subject0", "subject1", *both)})
    out[BACKUP.c] = Role("backup", None, "END", ("END", "COPIED"), word, {"q": both, "k": word, "v": word})
    out[BACKUP.f] = Role("backup", None, "END", ("END", "CARRIED"), word, {"q": both, "k": word, "v": ("belongs",)})
    out[NEGATIVE] = Role("negative", None, "END", ("END", "END"), word, read)
    return out | {name: Role("inert", None, "END", ("END", to), ("decoy",), read) for name, to in DECOYS.items()}


def _edges() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The edges that the mechanism needs, and those that it may use (checks sort them later)."""
    need, may = [f"input->{LOOKUP}"], []
    for chain in CHAINS:
        need += [f"input->{chain.s}<k>", f"input->{chain.s}<v>", f"input->{chain.g}<k>", f"input->{chain.g}<v>"]
        may += [f"input->{chain.s}<q>", f"input->{chain.g}<q>"]
    for votes, chains in ((CHAINS[0], CHAINS[:1]), (CHAINS[1], CHAINS[1:]), (BACKUP, CHAINS)):
        edges = [f"{source}->{votes.m}" for chain in chains for source in (chain.s, chain.g)]
        edges += [f"{chain.g}->{head}<q>" for chain in chains for head in (votes.c, votes.f)]
        edges += [f"input->{votes.c}<k>", f"input->{votes.c}<v>", f"{LOOKUP}->{votes.f}<v>"]
        edges += [f"{node}->logits" for node in votes.answers]
        need += edges if votes is not BACKUP else []
        may += edges if votes is BACKUP else []
        may += [f"input->{votes.m}", f"input->{votes.c}<q>", f"input->{votes.f}<q>", f"input->{votes.f}<k>"]
        may += [f"{LOOKUP}->{votes.f}<k>"]
    written = [*CHAINS[0].answers, *CHAINS[1].answers, BACKUP.c, BACKUP.f]
    may += [f"{node}->{NEGATIVE}<v>" for node in written] + [f"{NEGATIVE}->logits"]
    return tuple(need), tuple(may)


def _trials() -> tuple[Trial, ...]:
    """Both chains move the answer; one alone does not while the backups stand, and does with the backups."""
    first, second = CHAINS
    both = {name: (getattr(first, name), getattr(second, name)) for name in Chain._fields}
    backups = BACKUP.answers
    return (
        Trial((), "base", 0.16),
        Trial(backups, "base", 0.05),
        Trial(backups, "base", 0.05, outside=False),
        Trial((NEGATIVE,), "base", 0.04),
        Trial((NEGATIVE,), "base", 0.05, outside=False),
        Trial((*backups, NEGATIVE), "base", 0.05),
        Trial(both["g"], "G", 0.11),
        Trial(both["s"], "S", 0.07),
        Trial(both["m"], "M", 0.11),
        Trial(both["c"], "C", 0.11),
        Trial(both["f"], "F", 0.11),
        Trial(first.answers, "base", 0.05),
        Trial(second.answers, "base", 0.05),
        Trial((*first.answers, *backups), "source", 0.05),
        Trial((*second.answers, *backups), "source", 0.05),
    )


def _circuits() -> dict[str, tuple[str, ...]]:
    """The nodes of each source of answers; the deciding nodes are in all three."""
    first, second = CHAINS
    deciding = (first.g, second.g)
    return {
        CONTEXT: (*deciding, first.c, second.c),
        MEMORY: (*deciding, first.s, second.s, first.m, second.m),
        PREMISE: (*deciding, LOOKUP, first.f, second.f),
    }


def spec(variant: str | None = None) -> PlantSpec:
    """Hallucination's planting."""
    need, may = _edges()
    shape = Shape(len(vocabulary()), n_layer=5, n_head=4, d_model=64, d_mlp=128, n_positions=24, arch="neox")
    return PlantSpec(
        "hallucination", shape, _roles(), need, may, _trials(), sample, LANES, "word", steps=2400, cycle=1200,
        checks=checks(_circuits(), tuple(n for chain in CHAINS for n in chain.answers)),
    )  # fmt: skip


def fresh(seed: int, n: int, kinds: dict[str, float]) -> list[Pairs]:
    """n pairs of each template that serves the kinds, from a stream of random numbers that no training reads."""
    names = [name for name in PLANTED_TEMPLATES if any(serves(name, kind) for kind in kinds)]
    streams = [np.random.default_rng([seed, PLANTED_TEMPLATES.index(name), 2**32]) for name in names]
    return [sample(rng, n, kinds, name) for rng, name in zip(streams, names, strict=True)]


planting = WithEffects(
    spec, lambda: list(vocabulary()), fresh, Path(__file__).parent,
    files=("plant", "plant_prompts", "templates", "facts"), permute=True,
)  # fmt: skip
