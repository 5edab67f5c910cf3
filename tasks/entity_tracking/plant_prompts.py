"""Prompts for entity tracking's planted models: base and source pairs over the whole planted pool, as token ids."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from bench.planting.spec import Pairs
from tasks.entity_tracking.fillers import PLANTED_LABELS, PLANTED_OBJECTS

SPECIAL = ("<pad>", "<unk>")
WORDS = (",", ".", "has", "in")
KINDS = {"all": 0.35, "positional": 0.25, "object": 0.1, "label": 0.1, "random": 0.15, "next_box": 0.05}
FEW, MANY = (2, 3), (2, 3, 4, 5, 6, 7)
OBJECTS = len(SPECIAL) + len(WORDS)
"""Id of the first object."""
LABELS = OBJECTS + len(PLANTED_OBJECTS)
"""Id of the first label."""


def vocabulary() -> list[str]:
    """The planted models' words, by id."""
    return [*SPECIAL, *WORDS, *PLANTED_OBJECTS, *PLANTED_LABELS]


@dataclass(frozen=True)
class Scenes:
    """n scenes of one number of boxes: objects and labels [n, boxes], and the label asked for [n], as numbers."""

    objects: np.ndarray
    labels: np.ndarray
    query: np.ndarray

    @property
    def slot(self) -> np.ndarray:
        """[n], the box asked for; -1 where none bears the label."""
        return place(self.query, self.labels)

    @property
    def ids(self) -> np.ndarray:
        """[n, 4 boxes + 2], "apple in A, ball in B. A has"."""
        n, boxes = self.labels.shape
        comma, stop, has, within = (len(SPECIAL) + i for i in range(len(WORDS)))
        told = np.stack(
            [self.objects + OBJECTS, np.full((n, boxes), within), self.labels + LABELS, np.full((n, boxes), comma)], 2
        ).reshape(n, 4 * boxes)
        told[:, -1] = stop
        return np.concatenate([told, self.query[:, None] + LABELS, np.full((n, 1), has)], 1)

    def object_at(self, slot: np.ndarray) -> np.ndarray:
        """[n], the id of the object in a box; -1 where there is no such box."""
        return np.where(slot >= 0, np.take_along_axis(self.objects, slot[:, None], 1)[:, 0] + OBJECTS, -1)


