"""The task ``sva``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.task import TaskError
from tasks._common import Encoder, GeneratedTask, Item, Pool, fill, single
from tasks.sva.causal import NUMBERS, VERBS, SVACausalModel
from tasks.sva.fillers import NOUNS, PEOPLE, THINGS
from tasks.sva.prompts import EITHER, OPPOSITE, Words, draw, flip, others
from tasks.sva.templates import ACROSS, SIMPLE, TENSES, kind, tense_word, text

COUNTERFACTUALS: tuple[str, ...] = ("number", "noun", "tense", "number_tense", "random")
LEAST = {
    "nouns": {"train": 4, "validation": 3, "test": 7},
    "things": {"train": 2, "validation": 2, "test": 2},
    "people": {"train": 2, "validation": 2, "test": 2},
}


@dataclass
class SVA(GeneratedTask):
    """Subject-verb agreement: "Mom says that the keys" -> are; with a distractor "... keys near the cabinet" -> are.

    A sentence ends after its subject, or after a second noun behind the subject, and the verb "to be" comes: is, are,
    was or were. The beginning sets the tense. The wrong answer is the verb of the other number in the same tense.

    Source: Linzen et al. 2016, arXiv:1611.01368 (agreement and attractors); Finlayson et al. 2021, arXiv:2106.06087
    (counterfactual subjects and attractors); Marks et al. 2024, arXiv:2403.19647 (simple, across a prepositional
    phrase, across a relative clause). Templates and nouns are our own. The variant that runs by default is the simple
    one, ``distractor: false``: no noun between subject and verb. With ``distractor: true`` there is one, of the other
    number (``attractor: opposite``, the hard case: agreeing with the nearer noun is always wrong) or of either,
    balanced (``attractor: either``: agreeing with the nearer noun is at chance).
    Accuracy is the share of examples whose answer has a larger logit than the wrong answer; chance is .5: numbers and
    tenses are equally frequent in every template. The gate is an accuracy of .75 on test in the variant that is run,
    halfway up from chance.

    Fillers. A noun is used where its singular and its plural are one token in their place; templates with words that
    the tokenizer does not know, or whose two tenses differ in length, are out. Splits are disjoint in nouns of all
    three kinds (subjects, things, people), and a cluster is a template with a subject.

    Screening drops templates, then subjects, on which the model is right in less than ``screen_share`` of
    ``screen_prompts`` prompts; templates are judged on train alone, subjects of every split in train's templates.

    Counterfactuals: ``number`` (the subject's number is the other one: answer and wrong answer trade places), ``noun``
    (another subject in the same number: the answer stays), ``tense`` (the beginning sets the other tense: are becomes
    were), ``number_tense`` (both), with a distractor ``attractor`` (the second noun's number is the other one: the
    answer stays), and ``random`` (an example of the same length drawn afresh, with another subject).
    """

    distractor: bool = False
    """Whether a second noun stands between subject and verb."""
    attractor: str = OPPOSITE
    """Its number: ``opposite`` to the subject's, or ``either``."""
    templates: Sequence[str] | None = None
    """Keys of :data:`tasks.sva.templates.SIMPLE` or, with a distractor, ``ACROSS``; all where None."""
    nouns: Sequence[str] | None = None
    """Subjects as ``singular/plural``; the list of :mod:`tasks.sva.fillers` where None. Likewise the second nouns,
    ``things`` and ``people``."""
    things: Sequence[str] | None = None
    people: Sequence[str] | None = None
    screen_share: float = 0.75
    screen_prompts: int = 12
    """Screening prompts per template and per subject; 0 switches screening off."""

    name = "sva"
    version = "1"
    source = "Linzen et al. 2016, arXiv:1611.01368; Marks et al. 2024, arXiv:2403.19647"
    counterfactuals = COUNTERFACTUALS
    default_counterfactual = "number"
    gate = 0.75
    chance = "accuracy .5 between the verbs of the two numbers"
    causal_model = SVACausalModel()
    screened = ("templates", "nouns")
    least_screened = 7

    def __post_init__(self) -> None:
        if self.attractor not in (OPPOSITE, EITHER):
            raise ValueError(f"attractor={self.attractor}: use {OPPOSITE} or {EITHER}")
        if self.distractor:
            self.counterfactuals = (*COUNTERFACTUALS[:-1], "attractor", "random")

    @property
    def least(self) -> Mapping[str, Mapping[str, int]]:  # type: ignore[override]
        """See :class:`GeneratedTask`; second nouns are needed where the templates have them."""
        seconds = {kind(template) for template in self._templates()}
        return {words: needed for words, needed in LEAST.items() if words == "nouns" or words in seconds}

    def offered(self) -> dict[str, tuple[str, ...]]:
        """See :class:`GeneratedTask`."""
        nouns = {"nouns": self.nouns or NOUNS, "things": self.things or THINGS, "people": self.people or PEOPLE}
        found = {words: tuple(nouns[words]) for words in self.least}
        for words, pairs in found.items():
            wrong = [pair for pair in pairs if len(pair.split("/")) != 2]
            if wrong:
                raise TaskError(f"task.{words}: {wrong[0]!r} is no noun as singular/plural, such as key/keys")
        return {"templates": self._templates(), **found}

    def readable(self, encoder: Encoder, offered: Pool) -> dict[str, tuple[str, ...]]:
        """See :class:`GeneratedTask`."""
        first = {words: next((n for n in pairs if _known(encoder, n)), pairs[0]) for words, pairs in offered.items()}
        templates = tuple(t for t in offered["templates"] if _readable(encoder, _example(t, first)))
        if not templates:
            raise TaskError(
                "no template of sva can be read by this tokenizer: its words are unknown to it, or is, are, was and "
                "were are not one token each; take another model or give examples of your own (task.data=FILE)"
            )
        slots = {"nouns": "S", "things": "A", "people": "A"}
        found = {}
        for words in self.least:
            having = [t for t in templates if words in ("nouns", kind(t))]
            frames = [_frame(_example(t, first), slots[words]) for t in having]
            forms = [single(encoder, [n.split("/")[i] for n in offered[words]], frames) for i in range(2)]
            found[words] = tuple(n for n in offered[words] if all(f in forms[i] for i, f in enumerate(n.split("/"))))
        return {"templates": templates, **found}

    def judging(self, train: Pool, kind: str, word: str) -> Pool:
        """See :class:`GeneratedTask`: a subject is judged beside one other."""
        if kind != "nouns":
            return super().judging(train, kind, word)
        return {**train, kind: (word, next(noun for noun in train[kind] if noun != word))}

    def item(self, pool: Pool, number: int, rng: np.random.Generator) -> Item | None:
        """See :class:`GeneratedTask`. Every four (eight) examples of a template show each combination once."""
        turn, at = divmod(number, len(pool["templates"]))
        template, step = pool["templates"][at], turn + at
        agreeing = self.attractor == EITHER and step // 4 % 2 == 1
        clean = draw(pool, template, NUMBERS[step % 2], TENSES[step // 2 % 2], agreeing, rng)
        return Item(
            clean.prompt(),
            VERBS[flip(clean.number, NUMBERS), clean.tense],
            template,
            f"{template}|{clean.subject}",
            {name: other.prompt() for name, other in others(clean, pool, self.attractor, rng).items()},
            (("templates", template), ("nouns", clean.subject)),
        )

    def _templates(self) -> tuple[str, ...]:
        known = ACROSS if self.distractor else SIMPLE
        templates = tuple(self.templates or known)
        unknown = [t for t in templates if t not in known]
        if unknown:
            variant = f"distractor: {str(self.distractor).lower()}"
            raise TaskError(f"sva has no template {unknown[0]!r} with {variant}; it has {', '.join(known)}")
        return templates


def _known(encoder: Encoder, noun: str) -> bool:
    return all(map(encoder.knows, noun.split("/")))


def _example(template: str, nouns: Mapping[str, str]) -> Words:
    second = kind(template)
    more = (nouns[second], NUMBERS[0]) if second else ("", "")
    return Words(template, nouns["nouns"], NUMBERS[0], TENSES[0], *more)


def _frame(words: Words, slot: str) -> str:
    said = {"T": tense_word(words.template, words.tense), "S": words.subject.split("/")[0]}
    said |= {"A": words.attractor.split("/")[0], slot: "{}"}
    return fill(text(words.template), said)[0]


def _readable(encoder: Encoder, words: Words) -> bool:
    """Whether all words are known, both tenses make equally long prompts, and all four verbs are one token."""
    texts = [Words(**{**vars(words), "tense": tense}).prompt().text for tense in TENSES]
    if not all(map(encoder.knows, texts)) or len({len(encoder.ids(t)) for t in texts}) > 1:
        return False
    try:
        return len({encoder.answer(text, verb) for text in texts for verb in VERBS.values()}) == len(VERBS)
    except TaskError:
        return False
