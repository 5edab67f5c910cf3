"""One prompt of greater-than, and the counterfactual prompts that belong to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tasks._common import Pool, Prompt, fill, one
from tasks.greater_than.causal import GreaterThanCausalModel, sign
from tasks.greater_than.fillers import rank, spelt
from tasks.greater_than.templates import AFTER, DIRECTIONS, YEARS, direction_words, text

CAUSAL = GreaterThanCausalModel()
FARTHEST = 20
"""The most by which answers differ from the start."""


@dataclass(frozen=True)
class Words:
    """What one prompt is made of; without ``right`` and ``wrong`` where nothing in particular comes."""

    numbers: str
    template: str
    noun: str
    start: str
    direction: str
    right: str = ""
    wrong: str = ""
    century: str = ""

    def prompt(self) -> Prompt:
        """The prompt as text, with its answer and values."""
        first, last = direction_words(self.numbers, self.template, self.direction)
        words = {"N": self.noun, "Y": self.start, "XX": self.century, "F": first, "L": last}
        filled, spans = fill(text(self.numbers, self.template), words)
        values = CAUSAL.values(self.start, self.direction, self.right, self.wrong)
        where = {"NOUN": spans["N"], "START": spans["Y"], "DIRECTION": spans["L"]}
        return Prompt(filled, CAUSAL.answer(values), values, where | ({"XX": spans["XX"]} if self.century else {}))


def draw(
    numbers: str, pool: Pool, template: str, direction: str, rng: np.random.Generator, avoid: Words | None = None
) -> Words | None:
    """A prompt with a noun and a start other than ``avoid``'s; None where the start has no two numbers around it."""
    nouns = [noun for noun in pool["nouns"] if avoid is None or noun != avoid.noun]
    start = one(rng, [start for start in pool["starts"] if avoid is None or start != avoid.start])
    century = one(rng, pool["centuries"]) if numbers == YEARS else ""
    around = _around(start, direction, pool["ends"])
    if not around:
        return None
    return Words(numbers, template, one(rng, nouns), start, direction, *one(rng, around), century)


def others(clean: Words, pool: Pool, rng: np.random.Generator) -> Mapping[str, Words] | None:
    """The counterfactual prompts by name; None where one of them cannot be drawn."""
    flipped = DIRECTIONS[1 - DIRECTIONS.index(clean.direction)]
    beyond = _beyond(clean, pool)
    template = one(rng, _alike(clean, pool["templates"]))
    fresh = draw(clean.numbers, pool, template, one(rng, pool["directions"]), rng, clean)
    if fresh is None or not beyond:
        return None
    found = {
        "start_01": replace(clean, start=_edge(clean.direction, pool["ends"]), right="", wrong=""),
        "flip": replace(clean, direction=flipped, right=clean.wrong, wrong=clean.right),
        "beyond": one(rng, beyond),
        "noun": replace(clean, noun=one(rng, [noun for noun in pool["nouns"] if noun != clean.noun])),
    }
    if clean.century:
        century = one(rng, [century for century in pool["centuries"] if century != clean.century])
        found["century"] = replace(clean, century=century)
    return {**found, "random": fresh}


def _edge(direction: str, ends: Sequence[str]) -> str:
    """The start behind which all other numbers may come."""
    return ends[0] if direction == AFTER else ends[-1]


def _around(start: str, direction: str, ends: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of a right and a wrong number, equally far from the start; both may come behind the edge."""
    edge = _edge(direction, ends)
    pairs = [
        (spelt(rank(start) + sign(direction) * step, start), spelt(rank(start) - sign(direction) * step, start))
        for step in range(1, FARTHEST + 1)
    ]
    return [pair for pair in pairs if all(end in ends and end != edge for end in pair)]


def _beyond(clean: Words, pool: Pool) -> list[Words]:
    """The prompt with starts that leave neither of its numbers right, and its numbers moved along."""
    step, found = rank(clean.right) - rank(clean.start), []
    for start in pool["starts"]:
        right, wrong = spelt(rank(start) + step, start), spelt(rank(start) - step, start)
        if sign(clean.direction) * (rank(start) - rank(clean.right)) >= 0 and right in pool["ends"]:
            found.append(replace(clean, start=start, right=right, wrong=wrong))
    return found


def _alike(clean: Words, among: Sequence[str]) -> list[str]:
    """Templates with as many words."""
    words = {template: len(text(clean.numbers, template).replace(",", " ,").split()) for template in among}
    return [template for template in among if words[template] == words[clean.template]]