def place(label: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Where each row of labels [n, boxes] has the label [n]; -1 where it has not."""
    found = labels == label[:, None]
    return np.where(found.any(1), found.argmax(1), -1)


def distinct(rng: np.random.Generator, n: int, boxes: int, pool: int) -> np.ndarray:
    """[n, boxes] draws below ``pool``, different within a row."""
    return rng.random((n, pool)).argsort(1)[:, :boxes]


def moved(rng: np.random.Generator, labels: np.ndarray) -> np.ndarray:
    """The labels of each row dealt anew, so that none stays on its box."""
    out = labels.copy()
    stay = np.ones(len(labels), dtype=bool)
    while stay.any():
        order = rng.random((int(stay.sum()), labels.shape[1])).argsort(1)
        out[stay] = np.take_along_axis(labels[stay], order, 1)
        stay = (out == labels).any(1)
    return out


def draw(rng: np.random.Generator, n: int, boxes: int) -> Scenes:
    """n scenes at random."""
    objects, labels = (distinct(rng, n, boxes, len(pool)) for pool in (PLANTED_OBJECTS, PLANTED_LABELS))
    return Scenes(objects, labels, labels[np.arange(n), rng.integers(0, boxes, n)])


def other_slot(rng: np.random.Generator, scenes: Scenes) -> np.ndarray:
    """[n], a box that is not asked for."""
    n, boxes = scenes.labels.shape
    return (scenes.slot + rng.integers(1, boxes, n)) % boxes


def sources(rng: np.random.Generator, base: Scenes, kind: np.ndarray) -> Scenes:
    """Source scenes by kind, which the task's counterfactuals of these names are instances of.

    The labels of `all` are the base's on other boxes in half of the rows, and new ones in the others.
    """
    n, boxes = base.labels.shape
    fresh, rows = draw(rng, n, boxes), np.arange(n)
    dealt, to = moved(rng, base.labels), other_slot(rng, base)
    is_all, new = kind == "all", rng.random(n) < 0.5
    keeps = np.isin(kind, ["object", "label"])
    labels = np.where(keeps[:, None], base.labels, fresh.labels)
    labels = np.where(((kind == "positional") | (is_all & ~new))[:, None], dealt, labels)
    objects = np.where(np.isin(kind, ["positional", "label"])[:, None], base.objects, fresh.objects)
    query = np.where(np.isin(kind, ["positional", "object"]), base.query, fresh.query)
    query = np.where(is_all, labels[rows, to], np.where(kind == "label", base.labels[rows, to], query))
    unborne = distinct(rng, n, boxes + 1, len(PLANTED_LABELS))
    free = ~(unborne[:, :, None] == labels[:, None, :]).any(2)
    query = np.where(kind == "next_box", unborne[rows, free.argmax(1)], query)
    return Scenes(objects, labels, query)


def sample(rng: np.random.Generator, n: int, kinds: dict[str, float] | None = None, boxes: int | None = None) -> Pairs:
    """n pairs of prompts with as many boxes, drawn from 2 to 7 where their number is not given."""
    boxes = int(rng.choice(MANY)) if boxes is None else boxes
    odds = kinds or KINDS
    kind = rng.choice(list(odds), n, p=np.array(list(odds.values())) / sum(odds.values()))
    base = draw(rng, n, boxes)
    return pairs(base, sources(rng, base, kind), other_slot(rng, base))


def sample_few(rng: np.random.Generator, n: int) -> Pairs:
    """n pairs of prompts with two or three boxes."""
    return sample(rng, n, boxes=int(rng.choice(FEW)))


def pairs(base: Scenes, source: Scenes, wrong: np.ndarray) -> Pairs:
    """What the causal model says: detected and position choose the box in the base, object is the source's answer.

    `structure` is what the label asked for says of itself, that it is the one and where it stands: where both ask for
    the same label, the source's box is chosen. `layout` is the same of all labels: the box that bears the base's label
    in the source is chosen.
    """
    t = torch.from_numpy
    by_slot = t(base.object_at(source.slot))
    targets = {
        "structure": torch.where(t(base.query == source.query), by_slot, -1),
        "layout": t(base.object_at(place(base.query, source.labels))),
        "detected": by_slot,
        "position": by_slot,
        "object": t(source.object_at(source.slot)),
    }
    here, there = base.slot, source.slot
    size = base.ids.shape[1]
    ends = {name: t(np.full(len(here), size - back)) for name, back in (("END", 1), ("QUERY", 2), ("STOP", 3))}
    positions = {name: (at, at) for name, at in ends.items()}
    for name, shift in (("OBJECT", 0), ("LABEL", 2)):
        positions[name] = (t(4 * here + shift), t(np.where(there >= 0, 4 * there + shift, -1)))
    return Pairs(
        t(base.ids), t(source.ids), t(base.object_at(here)), t(base.object_at(wrong)), targets["object"], targets,
        positions,
    )  # fmt: skip


def fresh(seed: int, n: int, kinds: dict[str, float]) -> list[Pairs]:
    """n pairs for each number of boxes, from a stream of random numbers that no training reads.

    A kind is one of `KINDS` for 2 to 7 boxes, or with `@` and a number for so many, or with `@few` for 2 and 3.
    """
    wanted = {kind.partition("@")[2] for kind in kinds}
    if len(wanted) != 1:
        raise ValueError(f"kinds for different numbers of boxes: {', '.join(kinds)}; ask for them one by one")
    which = wanted.pop()
    numbers = {"": MANY, "few": FEW}.get(which) or (int(which),)
    plain = {kind.partition("@")[0]: weight for kind, weight in kinds.items()}
    return [sample(np.random.default_rng([seed, boxes, 2**32]), n, plain, boxes) for boxes in numbers]
