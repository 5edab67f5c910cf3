"""The task ``hallucination``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from bench.task import DataRequest, TaskError
from tasks._common.generated import GeneratedTask
from tasks._common.items import Item, Pool, one
from tasks._common.tokens import Encoder
from tasks.hallucination.causal import HallucinationCausalModel
from tasks.hallucination.facts import FACTS, PEOPLE, Fact
from tasks.hallucination.prompts import COUNTERFACTUALS, Case, draw
from tasks.hallucination.templates import (
    CONFLICT,
    CONTEXT,
    COPY,
    KIND_OF,
    KINDS,
    MEMORY,
    PREMISE,
    RECALL,
    SETTINGS,
    TEMPLATES,
)
from tasks.hallucination.vocabulary import read_vocabulary

CELLS = (
    (CONFLICT, CONTEXT), (PREMISE, PREMISE), (RECALL, MEMORY), (CONFLICT, MEMORY), (PREMISE, MEMORY), (COPY, CONTEXT),
)  # fmt: skip
"""Settings and sources of the answer, by turns."""


@dataclass
class Hallucination(GeneratedTask):
    """Context or memory: "Tom says that people in Paris speak Dutch. As Tom knows, people in Paris speak" -> French.

    The generator knows where each answer comes from: the text (``context``), the weights (``memory``) or a premise of
    the question (``premise``). Two settings, and two that show what else a change breaks:

    - ``conflict``: the text contradicts memory. A cue decides: after "As Tom claims" comes what the text says (Dutch),
      after "As Tom knows" what is so (French). Right is the answer of the source that the cue names, wrong the other's.
    - ``premise``: the question puts its subject into a false country. "The people in Paris, the capital of Spain,
      speak" -> Spanish: what belongs to the false object misleads. "The people in Paris, no part of Spain, speak" ->
      French. Right and wrong are the premise's answer and memory's, in this order, or the other way round.
    - ``recall``: plain recall, "As Tom knows, people in Paris speak" -> French; wrong is any other language.
    - ``copy``: plain copying, where memory holds nothing of the subject: "Tom says that people like Ann speak Dutch.
      As Tom claims, people like Ann speak" -> Dutch; wrong is any other language.

    Labels, in ``values``: ``source`` (context, memory, premise) and ``hallucinated``, which says whether the answer
    goes against what it ought to rest on: in ``conflict`` the text (yes where memory's answer stands against it, as
    faithfulness to a given document is judged), in ``premise`` the facts (yes where a false premise is followed). They
    label the answer that is counted as right, so they tell what a model did where it gives that answer. ``values``
    also has what the text, memory and the premise hold (``context``, ``memory``, ``premise``), used or not.

    Sources: ReDeEP, arXiv:2410.11414 (context against parametric knowledge), FAITH, arXiv:2402.19103 (false-premise
    heads) and PH3, arXiv:2402.18154 (memory heads and context heads); templates and fillers are our own.
    Accuracy is the share of examples whose answer has a larger logit than the wrong answer; chance is .5, and a model
    that always copies, or always recalls, gets it too on ``conflict``. The gate is .75 on test, halfway up from
    chance.

    Fillers. Facts (capital, country, language: every word in one fact alone) are used where each word is one token,
    the language the same one in the text and as the answer; people where they are one token. Facts and people are
    dealt to the splits and belong to one each. Where the request carries a model, templates are screened on prompts
    of train, then facts, each among train's; the best template of a kind, and the best facts that a split cannot do
    without, stay in any case.

    Named positions: S1 and S (the subject's first and last mention; one and the same in premise and recall), CUE, TOLD
    (the language or country that the text states; in recall, the person) and END, the last token.

    Counterfactuals: ``everything`` (other people, subject and statement, and the cue for the other source),
    ``cue`` (the deciding cue alone), ``context`` (the statement), ``subject`` (the subject, so that memory's answer
    changes), ``agree`` (text and memory agree), ``true_premise`` (the statement is true), ``random`` (a prompt of the
    same template drawn afresh, with other people, subject and statement). Where a setting lacks what one changes, it
    words the prompt another way, and the answer stays: another person in recall and, in copy, for ``cue``.
    """

    setting: str = "all"
    """``all``, or one of conflict, premise, recall and copy."""
    templates: Sequence[str] | None = None
    """Keys of :data:`tasks.hallucination.templates.TEMPLATES`; all that fit the setting where None."""
    facts: Sequence[Sequence[str]] | None = None
    """Triples of country, capital and language; the table of :mod:`tasks.hallucination.facts` where None."""
    people: Sequence[str] | None = None
    screen_share: float = 0.75
    screen_prompts: int = 12
    """Screening prompts per template and per fact; 0 switches screening off."""

    name = "hallucination"
    version = "1"
    source = "Sun et al. 2024, arXiv:2410.11414; Yuan et al. 2024, arXiv:2402.19103; Jin et al. 2024, arXiv:2402.18154"
    counterfactuals = tuple(COUNTERFACTUALS)
    default_counterfactual = "everything"
    gate = 0.75
    chance = "accuracy .5 between the answers of the two sources"
    causal_model = HallucinationCausalModel()
    least: ClassVar[Mapping[str, Mapping[str, int]]] = {
        "facts": {"train": 5, "validation": 5, "test": 7},
        "people": {"train": 4, "validation": 4, "test": 6},
    }
    screened = (*KINDS, "facts")
    least_screened = 1

    def offered(self) -> dict[str, tuple[str, ...]]:
        """See :class:`GeneratedTask`."""
        kinds = {KIND_OF[setting] for setting in self.settings()}
        chosen = self._templates(kinds)
        templates = {kind: tuple(t for t in chosen if TEMPLATES[t].kind == kind) for kind in KINDS}
        cues = dict.fromkeys(cue for t in chosen for words in TEMPLATES[t].cues.values() for cue in words)
        people = tuple(dict.fromkeys(self.people or PEOPLE))
        return {**templates, "cues": tuple(cues), "facts": tuple(self.table), "people": people}

    def settings(self) -> tuple[str, ...]:
        """The settings asked for."""
        if self.setting == "all":
            return SETTINGS
        if self.setting not in SETTINGS:
            raise TaskError(f"task.setting is {self.setting!r}; it is one of all, {', '.join(SETTINGS)}")
        return (self.setting,)

    @cached_property
    def table(self) -> dict[str, Fact]:
        """Facts by their city."""
        rows = [list(row) for row in self.facts or FACTS]
        for number, row in enumerate(rows, 1):
            if len(row) != 3 or not all(isinstance(word, str) and word for word in row):
                raise TaskError(f"task.facts, entry {number}: a country, its capital and its language are needed")
        seen: set[str] = set()
        for word in (word for row in rows for word in row):
            if word in seen:
                raise TaskError(f"task.facts: {word!r} is there twice; every word must stand in one fact alone")
            seen.add(word)
        return {row[1]: Fact(*row) for row in rows}

    def _templates(self, kinds: set[str]) -> tuple[str, ...]:
        chosen = tuple(self.templates or (name for name, template in TEMPLATES.items() if template.kind in kinds))
        for name in chosen:
            if name not in TEMPLATES:
                raise TaskError(f"hallucination has no template {name!r}; it has {', '.join(TEMPLATES)}")
            if TEMPLATES[name].kind not in kinds:
                raise TaskError(f"the template {name!r} has no use where task.setting is {self.setting}")
        return chosen

    def readable(self, encoder: Encoder, offered: Pool) -> dict[str, tuple[str, ...]]:
        """See :class:`GeneratedTask`."""
        return read_vocabulary(encoder, offered, self.table, self.settings())

    def item(self, pool: Pool, number: int, rng: np.random.Generator) -> Item | None:
        """See :class:`GeneratedTask`. Settings and sources take turns, and then each setting's templates."""
        cells = [cell for cell in CELLS if cell[0] in self.settings() and pool[KIND_OF[cell[0]]]]
        turn, at = divmod(number, len(cells))
        setting, decision = cells[at]
        templates = pool[KIND_OF[setting]]
        template = templates[turn % len(templates)]
        case, facts = draw(setting, template, decision, pool, rng), self.table
        others = {name: make(case, pool, rng).prompt(facts) for name, make in COUNTERFACTUALS.items()}
        labels = [
            (KIND_OF[setting], template),
            *(("facts", city) for city in (case.subject, case.told) if city in facts),
        ]
        return Item(case.prompt(facts), wrong(case, facts, pool, rng), template, case.cluster, others, tuple(labels))

    def _judge(
        self, encoder: Encoder, train: Pool, kind: str, word: str, request: DataRequest, rng: np.random.Generator
    ) -> float:
        """See :class:`GeneratedTask`; a template is judged in its own settings alone."""
        pool = {**train, **{other: () for other in KINDS if kind in KINDS and other != kind}}
        return super()._judge(encoder, pool, kind, word, request, rng)


def wrong(case: Case, facts: Mapping[str, Fact], pool: Pool, rng: np.random.Generator) -> str:
    """The answer of the source that was not asked; where there is none, another language of the split."""
    if case.setting in (CONFLICT, PREMISE):
        return facts[case.subject if case.decision != MEMORY else case.told].language
    return facts[one(rng, [city for city in pool["facts"] if city not in case.used()])].language
