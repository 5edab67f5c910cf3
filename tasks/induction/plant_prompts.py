"""Prompts for induction's planted models: base and source pairs over the whole planted pool, as token ids."""

from __future__ import annotations

import numpy as np
import torch

from bench.planting.spec import Pairs
from tasks.induction.words import PLANTED_TRIGGERS, PLANTED_WORDS

SPECIAL = ("<pad>", "<unk>")
LENGTHS = (12, 14, 16)
KINDS = {"bigrams": 0.15, "output": 0.1, "trigger": 0.1, "order": 0.2, "moved": 0.15, "random": 0.2, "first": 0.1}
TRIGGER, WORD = len(SPECIAL), len(SPECIAL) + len(PLANTED_TRIGGERS)
"""Ids of the first trigger and of the first word."""

Draw = dict[str, np.ndarray]
"""n prompts: `ids` [n, T]; `places` and `triggers` [n, 2], in the order of the text; `which` [n], the one asked."""


def vocabulary() -> list[str]:
    """The planted models' words, by id."""
    return [*SPECIAL, *PLANTED_TRIGGERS, *PLANTED_WORDS]


def _distinct(rng: np.random.Generator, n: int, pool: int, k: int) -> np.ndarray:
    """n rows of k different numbers below `pool`."""
    return rng.random((n, pool)).argsort(1)[:, :k]


def _without(rng: np.random.Generator, used: np.ndarray, first: int, pool: int, k: int) -> np.ndarray:
    """A row of k different ids from `first` on, `pool` of them to choose from, for each row of `used`: none in it."""
    score = rng.random((len(used), pool))
    score += (used[:, :, None] == np.arange(first, first + pool)).any(1)
    return score.argsort(1)[:, :k] + first


def draw(rng: np.random.Generator, n: int, length: int) -> Draw:
    """n prompts of `length` words: two bigrams anywhere behind the first word, and one of their triggers at the end."""
    ids = _distinct(rng, n, len(PLANTED_WORDS), length) + WORD
    places = np.sort(_distinct(rng, n, length - 4, 2), 1) + [1, 2]
    triggers = _distinct(rng, n, len(PLANTED_TRIGGERS), 2) + TRIGGER
    return _place({"ids": ids, "places": places, "triggers": triggers, "which": rng.integers(0, 2, n)})


def _place(d: Draw) -> Draw:
    """The prompts with their triggers written where they belong, and the one asked at the end."""
    rows, ids = np.arange(len(d["ids"])), d["ids"].copy()
    ids[rows[:, None], d["places"]] = d["triggers"]
    ids[:, -1] = d["triggers"][rows, d["which"]]
    return {**d, "ids": ids}


def _sources(rng: np.random.Generator, base: Draw, kind: np.ndarray) -> Draw:
    """Source prompts by kind, as :mod:`tasks.induction.prompts` has them.

    `moved` is another prompt about the same triggers; `first` has another trigger for the first mention of the one
    asked, so that it has no answer.
    """
    n, length = base["ids"].shape
    rows, fresh = np.arange(n), draw(rng, n, length)
    afresh = np.isin(kind, ["random", "moved"])
    source = {key: np.where(_wide(afresh, base[key]), fresh[key], base[key]) for key in base}
    source["triggers"] = np.where((kind == "moved")[:, None], base["triggers"], source["triggers"])
    source["triggers"] = np.where((kind == "order")[:, None], base["triggers"][:, ::-1], source["triggers"])
    # `order` asks for the same trigger, which is now in the other place; `trigger` for the other one
    source["which"] = np.where(np.isin(kind, ["trigger", "order"]), 1 - base["which"], source["which"])
    other = np.where(kind == "bigrams")[0]
    source["triggers"][other] = _without(rng, base["triggers"][other], TRIGGER, len(PLANTED_TRIGGERS), 2)
    outputs = base["ids"][rows[:, None], base["places"][:, ::-1] + 1]
    outputs[other] = _without(rng, base["ids"][other], WORD, len(PLANTED_WORDS), 2)
    traded = np.where(np.isin(kind, ["bigrams", "output"]))[0]
    source["ids"][traded[:, None], base["places"][traded] + 1] = outputs[traded]
    source = _place(source)
    third = _without(rng, base["triggers"], TRIGGER, len(PLANTED_TRIGGERS), 1)[:, 0]
    gone = np.where(kind == "first")[0]
    source["ids"][gone, source["places"][gone, source["which"][gone]]] = third[gone]
    return source


def _wide(flag: np.ndarray, like: np.ndarray) -> np.ndarray:
    return flag.reshape(-1, *[1] * (like.ndim - 1))


def sample(
    rng: np.random.Generator, n: int, kinds: dict[str, float] | None = None, length: int | None = None
) -> Pairs:
    """n pairs of prompts of one length; sources are drawn by kind (see :func:`_sources`)."""
    length = length or LENGTHS[rng.integers(len(LENGTHS))]
    odds = kinds or KINDS
    kind = rng.choice(list(odds), n, p=np.array(list(odds.values())) / sum(odds.values()))
    base = draw(rng, n, length)
    return _pairs(rng, base, _sources(rng, base, kind), kind != "first")


def fresh(seed: int, n: int, kinds: dict[str, float]) -> list[Pairs]:
    """n pairs of each length, from a stream of random numbers that no training reads."""
    return [sample(np.random.default_rng([seed, i, 2**32]), n, kinds, length) for i, length in enumerate(LENGTHS)]


def said(ids: np.ndarray, before: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """The word [n] of `ids` behind which `before`, shifted by one, has `asked` [n]; -1 where it is no (one) word.

    With `before` of another prompt this is what is said when the words before each place are as there.
    """
    match = before[:, :-1] == asked[:, None]
    rows, at = np.arange(len(ids)), match.argmax(1) + 1
    word = ids[rows, at]
    return np.where((match.sum(1) == 1) & (word >= WORD), word, -1)


def _pairs(rng: np.random.Generator, base: Draw, source: Draw, answered: np.ndarray) -> Pairs:
    """What the causal model says: T asks for a trigger, P tells what stands before each word, N is the word to say."""
    rows, ids, other = np.arange(len(base["ids"])), base["ids"], source["ids"]
    answers = [d["ids"][rows, d["places"][rows, d["which"]] + 1] for d in (base, source)]
    targets = {
        "T": np.where(answered, said(ids, ids, other[:, -1]), -1),
        "P": said(ids, other, ids[:, -1]),
        "N": np.where(answered, answers[1], -1),
    }
    wrong = ids[rows, base["places"][rows, 1 - base["which"]] + 1]
    here = rng.integers(1, ids.shape[1], len(rows))
    at = {"HERE": (here, here), "BEFORE": (here - 1, here - 1)}
    end = np.full(len(rows), ids.shape[1] - 1)
    at["END"] = (end, end)
    spots = [d["places"][rows, d["which"]] for d in (base, source)]
    rest = [d["places"][rows, 1 - d["which"]] for d in (base, source)]
    at |= {"TRIGGER": (spots[0], spots[1]), "ANSWER": (spots[0] + 1, spots[1] + 1)}
    at |= {"OTHER": (rest[0], rest[1]), "WRONG": (rest[0] + 1, rest[1] + 1)}
    t = torch.from_numpy
    return Pairs(
        t(ids), t(other), t(answers[0]), t(wrong), t(targets["N"]),
        {name: t(target) for name, target in targets.items()},
        {name: (t(a), t(b)) for name, (a, b) in at.items()},
    )  # fmt: skip
