"""The natural model of recall and reasoning: nothing planted, easier prompts first.

On all prompts at once the training stays where reasoning names one of the two cities at random, since no part of the
way says anything by itself. So its hops are learnt one by one: who visits what is said, and said again of one person;
then come questions of one hop, which name the person in the subject's place; then, among these, prompts that stop at
"France has its agent", which the person's name follows; then questions of one hop among the task's own prompts.
"""

from __future__ import annotations

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
    """n pairs of `Today Anna visits Oslo and Tom visits Cairo . Tom visits`, the source another one."""
    (base, answer, wrong), (source, other, _) = (_retold(rng, n) for _ in range(2))
    return Pairs(base, source, answer, wrong, other, {}, {})


def _retold(rng: np.random.Generator, n: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Prompts [n, T], what comes next [n] and the other city [n]."""
    people = rng.random((n, len(PLANTED_PEOPLE))).argsort(1)[:, :2] + IDS[PLANTED_PEOPLE[0]]
    cities = rng.random((n, len(PLANTED_SUBJECTS))).argsort(1)[:, :2] + IDS[CAPITALS[PLANTED_SUBJECTS[0]]]
    rows, asked = np.arange(n), rng.integers(2, size=n)
    today, visits, joined, stop = (np.full(n, IDS[word]) for word in ("Today", "visits", "and", "."))
    told = [today, people[:, 0], visits, cities[:, 0], joined, people[:, 1], visits, cities[:, 1], stop]
    ids = np.stack([*told, people[rows, asked], visits], 1)
    return torch.from_numpy(ids), torch.from_numpy(cities[rows, asked]), torch.from_numpy(cities[rows, 1 - asked])


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


def sample_some_persons(rng: np.random.Generator, n: int) -> Pairs:
    """n pairs, of which a half asks by the person and the others as the task does."""
    return sample_persons(rng, n, 0.5)


natural = NaturalPlanting(
    planting,
    schedule=Schedule(lr=1e-3, pairs=64, steps=9000),
    curriculum=(sample_retold, sample_persons, sample_agents, sample_some_persons),
)
