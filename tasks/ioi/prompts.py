"""One IOI prompt, and the counterfactual prompts that belong to it."""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from tasks.ioi.causal import FIRST, SECOND, other_name, slot_of
from tasks.ioi.templates import TEMPLATES


@dataclass(frozen=True)
class Prompt:
    """The words of a prompt: the names by slot, the name said again, a place and an object."""

    template: str
    a: str
    b: str
    s: str
    place: str
    thing: str

    @property
    def answer(self) -> str:
        """The indirect object; empty where no name is said twice."""
        return other_name(slot_of(self.s, self.a, self.b), self.a, self.b)

    @property
    def order(self) -> str:
        return {FIRST: "BABA", SECOND: "ABBA"}.get(slot_of(self.s, self.a, self.b), "ABC")

    @property
    def cluster(self) -> str:
        """Template and unordered pair of names."""
        return "|".join((self.template, *sorted((self.a, self.b))))

    def render(self) -> tuple[str, dict[str, tuple[int, int]]]:
        """The text, and the span of characters of each slot (of its first mention)."""
        words = {"A": self.a, "B": self.b, "S": self.s, "PLACE": self.place, "OBJECT": self.thing}
        return fill(TEMPLATES[self.template], words)

    @property
    def text(self) -> str:
        return self.render()[0]


@dataclass(frozen=True)
class Pool:
    """What the prompts of one split are made of."""

    names: tuple[str, ...]
    places: Mapping[str, tuple[str, ...]]
    """By template, those that fit."""
    things: Mapping[str, tuple[str, ...]]
    templates: tuple[str, ...]
    lengths: Mapping[str, int]
    """Tokens of a prompt, by template."""

    def others(self, prompt: Prompt) -> list[str]:
        """The names that the prompt does not use."""
        return [name for name in self.names if name not in (prompt.a, prompt.b, prompt.s)]


def fill(template: str, words: Mapping[str, str]) -> tuple[str, dict[str, tuple[int, int]]]:
    """The template with its slots filled, and the span of characters of each slot (of its first mention)."""
    text, spans = "", dict[str, tuple[int, int]]()
    for literal, slot, _, _ in string.Formatter().parse(template):
        text += literal
        if slot:
            spans.setdefault(slot, (len(text), len(text) + len(words[slot])))
            text += words[slot]
    return text, spans


def s2_io_flip(prompt: Prompt, pool: Pool, rng: np.random.Generator) -> Prompt:
    """The second clause names the indirect object: slot and answer change, the answer to S."""
    return replace(prompt, s=prompt.answer)


def s1_io_flip(prompt: Prompt, pool: Pool, rng: np.random.Generator) -> Prompt:
    """The names of the first clause trade places: the slot changes, the answer stays."""
    return replace(prompt, a=prompt.b, b=prompt.a)


def s1_io_flip_s2_io_flip(prompt: Prompt, pool: Pool, rng: np.random.Generator) -> Prompt:
    """Both flips, so that the names trade roles: the slot stays, the answer changes to S."""
    return s1_io_flip(s2_io_flip(prompt, pool, rng), pool, rng)


def abc(prompt: Prompt, pool: Pool, rng: np.random.Generator) -> Prompt:
    """Three other names, each said once: there is no answer (p_ABC in the paper)."""
    a, b, s = _pick(rng, pool.others(prompt), 3)
    return replace(prompt, a=a, b=b, s=s)


def random_names(prompt: Prompt, pool: Pool, rng: np.random.Generator) -> Prompt:
    """Two other names in the same order: the slot stays, the answer is another name."""
    a, b = _pick(rng, pool.others(prompt), 2)
    return replace(prompt, a=a, b=b, s=a if prompt.s == prompt.a else b)


def random(prompt: Prompt, pool: Pool, rng: np.random.Generator) -> Prompt:
    """A control: a prompt of the same length drawn afresh, with two other names."""
    length = pool.lengths[prompt.template]
    template = _pick(rng, [t for t in pool.templates if pool.lengths[t] == length], 1)[0]
    a, b = _pick(rng, pool.others(prompt), 2)
    place = _pick(rng, pool.places[template], 1)[0]
    thing = _pick(rng, pool.things[template], 1)[0]
    return Prompt(template, a, b, (a, b)[int(rng.integers(2))], place, thing)


Counterfactual = Callable[[Prompt, Pool, np.random.Generator], Prompt]

COUNTERFACTUALS: dict[str, Counterfactual] = {
    make.__name__: make for make in (s2_io_flip, abc, random_names, s1_io_flip, s1_io_flip_s2_io_flip, random)
}


def _pick(rng: np.random.Generator, items: list[str] | tuple[str, ...], n: int) -> list[str]:
    return [items[i] for i in rng.choice(len(items), size=n, replace=False)]
