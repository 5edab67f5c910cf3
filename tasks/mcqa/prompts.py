"""One multiple-choice prompt, and the counterfactual prompts that belong to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tasks._common import Pool, Prompt, fill, one, pick
from tasks.mcqa.causal import MCQACausalModel
from tasks.mcqa.templates import RANDOM_LETTERS, TEMPLATES, Style

CAUSAL = MCQACausalModel()


@dataclass(frozen=True)
class Words:
    """What one prompt is made of."""

    style: Style
    template: str
    thing: str
    color: str
    options: tuple[str, ...]
    labels: tuple[str, ...]

    @property
    def slot(self) -> int:
        """The right option's, from 0."""
        return self.options.index(self.color)

    def render(self) -> tuple[str, dict[str, tuple[int, int]]]:
        """The text, and the spans of its slots."""
        words = {"T": self.thing, "C": self.color}
        for i, (label, option) in enumerate(zip(self.labels, self.options, strict=True), 1):
            words |= {f"L{i}": label, f"O{i}": option}
        return fill(self.style.text(self.template), words)

    def prompt(self) -> Prompt:
        """The prompt as text, with its label and values."""
        filled, spans = self.render()
        values = CAUSAL.values(self.thing, self.color, self.options, self.labels)
        where = {"THING": spans["T"], "COLOR": spans["C"]}
        for i in range(1, self.style.options + 1):
            where |= {f"LABEL{i}": spans[f"L{i}"], f"OPTION{i}": spans[f"O{i}"]}
        right = {"LABEL": spans[f"L{self.slot + 1}"], "OPTION": spans[f"O{self.slot + 1}"]}
        return Prompt(filled, values["L"], values, {**where, **right})


def draw(style: Style, pool: Pool, template: str, slot: int, rng: np.random.Generator, avoid: str = "") -> Words:
    """A prompt about a thing other than ``avoid``, its color in ``slot``."""
    thing = one(rng, [thing for thing in pool["things"] if thing != avoid])
    options = tuple(pick(rng, pool["colors"], style.options))
    known = pool["labels"]
    labels = tuple(pick(rng, known, style.options)) if style.labels == RANDOM_LETTERS else known[: style.options]
    return Words(style, template, thing, options[slot], options, labels)


def others(clean: Words, wrong: int, pool: Pool, rng: np.random.Generator) -> Mapping[str, Words]:
    """The counterfactual prompts by name; ``wrong`` is the slot of the wrong answer."""
    options, labels = (_swap(words, clean.slot, wrong) for words in (clean.options, clean.labels))
    fresh = [letter for letter in pool["letters"] if letter not in clean.labels]
    template = one(rng, _alike(clean.template, pool["templates"]))
    return {
        "color": replace(clean, color=clean.options[wrong]),
        "slot": replace(clean, options=options),
        "label": replace(clean, labels=labels),
        "slot_label": replace(clean, options=options, labels=labels),
        "random_letters": replace(clean, labels=tuple(pick(rng, fresh, clean.style.options))),
        "thing": replace(clean, thing=one(rng, [thing for thing in pool["things"] if thing != clean.thing])),
        "random": draw(clean.style, pool, template, int(rng.integers(clean.style.options)), rng, clean.thing),
    }


def _swap(words: Sequence[str], i: int, j: int) -> tuple[str, ...]:
    found = list(words)
    found[i], found[j] = found[j], found[i]
    return tuple(found)


def _alike(template: str, among: Sequence[str]) -> list[str]:
    """Templates with as many words."""
    return [other for other in among if len(TEMPLATES[other].split()) == len(TEMPLATES[template].split())]
