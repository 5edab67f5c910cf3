"""One prompt of subject-verb agreement, and the counterfactual prompts that belong to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tasks._common import Pool, Prompt, fill, one
from tasks.sva.causal import NUMBERS, SVACausalModel
from tasks.sva.templates import TENSES, kind, tense_word, text

CAUSAL = SVACausalModel()
OPPOSITE, EITHER = "opposite", "either"


def form(noun: str, number: str) -> str:
    """The form of ``singular/plural`` in a number."""
    return noun.split("/")[NUMBERS.index(number)]


def flip(value: str, among: tuple[str, str]) -> str:
    """The other of two values."""
    return among[1 - among.index(value)]


@dataclass(frozen=True)
class Words:
    """What one prompt is made of; ``attractor`` and ``other`` (its number) are empty where there is no second noun."""

    template: str
    subject: str
    number: str
    tense: str
    attractor: str = ""
    other: str = ""

    def render(self) -> tuple[str, dict[str, tuple[int, int]]]:
        """The text, and the spans of its slots."""
        words = {"T": tense_word(self.template, self.tense), "S": form(self.subject, self.number)}
        if self.attractor:
            words["A"] = form(self.attractor, self.other)
        return fill(text(self.template), words)

    def prompt(self) -> Prompt:
        """The prompt as text, with its verb and values."""
        filled, spans = self.render()
        names = {"T": "TENSE", "S": "SUBJECT", "A": "ATTRACTOR"}
        attractor = form(self.attractor, self.other) if self.attractor else ""
        values = CAUSAL.values(form(self.subject, self.number), self.number, self.tense, attractor, self.other)
        return Prompt(filled, values["V"], values, {names[slot]: span for slot, span in spans.items()})


def draw(
    pool: Pool, template: str, number: str, tense: str, agreeing: bool, rng: np.random.Generator, avoid: str = ""
) -> Words:
    """A prompt with a subject other than ``avoid`` and, where the template has one, a second noun.

    ``agreeing``: the second noun has the subject's number.
    """
    subject = one(rng, [noun for noun in pool["nouns"] if noun != avoid])
    second = kind(template)
    if second is None:
        return Words(template, subject, number, tense)
    other = number if agreeing else flip(number, NUMBERS)
    return Words(template, subject, number, tense, one(rng, pool[second]), other)


def others(clean: Words, pool: Pool, attractor: str, rng: np.random.Generator) -> Mapping[str, Words]:
    """The counterfactual prompts by name."""
    number, tense = flip(clean.number, NUMBERS), flip(clean.tense, TENSES)
    noun = one(rng, [noun for noun in pool["nouns"] if noun != clean.subject])
    found = {
        "number": replace(clean, number=number),
        "noun": replace(clean, subject=noun),
        "tense": replace(clean, tense=tense),
        "number_tense": replace(clean, number=number, tense=tense),
    }
    if clean.attractor:
        found["attractor"] = replace(clean, other=flip(clean.other, NUMBERS))
    template = one(rng, alike(clean.template, pool["templates"]))
    agreeing = attractor == EITHER and bool(rng.integers(2))
    found["random"] = draw(pool, template, one(rng, NUMBERS), one(rng, TENSES), agreeing, rng, clean.subject)
    return found


def alike(template: str, among: Sequence[str]) -> list[str]:
    """Templates with as many words."""
    return [other for other in among if len(text(other).split()) == len(text(template).split())]
