"""The natural model of recall and reasoning: nothing planted, easier prompts first.

On all prompts at once the training stays where reasoning names one of the two cities at random, since no part of the
way says anything by itself. So its hops are learnt one by one: who visits or employs what is said, and again of one;
then come questions of one hop, which name the person in the subject's place; then, among these, prompts that stop at
"France has its agent", which the person's name follows. Two hops are first asked where visits are told in the order of
the employers, so that one match tells which city it is; then a fifth, and at last a half, is told crosswise, as in the
task. (A half at once is not learnt: reasoning stays between order and chance.)
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch

from bench.planting.natural.planting import NaturalPlanting
from bench.planting.natural.training import Schedule
from bench.planting.spec import Pairs
from tasks.recall_reasoning.fillers import CAPITALS, PLANTED_PEOPLE, PLANTED_SUBJECTS, PLANTED_TEMPLATES
from tasks.recall_reasoning.plant import planting
from tasks.recall_reasoning.plant_prompts import sample, vocabulary
from tasks.recall_reasoning.templates import TEMPLATES

IDS = {word: i for i, word in enumerate(vocabulary())}
AGENT = IDS[TEMPLATES[PLANTED_TEMPLATES[0]].reasoning[1]]


def sample_retold(rng: np.random.Generator, n: int) -> Pairs:
    """n pairs of `Today Anna visits Oslo and Tom visits Cairo . Tom visits`, or of countries that employ people."""
    who, what = (PLANTED_PEOPLE[0], CAPITALS[PLANTED_SUBJECTS[0]]), "visits"
    if rng.random() < 0.5:
        who, what = (PLANTED_SUBJECTS[0], PLANTED_PEOPLE[0]), "employs"
    (base, answer, wrong), (source, other, _) = (_retold(rng, n, who, what) for _ in range(2))
    return Pairs(base, source, answer, wrong, other, {}, {})


def _retold(
    rng: np.random.Generator, n: int, firsts: tuple[str, str], verb: str
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Prompts [n, T], what comes next [n] and the other one [n]; `firsts` are those that come first in the pools."""
    pools = (len(PLANTED_PEOPLE if first in PLANTED_PEOPLE else PLANTED_SUBJECTS) for first in firsts)
    who, what = (
        rng.random((n, many)).argsort(1)[:, :2] + IDS[first] for first, many in zip(firsts, pools, strict=True)
    )
    rows, asked = np.arange(n), rng.integers(2, size=n)
    today, does, joined, stop = (np.full(n, IDS[word]) for word in ("Today", verb, "and", "."))
    told = [today, who[:, 0], does, what[:, 0], joined, who[:, 1], does, what[:, 1], stop]
    ids = np.stack([*told, who[rows, asked], does], 1)
    return torch.from_numpy(ids), torch.from_numpy(what[rows, asked]), torch.from_numpy(what[rows, 1 - asked])


def sample_persons(rng: np.random.Generator, n: int, share: float = 1.0) -> Pairs:
    """n pairs, of which a share asks for the agent by name, in the subject's place: one hop is left to go."""
    pairs = sample(rng, n)
    drawn = torch.from_numpy(rng.random(n) < share)
    for side, ids in enumerate((pairs.base, pairs.source)):
        at = {name: places[side] for name, places in pairs.positions.items()}
        rows = (drawn & (ids[torch.arange(n), at["MODE"]] == AGENT)).nonzero()[:, 0]
        ids[rows, at["E"][rows]] = ids[rows, at["B1"][rows]]
    return pairs


def sample_agents(rng: np.random.Generator, n: int) -> Pairs:
    """n pairs that all ask by the person, or, every other time, that stop before the last word, and a name follows."""
    if rng.random() < 0.5:
        return sample_persons(rng, n)
    pairs = sample(rng, n, {"reasoning_random": 1.0})
    rows, at = torch.arange(n), pairs.positions
    names = [ids[rows, at["B1"][side]] for side, ids in enumerate((pairs.base, pairs.source))]
    wrong = pairs.base[rows, at["XB1"][0]]
    return Pairs(pairs.base[:, :-1], pairs.source[:, :-1], names[0], wrong, names[1], {}, {})


def sample_ordered(rng: np.random.Generator, n: int, crossed: float = 0.0) -> Pairs:
    """n pairs of which .3 ask by the person, and visits are told in the order of the employers but for a share."""
    pairs = sample_persons(rng, n, 0.3)
    wanted = torch.from_numpy(rng.random(n) < crossed)
    for side, ids in enumerate((pairs.base, pairs.source)):
        at = {name: places[side] for name, places in pairs.positions.items()}
        is_crossed = (at["B1"] < at["XB1"]) != (at["B2"] < at["XB2"])
        rows = (is_crossed != wanted).nonzero()[:, 0]
        for one, other in (("B2", "XB2"), ("C", "XC")):
            places = torch.stack([at[one][rows], at[other][rows]], 1)
            ids[rows[:, None], places] = ids[rows[:, None], places.flip(1)]
    return Pairs(pairs.base, pairs.source, pairs.answer, pairs.wrong, pairs.source_answer, {}, {})


natural = NaturalPlanting(
    planting,
    schedule=Schedule(lr=1e-3, pairs=64, steps=30000, enough=0.985),
    curriculum=(
        sample_retold, sample_persons, sample_agents,
        sample_ordered, partial(sample_ordered, crossed=0.2), partial(sample_ordered, crossed=0.5),
    ),
)  # fmt: skip
