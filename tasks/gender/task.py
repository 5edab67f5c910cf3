"""The task ``gender``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from bench.task import DataRequest, TaskData, TaskError
from tasks._common import Encoder, GeneratedTask, Item, Pool, Prompt, fill, load_examples, one, single
from tasks.gender.causal import FEMALE, GENDERS, MALE, PRONOUNS, GenderCausalModel
from tasks.gender.fillers import FEMALE as FEMALE_NAMES
from tasks.gender.fillers import MALE as MALE_NAMES
from tasks.gender.fillers import PLACES
from tasks.gender.templates import CASES, TEMPLATES, ending, text, words

CAUSAL = GenderCausalModel()
OTHER = {FEMALE: MALE, MALE: FEMALE}


@dataclass(frozen=True)
class Words:
    """What one prompt is made of."""

    template: str
    gender: str
    name: str
    case: str
    place: str

    def prompt(self) -> Prompt:
        """The prompt as text, with its pronoun and values."""
        said = {"N": self.name, "PLACE": self.place, "E": ending(self.template, self.case)}
        filled, spans = fill(text(self.template), said)
        values = CAUSAL.values(self.name, self.gender, self.case)
        return Prompt(filled, values["P"], values, {"NAME": spans["N"]})


@dataclass
class Gender(GeneratedTask):
    """Pronouns by gender: "One day, Mary went to the park because" -> she.

    A sentence names one person, and ends where a pronoun comes for that person: a subject ("... because" -> she, he) or
    a possessive ("... with" -> her, his). The wrong answer is the pronoun of the other gender in the same case.

    Source: Mathwin et al. 2023, "Identifying a Preliminary Circuit for Predicting Gendered Pronouns in GPT-2 Small"
    (names, "she" against "he"), after the causal mediation of gender by Vig et al. 2020, arXiv:2004.12265. Templates
    and names are our own; names that girls and boys share are left out. That models follow names in this way is what is
    explained here, not a claim about people.
    Accuracy is the share of examples whose answer has a larger logit than the wrong answer; chance is .5: genders and
    cases are equally frequent in every template. The gate is an accuracy of .75 on test, halfway up from chance.

    Fillers. Names and places are used where they are one token in their place; templates with words that the tokenizer
    does not know, or whose two endings differ in length, are out. Splits are disjoint in names and in places, and a
    cluster is a template with a name.

    Screening drops templates, then names, on which the model is right in less than ``screen_share`` of
    ``screen_prompts`` prompts; templates are judged on train alone, names of every split in train's templates and
    places.

    Counterfactuals: ``gender`` (a name of the other gender: answer and wrong answer trade places), ``name`` (another
    name of the same gender: the answer stays), ``case`` (the other ending: she becomes her), ``gender_case`` (both),
    ``random`` (an example of the same length drawn afresh, with another name).
    """

    templates: Sequence[str] | None = None
    """Keys of :data:`tasks.gender.templates.TEMPLATES`; all where None."""
    female: Sequence[str] | None = None
    """Names to choose from; the lists of :mod:`tasks.gender.fillers` where None. Likewise ``male`` and ``places``."""
    male: Sequence[str] | None = None
    places: Sequence[str] | None = None
    screen_share: float = 0.75
    screen_prompts: int = 12
    """Screening prompts per template and per name; 0 switches screening off."""

    name = "gender"
    version = "1"
    source = "Mathwin et al. 2023; Vig et al. 2020, arXiv:2004.12265"
    counterfactuals = ("gender", "name", "case", "gender_case", "random")
    default_counterfactual = "gender"
    gate = 0.75
    chance = "accuracy .5 between the pronouns of the two genders"
    causal_model = CAUSAL
    least: ClassVar[Mapping[str, Mapping[str, int]]] = {
        FEMALE: {"train": 4, "validation": 3, "test": 5},
        MALE: {"train": 4, "validation": 3, "test": 5},
        "places": {"train": 2, "validation": 2, "test": 2},
    }
    screened = ("templates", FEMALE, MALE)
    least_screened = 5

    def offered(self) -> dict[str, tuple[str, ...]]:
        """See :class:`GeneratedTask`."""
        templates = tuple(self.templates or TEMPLATES)
        unknown = [t for t in templates if t not in TEMPLATES]
        if unknown:
            raise TaskError(f"gender has no template {unknown[0]!r}; it has {', '.join(TEMPLATES)}")
        female, male = tuple(self.female or FEMALE_NAMES), tuple(self.male or MALE_NAMES)
        both = sorted({*female} & {*male})
        if both:
            raise TaskError(f"the name {both[0]!r} is in task.female and in task.male; leave it out of one")
        return {"templates": templates, FEMALE: female, MALE: male, "places": tuple(self.places or PLACES)}

    def readable(self, encoder: Encoder, offered: Pool) -> dict[str, tuple[str, ...]]:
        """See :class:`GeneratedTask`."""
        place = next((p for p in offered["places"] if encoder.knows(p)), offered["places"][0])
        name = next((n for n in offered[FEMALE] if encoder.knows(n)), offered[FEMALE][0])
        templates = tuple(t for t in offered["templates"] if _readable(encoder, Words(t, FEMALE, name, "", place)))
        if not templates:
            raise TaskError(
                "no template of gender can be read by this tokenizer: its words are unknown to it, or she, he, her and "
                "his are not one token each; take another model or give examples of your own (task.data=FILE)"
            )
        named = [_frame(t, "{}", place) for t in templates]
        placed = [frame for t in templates if "{}" in (frame := _frame(t, name, "{}"))]
        genders = {gender: single(encoder, offered[gender], named) for gender in GENDERS}
        places = single(encoder, offered["places"], placed) if placed else offered["places"]
        return {"templates": templates, **genders, "places": places}

    def own(self, encoder: Encoder, request: DataRequest) -> TaskData:
        """See :class:`GeneratedTask`; the name is found where a prompt has one of the task's."""
        return load_examples(encoder, request, find_positions=self._name)

    def judging(self, train: Pool, kind: str, word: str) -> Pool:
        """See :class:`GeneratedTask`: a name is judged beside one other of its gender, in prompts of that gender."""
        if kind not in GENDERS:
            return super().judging(train, kind, word)
        beside = next(name for name in train[kind] if name != word)
        return {**train, kind: (word, beside), "genders": (kind,)}

    def _name(self, prompt: str, answer: str, wrong: str) -> dict[str, tuple[int, int]] | None:
        """The name in somebody's own prompt; None where there is none or several."""
        offered = self.offered()
        names = {*offered[FEMALE], *offered[MALE]}
        found = [match.span() for match in re.finditer(r"\w+", prompt) if match.group() in names]
        return {"NAME": found[0]} if len(found) == 1 else None

    def item(self, pool: Pool, number: int, rng: np.random.Generator) -> Item | None:
        """See :class:`GeneratedTask`. Every four examples of a template show both genders in both cases."""
        turn, at = divmod(number, len(pool["templates"]))
        combination = (turn + at) % 4
        genders = pool.get("genders", GENDERS)
        gender, case = genders[combination % len(genders)], CASES[combination // 2]
        template = pool["templates"][at]
        clean = Words(template, gender, one(rng, pool[gender]), case, one(rng, pool["places"]))
        other_case = CASES[1 - CASES.index(case)]
        flipped = replace(clean, gender=OTHER[gender], name=one(rng, pool[OTHER[gender]]))
        others = {
            "gender": flipped,
            "name": replace(clean, name=_another(clean.name, pool[gender], rng)),
            "case": replace(clean, case=other_case),
            "gender_case": replace(flipped, case=other_case),
            "random": _random(clean, pool, rng),
        }
        return Item(
            clean.prompt(),
            PRONOUNS[OTHER[gender], case],
            template,
            f"{template}|{clean.name}",
            {name: other.prompt() for name, other in others.items()},
            (("templates", template), (gender, clean.name)),
        )


def _random(clean: Words, pool: Pool, rng: np.random.Generator) -> Words:
    template = one(rng, [t for t in pool["templates"] if words(t) == words(clean.template)])
    gender = one(rng, GENDERS)
    name = _another(clean.name, pool[gender], rng)
    return Words(template, gender, name, one(rng, CASES), _another(clean.place, pool["places"], rng))


def _another(word: str, among: Sequence[str], rng: np.random.Generator) -> str:
    return one(rng, [other for other in among if other != word])


def _frame(template: str, name: str, place: str) -> str:
    return fill(text(template), {"N": name, "PLACE": place, "E": ending(template, CASES[0])})[0]


def _readable(encoder: Encoder, words: Words) -> bool:
    """Whether all words are known, both endings make equally long prompts, and all four pronouns are one token."""
    texts = {case: replace(words, case=case).prompt().text for case in CASES}
    if not all(map(encoder.knows, texts.values())) or len({len(encoder.ids(t)) for t in texts.values()}) > 1:
        return False
    try:
        tokens = [encoder.answer(texts[case], pronoun) for (_, case), pronoun in PRONOUNS.items()]
    except TaskError:
        return False
    return len(set(tokens)) == len(tokens)
