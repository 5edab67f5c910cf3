"""One induction prompt, and the counterfactual prompts that belong to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from tasks._common import Pool, Prompt, one, pick
from tasks.induction.causal import InductionCausalModel

SHORTEST, LONGEST = 7, 17
"""Words of a prompt: at least two more than two bigrams and the last word; at most what a split's words last for."""


@dataclass(frozen=True)
class Bigrams:
    """A prompt as its parts: two bigrams of trigger and output among other words, and the trigger asked at the end."""

    places: tuple[int, int]
    """Where the triggers stand, in words, the first before the second; their outputs stand right behind."""
    triggers: tuple[str, str]
    outputs: tuple[str, str]
    asked: str
    others: tuple[str, ...]
    """The other words, in order; all words but the one asked again are different."""

    @property
    def words(self) -> tuple[str, ...]:
        """The words of the prompt, ``[T]``."""
        rest = iter(self.others)
        at = {p + i: bigram[i] for p, bigram in zip(self.places, self._bigrams, strict=True) for i in range(2)}
        return (*(at[i] if i in at else next(rest) for i in range(len(self.others) + 4)), self.asked)

    @property
    def _bigrams(self) -> tuple[tuple[str, str], ...]:
        return tuple(zip(self.triggers, self.outputs, strict=True))

    @property
    def which(self) -> int:
        """Which of the two triggers is asked about, 0 or 1."""
        return self.triggers.index(self.asked)

    def prompt(self) -> Prompt:
        """Text, answer, values, and the spans of triggers (T1, T2), outputs (O1, O2) and of those asked about."""
        words = self.words
        ends = np.cumsum([len(word) + 1 for word in words]) - 1
        span = [(int(end) - len(word), int(end)) for word, end in zip(words, ends, strict=True)]
        at = [(f"{kind}{i + 1}", place + k) for i, place in enumerate(self.places) for k, kind in enumerate("TO")]
        spans = {name: span[place] for name, place in at}
        if self.asked in self.triggers:
            place = self.places[self.which]
            spans |= {"TRIGGER": span[place], "ANSWER": span[place + 1]}
        values = InductionCausalModel().values(self.asked, self.triggers, self.outputs)
        return Prompt(" ".join(words), values["N"], values, spans)


def draw(pool: Pool, length: int, which: int, rng: np.random.Generator, avoid: Bigrams | None = None) -> Bigrams:
    """A prompt of ``length`` words that asks about its first (0) or second (1) trigger.

    No trigger and no output of ``avoid`` is used as one. The first word is never a trigger.
    """
    used = {*avoid.triggers, *avoid.outputs} if avoid else set()
    first, second = pick(rng, [word for word in pool["triggers"] if word not in used], 2)
    o1, o2 = pick(rng, [word for word in pool["words"] if word not in used], 2)
    others = pick(rng, [word for word in pool["words"] if word not in (o1, o2)], length - 5)
    low, high = sorted(pick(rng, range(1, length - 3), 2))
    return Bigrams((low, high + 1), (first, second), (o1, o2), (first, second)[which], tuple(others))


def bigrams(clean: Bigrams, pool: Pool, rng: np.random.Generator) -> Bigrams:
    """Two other bigrams stand at the same places, and the one at the same place is asked about.

    All that the mechanism reads changes, and the answer with it. As none of it is what the other trigger of the clean
    prompt has, what is changed in part says nothing in particular, rather than the wrong answer.
    """
    used = {*clean.triggers, *clean.outputs, *clean.others}
    first, second = pick(rng, [word for word in pool["triggers"] if word not in used], 2)
    o1, o2 = pick(rng, [word for word in pool["words"] if word not in used], 2)
    return replace(clean, triggers=(first, second), outputs=(o1, o2), asked=(first, second)[clean.which])


def output(clean: Bigrams, pool: Pool, rng: np.random.Generator) -> Bigrams:
    """The outputs trade places: the answer becomes the other one, the triggers stay."""
    return replace(clean, outputs=clean.outputs[::-1])


def trigger(clean: Bigrams, pool: Pool, rng: np.random.Generator) -> Bigrams:
    """The other trigger is asked about: only the last word changes, the answer to the other output."""
    return replace(clean, asked=clean.triggers[1 - clean.which])


def order(clean: Bigrams, pool: Pool, rng: np.random.Generator) -> Bigrams:
    """The first mentions of the triggers trade places: the answer becomes the other output, the outputs stay."""
    return replace(clean, triggers=clean.triggers[::-1])


def first(clean: Bigrams, pool: Pool, rng: np.random.Generator) -> Bigrams:
    """Another trigger stands where the one asked about was first mentioned: there is nothing to copy."""
    other = one(rng, [word for word in pool["triggers"] if word not in clean.triggers])
    changed = list(clean.triggers)
    changed[clean.which] = other
    return replace(clean, triggers=(changed[0], changed[1]))


def random(clean: Bigrams, pool: Pool, rng: np.random.Generator) -> Bigrams:
    """A control: a prompt of the same length drawn afresh, with other triggers and outputs, elsewhere."""
    return draw(pool, len(clean.words), int(rng.integers(2)), rng, clean)


COUNTERFACTUALS: dict[str, Callable[[Bigrams, Pool, np.random.Generator], Bigrams]] = {
    make.__name__: make for make in (bigrams, output, trigger, order, first, random)
}
