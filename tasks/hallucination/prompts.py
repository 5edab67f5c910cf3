"""One prompt, and the counterfactual prompts that belong to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tasks._common.items import Pool, Prompt, fill, one, pick
from tasks.hallucination.causal import HallucinationCausalModel
from tasks.hallucination.facts import Fact
from tasks.hallucination.templates import CONFLICT, CONTEXT, COPY, MEMORY, PREMISE, RECALL, TEMPLATES

CAUSAL = HallucinationCausalModel()


@dataclass(frozen=True)
class Case:
    """The words of a prompt. ``subject`` is a city, or a person of whom memory holds nothing.

    ``told`` is the city whose language (conflict, copy) or country (premise) the text states; none in recall.
    """

    setting: str
    template: str
    decision: str
    cue: str
    person: str
    subject: str
    told: str = ""

    def words(self, facts: Mapping[str, Fact]) -> dict[str, str]:
        """What fills the template's slots."""
        words = {"N": self.person, "CUE": self.cue, "S": self.subject}
        words["AT"] = "in" if self.subject in facts else "like"
        if self.setting == PREMISE:
            words["O"] = facts[self.told].country
        elif self.told:
            words["C"] = facts[self.told].language
        return words

    def values(self, facts: Mapping[str, Fact]) -> dict[str, str]:
        """The causal model's values."""
        memory = facts[self.subject].language if self.subject in facts else ""
        stated = facts[self.told].language if self.told else ""
        if self.setting == PREMISE:
            country = facts[self.told].country
            return CAUSAL.values(self.setting, self.decision, self.subject, "", memory, stated, country)
        return CAUSAL.values(self.setting, self.decision, self.subject, stated, memory)

    def prompt(self, facts: Mapping[str, Fact]) -> Prompt:
        """Text, answer, values, and the words at named positions: S1 and S (the subject's first and last mention),
        CUE, END, and TOLD (the language or country that the text states; in recall, the person)."""
        text, spans = fill(TEMPLATES[self.template].text, self.words(facts))
        told = spans.get("C") or spans.get("O") or spans["N"]
        named = {"S1": spans["S"], "S": spans.get("S#2", spans["S"]), "CUE": spans["CUE"], "TOLD": told}
        values = self.values(facts)
        return Prompt(text, CAUSAL.answer(values), values, named)

    @property
    def cluster(self) -> str:
        """Template, subject, and what the text states (in recall, the person)."""
        return "|".join((self.setting, self.template, self.subject, self.told or self.person))

    def used(self) -> set[str]:
        """Cities and people in the prompt."""
        return {self.person, self.subject, self.told}


def cues(template: str, decision: str, pool: Pool) -> tuple[str, ...]:
    """The template's cues for a source, of those in the pool."""
    return tuple(cue for cue in TEMPLATES[template].cues.get(decision, ()) if cue in pool["cues"])


def draw(setting: str, template: str, decision: str, pool: Pool, rng: np.random.Generator) -> Case:
    """A prompt with words of the pool, no two of them alike; text and memory differ, and the premise is false."""
    subject, told = pick(rng, pool["facts"], 2)
    person, other = pick(rng, pool["people"], 2)
    cue = one(rng, cues(template, decision, pool))
    case = Case(setting, template, decision, cue, person, other if setting == COPY else subject, told)
    return replace(case, told="") if setting == RECALL else case


def cue(case: Case, pool: Pool, rng: np.random.Generator) -> Case:
    """The cue decides for the other source; reworded in recall and copy, which have no other source."""
    if case.setting in (RECALL, COPY):
        return _reworded(case, pool, rng)
    decision = MEMORY if case.decision != MEMORY else PREMISE if case.setting == PREMISE else CONTEXT
    return replace(case, decision=decision, cue=one(rng, cues(case.template, decision, pool)))


def context(case: Case, pool: Pool, rng: np.random.Generator) -> Case:
    """The text states another language or (false) country; in recall it states nothing, and is reworded."""
    if case.setting == RECALL:
        return _reworded(case, pool, rng)
    return replace(case, told=_fresh(rng, pool["facts"], case)[0])


def subject(case: Case, pool: Pool, rng: np.random.Generator) -> Case:
    """Another subject: memory holds another answer (in copy, again none)."""
    return replace(case, subject=_fresh(rng, pool["people" if case.setting == COPY else "facts"], case)[0])


def agree(case: Case, pool: Pool, rng: np.random.Generator) -> Case:
    """No conflict: the text states what memory holds of the subject, by another statement (conflict), or of another
    subject (premise, copy); reworded in recall, where nothing is stated."""
    if case.setting == RECALL:
        return _reworded(case, pool, rng)
    if case.setting == CONFLICT:
        return replace(case, told=case.subject)
    return replace(_presupposed(case, pool, rng), subject=case.told)


def true_premise(case: Case, pool: Pool, rng: np.random.Generator) -> Case:
    """What the text states is true: of this subject (premise), or of another one (conflict, copy); as ``agree`` in
    recall."""
    if case.setting == RECALL:
        return _reworded(case, pool, rng)
    if case.setting == PREMISE:
        return replace(_presupposed(case, pool, rng), told=case.subject)
    return replace(case, subject=case.told)


def everything(case: Case, pool: Pool, rng: np.random.Generator) -> Case:
    """Other people, subject and statement, and the cue that decides for the other source (where there is one)."""
    return cue(_afresh(case, case.decision, pool, rng), pool, rng)


def random(case: Case, pool: Pool, rng: np.random.Generator) -> Case:
    """A control: a prompt of the same template drawn afresh, with other people, subject and statement."""
    sources = [source for source in TEMPLATES[case.template].cues if case.setting != COPY or source == CONTEXT]
    return _afresh(case, one(rng, sources), pool, rng)


Counterfactual = Callable[[Case, Pool, np.random.Generator], Case]

COUNTERFACTUALS: dict[str, Counterfactual] = {
    make.__name__: make for make in (everything, cue, context, subject, agree, true_premise, random)
}


def _presupposed(case: Case, pool: Pool, rng: np.random.Generator) -> Case:
    """In premise the cue that presupposes what is stated, since it cannot be denied of what is true."""
    if case.setting != PREMISE or case.decision == PREMISE:
        return case
    return cue(case, pool, rng)


def _reworded(case: Case, pool: Pool, rng: np.random.Generator) -> Case:
    """Another person says it with another cue for the same source, as far as there are others: nothing that matters."""
    others = [word for word in cues(case.template, case.decision, pool) if word != case.cue]
    return replace(case, person=_fresh(rng, pool["people"], case)[0], cue=one(rng, others) if others else case.cue)


def _afresh(case: Case, decision: str, pool: Pool, rng: np.random.Generator) -> Case:
    """Another prompt of the same template and setting that shares neither cities nor people with ``case``."""
    left = {**pool, **{kind: tuple(w for w in pool[kind] if w not in case.used()) for kind in ("facts", "people")}}
    return draw(case.setting, case.template, decision, left, rng)


def _fresh(rng: np.random.Generator, words: Sequence[str], case: Case) -> list[str]:
    """One word that the prompt does not hold, in a list."""
    return pick(rng, [word for word in words if word not in case.used()], 1)
