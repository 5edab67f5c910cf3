"""Examples before they are tokenised, and the templates that they are made from."""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

T = TypeVar("T")

Spans = Mapping[str, tuple[int, int]]
"""Named stretches of characters, ``text[start:end]``."""

Pool = Mapping[str, tuple[str, ...]]
"""What the prompts of one split are made of: words by kind (``names``, ``templates``, ...)."""


@dataclass(frozen=True)
class Prompt:
    """A prompt as text, what comes next (empty where nothing in particular does), and the causal model's values."""

    text: str
    answer: str
    values: Mapping[str, str]
    spans: Spans = field(default_factory=dict)
    """Named words; on the clean prompt they become the example's positions (a span's last token)."""


@dataclass(frozen=True)
class Item:
    """An example before it is tokenised: the clean prompt, its wrong answer and its counterfactuals by name."""

    clean: Prompt
    wrong: str
    template: str
    cluster: str
    others: Mapping[str, Prompt]
    labels: tuple[tuple[str, str], ...] = ()
    """``(kind, word)`` of the fillers whose screening this example counts for."""
    glued: bool = False
    """Whether answers follow the prompts without a space, as in ``cat^dog^cat``."""

    def prompts(self) -> Iterator[Prompt]:
        """The clean prompt and the counterfactual ones."""
        yield self.clean
        yield from self.others.values()


def fill(template: str, words: Mapping[str, str]) -> tuple[str, dict[str, tuple[int, int]]]:
    """The template with its ``{SLOTS}`` filled, and each slot's span of characters (of its first mention).

    A slot's later mentions are named ``SLOT#2``, ``SLOT#3`` and so on.
    """
    text, spans, seen = "", dict[str, tuple[int, int]](), dict[str, int]()
    for literal, slot, _, _ in string.Formatter().parse(template):
        text += literal
        if slot:
            seen[slot] = seen.get(slot, 0) + 1
            name = slot if seen[slot] == 1 else f"{slot}#{seen[slot]}"
            spans[name] = (len(text), len(text) + len(words[slot]))
            text += words[slot]
    return text, spans


def pick(rng: np.random.Generator, items: Sequence[T], n: int) -> list[T]:
    """``n`` different items, in random order."""
    return [items[i] for i in rng.choice(len(items), size=n, replace=False)]


def one(rng: np.random.Generator, items: Sequence[T]) -> T:
    """An item at random."""
    return items[int(rng.integers(len(items)))]
