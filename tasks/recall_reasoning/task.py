"""The registered task ``recall_reasoning``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from bench.task import TaskError
from tasks._common import Encoder, GeneratedTask, Item, Pool
from tasks.recall_reasoning.causal import RecallReasoningModel
from tasks.recall_reasoning.fillers import FACTS, PEOPLE, RECALLED
from tasks.recall_reasoning.prompts import COUNTERFACTUALS, Story, draw, other_question, subject_pairs
from tasks.recall_reasoning.templates import MODES, TEMPLATES
from tasks.recall_reasoning.vocabulary import read

BOTH = "both"


@dataclass(frozen=True)
class StoryItem(Item):
    """An example that remembers its story, so that its match can be made."""

    story: Story | None = None


@dataclass
class RecallReasoning(GeneratedTask):
    """Recall and reasoning: "... France has its capital in" -> Paris, "... France has its agent in" -> Cairo.

    The first is answered by the weights, the second by the prompt's facts, in two hops. In full:
    ``Now France employs Anna and Japan employs Tom. Tom visits Oslo and Anna visits Cairo. France has its capital in``
    -> ``Paris`` (recall), ``... France has its agent in`` -> ``Cairo`` (reasoning, by way of the bridge, Anna).

    Examples come in matched pairs, one right after the other: the same facts and subject, prompts of one length that
    differ in the relation words alone. ``values["mode"]`` says which question is asked. A second chain of facts
    stands in every prompt, and no place gives the answer away: which subject is asked about, and which chain's end is
    told first, are balanced. The cities of a prompt are capitals of other countries, so recall cannot copy.
    For tokenizers that lack countries there are colors of things in place of capitals (``facts``).

    Source: Fartale et al. 2025, arXiv:2510.03366, "Disentangling Recall and Reasoning in Transformer Models", whose
    pairs are not matched in length; here they are. Two hops by way of a bridge: Yang et al. 2024, arXiv:2402.16837.
    Chance: .5 in either mode between the answer and the wrong one, which is the answer to the same question about the
    prompt's other subject. Gate: .85, since a model that recalls and cannot reason gets .75.

    Screening: a template is kept if its questions are of one length, a subject if it and what is recalled of it are
    one known token wherever they stand. With a model at hand, templates and then subjects (of each split) are kept
    that it gets right often enough, on prompts of train but for that subject; so accuracy on test is that of such
    subjects.

    Counterfactuals (see :mod:`tasks.recall_reasoning.prompts`): ``exchange``, ``subject``, ``bridge``, ``facts``,
    ``mode`` and the control ``random``.
    """

    mode: str = BOTH
    """``both``, ``recall`` or ``reasoning``: which questions are asked."""
    facts: str | None = None
    """``capitals`` or ``colors``; the first that the tokenizer can read where None."""
    templates: Sequence[str] | None = None
    """Keys of :data:`tasks.recall_reasoning.templates.TEMPLATES`; all that fit the facts where None."""
    subjects: Sequence[str] | None = None
    """Subjects to choose from, of those in :mod:`tasks.recall_reasoning.fillers`; all where None."""
    people: Sequence[str] | None = None
    gate: float = 0.85
    screen_share: float = 0.75
    screen_prompts: int = 12

    name = "recall_reasoning"
    version = "1"
    source = "Fartale et al. 2025, arXiv:2510.03366"
    chance = "accuracy .5 in either mode, between the answers about the prompt's two subjects"
    counterfactuals = tuple(COUNTERFACTUALS)
    default_counterfactual = "exchange"
    causal_model = RecallReasoningModel()
    least: ClassVar = {
        "subjects": {"train": 8, "validation": 8, "test": 10},
        "people": {"train": 4, "validation": 4, "test": 4},
    }
    screened: ClassVar = ("templates", "subjects")

    def offered(self) -> dict[str, tuple[str, ...]]:
        """See :class:`GeneratedTask`."""
        for name, chosen, allowed in (("mode", self.mode, (BOTH, *MODES)), ("facts", self.facts, (None, *FACTS))):
            if chosen not in allowed:
                raise TaskError(f"task.{name} is {chosen!r}; it can be {', '.join(w for w in allowed if w)}")
        kinds = FACTS if self.facts is None else (self.facts,)
        templates = tuple(self.templates or (name for name, t in TEMPLATES.items() if t.facts in kinds))
        subjects = tuple(dict.fromkeys(self.subjects or (name for kind in kinds for name in FACTS[kind])))
        for kind, words, known in (("template", templates, tuple(TEMPLATES)), ("subject", subjects, tuple(RECALLED))):
            unknown = [word for word in words if word not in known]
            if unknown:
                raise TaskError(f"recall_reasoning has no {kind} {unknown[0]!r}; it has {', '.join(known)}")
        return {"templates": templates, "subjects": subjects, "people": tuple(dict.fromkeys(self.people or PEOPLE))}

    def readable(self, encoder: Encoder, offered: Pool) -> dict[str, tuple[str, ...]]:
        """See :class:`GeneratedTask`; of the first kind of facts of which there is enough."""
        missing = []
        for facts in FACTS if self.facts is None else (self.facts,):
            found = read(encoder, facts, offered)
            needed = {"templates": 1, **{kind: sum(least.values()) for kind, least in self.least.items()}}
            short = [f"{len(found[kind])} of {n} {kind}" for kind, n in needed.items() if len(found[kind]) < n]
            if not short:
                return found
            missing.append(f"{facts}: {', '.join(short)}")
        raise TaskError(
            f"too few words of recall_reasoning are one known token ({'; '.join(missing)}), where a template also "
            "needs two questions of one length; take another model or give examples of your own (task.data=FILE)"
        )

    def item(self, pool: Pool, number: int, rng: np.random.Generator) -> Item | None:
        """See :class:`GeneratedTask`. Modes, templates, layouts and, where the pool has them, pairs go in turn."""
        templates = pool["templates"]
        turn, mode = divmod(number, 2) if self.mode == BOTH else (number, MODES.index(self.mode))
        pairs = pool.get("pairs")
        subjects = pairs[number % len(pairs)].split("|") if pairs else None
        round_, which = divmod(turn, len(templates))
        story = draw(pool, templates[which], MODES[mode], (round_ + which) % 4, rng, subjects)
        return self._item(story, pool, rng) if story else None

    def _item(self, story: Story, pool: Pool, rng: np.random.Generator) -> StoryItem | None:
        others = {}
        for name, make in COUNTERFACTUALS.items():
            changed = make(story, pool, rng)
            if changed is None:
                return None
            others[name] = changed.prompt(self.causal_model)
        labels = (("templates", story.template), *(("subjects", name) for name in story.subjects))
        clean = story.prompt(self.causal_model)
        return StoryItem(clean, story.wrong, story.template, story.cluster, others, labels, story=story)

    def _draw(self, encoder: Encoder, pool: Pool, n: int, rng: np.random.Generator, split: str) -> list[Item]:
        """``n`` examples; with both modes each is followed by its match, the other question about the same facts."""
        pairs = ["|".join(pair) for pair in subject_pairs(pool["subjects"])]
        pool = {**pool, "pairs": tuple(pairs[i] for i in rng.permutation(len(pairs)))}
        if self.mode != BOTH:
            return super()._draw(encoder, pool, n, rng, split)
        items = super()._draw(encoder, pool, (n + 1) // 2, rng, split)
        return [item for first in items for item in (first, self._match(first, pool, rng))][:n]

    def _match(self, item: Item, pool: Pool, rng: np.random.Generator) -> Item:
        """The other question about an example's facts; as long, since the example's counterfactual ``mode`` is."""
        assert isinstance(item, StoryItem) and item.story is not None
        found = self._item(other_question(item.story), pool, rng)
        assert found is not None, "words apart from a story are apart from its match"
        return found
