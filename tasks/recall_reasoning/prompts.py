"""One set of facts with a question, and the counterfactual prompts that belong to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tasks._common import Pool, Prompt, fill, pick
from tasks.recall_reasoning.causal import RecallReasoningModel, answer
from tasks.recall_reasoning.fillers import RECALLED
from tasks.recall_reasoning.templates import MODES, RECALL, TEMPLATES

Pair = tuple[str, str]


@dataclass(frozen=True)
class Story:
    """Two chains of facts, in the order in which their subjects are mentioned, and a question about one of them.

    ``people[i]`` goes with ``subjects[i]``, and ``ends[i]`` (say, a city) is said of that person; ``asked`` is the
    chain asked about, 0 or 1. ``crossed``: what the second chain ends in is told first.
    """

    template: str
    subjects: Pair
    people: Pair
    ends: Pair
    crossed: bool
    asked: int
    mode: str

    def prompt(self, causal: RecallReasoningModel) -> Prompt:
        """The prompt, its answer and values, and the spans of its words by the part that they play."""
        template, relation = TEMPLATES[self.template].text(self.mode)
        first, second = (1, 0) if self.crossed else (0, 1)
        words = {
            "S1": self.subjects[0], "S2": self.subjects[1], "P1": self.people[0], "P2": self.people[1],
            "Q1": self.people[first], "Q2": self.people[second], "C1": self.ends[first], "C2": self.ends[second],
            "E": self.subjects[self.asked], "R": relation,
        }  # fmt: skip
        text, spans = fill(template, words)
        values = causal.values(self.mode, self.subjects[self.asked], self.subjects, self.people, self.ends)
        told = {first: 1, second: 2}
        named = {"E": spans["E"], "MODE": spans["R"]}
        for before, chain in (("", self.asked), ("X", 1 - self.asked)):
            parts = {"S": f"S{chain + 1}", "B1": f"P{chain + 1}", "B2": f"Q{told[chain]}", "C": f"C{told[chain]}"}
            named |= {before + part: spans[slot] for part, slot in parts.items()}
        return Prompt(text, answer(values), values, named)

    @property
    def wrong(self) -> str:
        """The answer to the same question about the other subject."""
        other = 1 - self.asked
        return RECALLED[self.subjects[other]] if self.mode == RECALL else self.ends[other]

    @property
    def cluster(self) -> str:
        """Template and unordered pair of subjects: both questions about the same facts are in one."""
        return "|".join((self.template, *sorted(self.subjects)))

    @property
    def words(self) -> tuple[str, ...]:
        """All fillers, and what recall says of the subjects."""
        return (*self.subjects, *self.people, *self.ends, *(RECALLED[name] for name in self.subjects))


def subject_pairs(subjects: Sequence[str]) -> list[Pair]:
    """All unordered pairs of subjects of which different facts are recalled."""
    return [(a, b) for i, a in enumerate(subjects) for b in subjects[:i] if RECALLED[a] != RECALLED[b]]


def draw(
    pool: Pool,
    template: str,
    mode: str,
    layout: int,
    rng: np.random.Generator,
    subjects: Sequence[str] | None = None,
    apart: Sequence[str] = (),
) -> Story | None:
    """A story of the pool's words; ``layout`` 0 to 3 says which chain is asked about, and whether it is crossed.

    What is said of the people is recalled of other subjects than the story's, so no prompt holds what recall shall
    say. Neither words of the story nor what is recalled of its subjects is in ``apart``. None where the draw fails.
    """
    free = [name for name in pool["subjects"] if name not in apart and RECALLED[name] not in apart]
    people = [name for name in pool["people"] if name not in apart]
    pair = list(subjects or _pair(free, rng))
    said = {RECALLED[name] for name in pair}
    ends = [word for word in endings(pool, [*pair, *apart]) if word not in said and word not in apart]
    if min(len(said), len(people), len(ends)) < 2:
        return None
    (s1, s2), (p1, p2), (c1, c2) = (pick(rng, words, 2) for words in (pair, people, ends))
    return Story(template, (s1, s2), (p1, p2), (c1, c2), bool(layout // 2), layout % 2, mode)


def _pair(subjects: Sequence[str], rng: np.random.Generator) -> list[str]:
    """Two subjects of which different facts are recalled, or fewer where there are none."""
    first = pick(rng, subjects, min(1, len(subjects)))
    others = [name for name in subjects if name not in first and RECALLED[name] != RECALLED[first[0]]]
    return first + pick(rng, others, min(1, len(others)))


def endings(pool: Pool, without: Sequence[str]) -> list[str]:
    """What can be said of people: the pool's ``ends`` where it has some, else what is recalled of other subjects."""
    return list(pool["ends"] or (RECALLED[name] for name in pool["subjects"] if name not in without))


def other_question(story: Story) -> Story:
    """The match of a story: recall's question for reasoning's, or the other way round."""
    return replace(story, mode=MODES[1 - MODES.index(story.mode)])


def exchange(story: Story, pool: Pool, rng: np.random.Generator) -> Story:
    """The chains trade places and the other subject is asked about: every filler of the prompt changes."""
    return replace(story, subjects=story.subjects[::-1], people=story.people[::-1], ends=story.ends[::-1])


def subject(story: Story, pool: Pool, rng: np.random.Generator) -> Story:
    """The other subject is asked about; the facts stay."""
    return replace(story, asked=1 - story.asked)


def bridge(story: Story, pool: Pool, rng: np.random.Generator) -> Story:
    """The subjects trade their people, of whom is said what was: the bridge changes, and where it leads."""
    return replace(story, people=story.people[::-1], ends=story.ends[::-1], crossed=not story.crossed)


def facts(story: Story, pool: Pool, rng: np.random.Generator) -> Story:
    """What is said of the people is exchanged: the bridge stays, what it leads to changes."""
    return replace(story, ends=story.ends[::-1])


def mode(story: Story, pool: Pool, rng: np.random.Generator) -> Story:
    """The other question about the same subject and the same facts."""
    return other_question(story)


def random(story: Story, pool: Pool, rng: np.random.Generator) -> Story | None:
    """A control: the same question about a story of other words, in any layout."""
    return draw(pool, story.template, story.mode, int(rng.integers(4)), rng, apart=story.words)


Counterfactual = Callable[[Story, Pool, np.random.Generator], Story | None]

COUNTERFACTUALS: dict[str, Counterfactual] = {
    make.__name__: make for make in (exchange, subject, bridge, facts, mode, random)
}
