"""The task ``greater_than``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.task import DataRequest, TaskData, TaskError
from tasks._common import Encoder, GeneratedTask, Item, Pool, load_examples, single
from tasks.greater_than.causal import GreaterThanCausalModel
from tasks.greater_than.fillers import CENTURIES, EVENTS, GOODS, NUMBERS
from tasks.greater_than.prompts import draw, others
from tasks.greater_than.reading import ends_in_century, example, read_numbers, read_years, start_of
from tasks.greater_than.templates import AFTER, DIRECTIONS, TEMPLATES, WORDS, YEARS

COUNTERFACTUALS: tuple[str, ...] = ("start_01", "flip", "beyond", "noun", "century", "random")
LEAST = {
    YEARS: {
        "nouns": {"train": 4, "validation": 3, "test": 4},
        "starts": {"train": 16, "validation": 8, "test": 16},
    },
    WORDS: {"nouns": {"train": 4, "validation": 3, "test": 4}},
}


@dataclass
class GreaterThan(GeneratedTask):
    """Greater-than: "The war lasted from the year 1732 to the year 17" -> 41 (a year above 32).

    Any year above the start may come. An example measures one of them, drawn at most 20 above the start, against the
    year that lies as far below it: the paper's difference between the probabilities of all years above and all years
    not above the start, reduced to a pair at matched distance. ``numbers: words`` has number words in place of years
    ("The number of books rose from three to" -> five, not one), for the many tokenizers that do not read a year as two
    tokens.

    Source: Hanna et al. 2023, "How does GPT-2 compute greater-than?", arXiv:2305.00586 (template "lasted", years of two
    tokens, the start 01; nouns and further templates are our own).
    Accuracy is the share of examples whose answer has a larger logit than the wrong answer; chance is .5 for a model
    without preferences. With the paper's prompts the right number is always the larger one, so that a model that always
    prefers the larger of two numbers would be right everywhere without looking at the start; ``directions: [after,
    before]`` asks as often for a smaller one ("The war ended in the year 1732 and started in the year 17" -> 23), and
    such a model is at .5. Years come in the paper's direction by default, number words in both. The gate is an accuracy
    of .75 on test, halfway up from chance.

    Fillers. A year is used where it is one token behind its century's, the same one at the start and as answer, in all
    centuries that are used; so tokenizers that read digits one by one or by threes cannot be asked about years. Number
    words are used where they are one token. Splits are disjoint in nouns and in starting years (number words are too
    few to be dealt); a cluster is a template in one direction from one start.

    Screening drops templates, then nouns, on which the model is right in less than ``screen_share`` of
    ``screen_prompts`` prompts; templates are judged on train alone, nouns of every split in train's templates and
    starts.

    Counterfactuals: ``start_01`` (the start is the year 01, or the lowest number word, and the highest where smaller
    numbers
    come: any other number may come, so that there is no answer; the paper's), ``flip`` (the direction words trade
    places, so that answer and wrong answer do), ``beyond`` (a start from which neither of the two numbers may come),
    ``noun`` (another
    noun: the answer stays), ``century`` (another century, years alone: the answer stays), ``random`` (an example of
    the same length drawn afresh, with another noun and start).
    """

    numbers: str = YEARS
    """``years`` or ``words``."""
    directions: Sequence[str] | None = None
    """``after``, ``before`` or both; where None, ``after`` with years and both with number words."""
    templates: Sequence[str] | None = None
    """Keys of :data:`tasks.greater_than.templates.TEMPLATES` for these numbers; all where None."""
    nouns: Sequence[str] | None = None
    """Nouns to choose from; the lists of :mod:`tasks.greater_than.fillers` where None. Likewise ``centuries``."""
    centuries: Sequence[str] | None = None
    screen_share: float = 0.75
    screen_prompts: int = 12
    """Screening prompts per template and per noun; 0 switches screening off."""

    name = "greater_than"
    version = "1"
    source = "Hanna et al. 2023, arXiv:2305.00586"
    counterfactuals = COUNTERFACTUALS
    default_counterfactual = "start_01"
    gate = 0.75
    chance = "accuracy .5 between a number above and one below; 1 for always the larger, unless both directions come"
    causal_model = GreaterThanCausalModel()
    screened = ("templates", "nouns")

    def __post_init__(self) -> None:
        if self.numbers not in TEMPLATES:
            raise ValueError(f"numbers={self.numbers}: use {YEARS} or {WORDS}")
        wrong = [direction for direction in self.directions or () if direction not in DIRECTIONS]
        if wrong:
            raise ValueError(f"directions: {wrong[0]!r} is none of {', '.join(DIRECTIONS)}")
        if self.numbers == WORDS:
            self.counterfactuals = tuple(name for name in COUNTERFACTUALS if name != "century")

    @property
    def least(self) -> Mapping[str, Mapping[str, int]]:  # type: ignore[override]
        """See :class:`GeneratedTask`; starting years are dealt, number words are too few."""
        return LEAST[self.numbers]

    @property
    def least_screened(self) -> int:  # type: ignore[override]
        """See :class:`GeneratedTask`: as many templates as the test split needs for its clusters."""
        return 2 if self.numbers == YEARS else 3

    def offered(self) -> dict[str, tuple[str, ...]]:
        """See :class:`GeneratedTask`."""
        known = TEMPLATES[self.numbers]
        templates = tuple(self.templates or known)
        unknown = [t for t in templates if t not in known]
        if unknown:
            offer = f"{self.numbers}; it has {', '.join(known)}"
            raise TaskError(f"greater_than has no template {unknown[0]!r} with {offer}")
        found = {"templates": templates, "nouns": tuple(self.nouns or (EVENTS if self.numbers == YEARS else GOODS))}
        if self.numbers == WORDS:
            return {**found, "ends": NUMBERS}
        return {**found, "centuries": tuple(self.centuries or CENTURIES)}

    def readable(self, encoder: Encoder, offered: Pool) -> dict[str, tuple[str, ...]]:
        """See :class:`GeneratedTask`."""
        noun = next((n for n in offered["nouns"] if encoder.knows(n)), offered["nouns"][0])
        templates = tuple(t for t in offered["templates"] if self._fits(encoder, t, noun))
        if not templates:
            raise TaskError(
                f"no template of greater_than with {self.numbers} can be read by this tokenizer: its words are unknown "
                f"or those for larger and smaller differ in length; take another model or give examples of your own "
                f"(task.data=FILE)"
            )
        found = {"templates": templates, "directions": self._directions()}
        if self.numbers == YEARS:
            found["centuries"], ends = read_years(encoder, templates[0], noun, offered["centuries"])
        else:
            ends = read_numbers(encoder, templates, noun, offered["ends"])
        frames = [example(self.numbers, t, "{}", ends[0]) for t in templates]
        return {**found, "nouns": single(encoder, offered["nouns"], frames), "ends": ends, "starts": ends[1:-1]}

    def own(self, encoder: Encoder, request: DataRequest) -> TaskData:
        """See :class:`GeneratedTask`: behind a century, the answer is a year without a space."""
        return load_examples(encoder, request, find_positions=start_of, glued=ends_in_century)

    def judging(self, train: Pool, kind: str, word: str) -> Pool:
        """See :class:`GeneratedTask`: a noun is judged beside two others."""
        if kind != "nouns":
            return super().judging(train, kind, word)
        return {**train, kind: (word, *[noun for noun in train[kind] if noun != word][:2])}

    def item(self, pool: Pool, number: int, rng: np.random.Generator) -> Item | None:
        """See :class:`GeneratedTask`. A template takes its directions by turns."""
        turn, at = divmod(number, len(pool["templates"]))
        template, directions = pool["templates"][at], pool["directions"]
        clean = draw(self.numbers, pool, template, directions[(turn + at) % len(directions)], rng)
        made = clean and others(clean, pool, rng)
        if not (clean and made):
            return None
        return Item(
            clean.prompt(),
            clean.wrong,
            template,
            f"{template}|{clean.direction}|{clean.century}{clean.start}",
            {name: other.prompt() for name, other in made.items()},
            (("templates", template), ("nouns", clean.noun)),
            glued=self.numbers == YEARS,
        )

    def _directions(self) -> tuple[str, ...]:
        default = (AFTER,) if self.numbers == YEARS else DIRECTIONS
        return tuple(dict.fromkeys(self.directions or default))

    def _fits(self, encoder: Encoder, template: str, noun: str) -> bool:
        """Whether all words of the template, the start apart, are known, and as many in both directions."""
        texts = [example(self.numbers, template, noun, "", "", direction) for direction in DIRECTIONS]
        return all(map(encoder.knows, texts)) and len({len(encoder.ids(text)) for text in texts}) == 1
