"""The task ``mcqa``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.task import TaskError
from tasks._common import Encoder, GeneratedTask, Item, Pool, one
from tasks.mcqa.causal import MCQACausalModel
from tasks.mcqa.fillers import COLORS, THINGS
from tasks.mcqa.prompts import draw, others
from tasks.mcqa.reading import read
from tasks.mcqa.templates import LABELS, LAYOUTS, LETTERS, LINES, SEPARATORS, TEMPLATES, Style


@dataclass
class MCQA(GeneratedTask):
    """Multiple choice: "A box is brown. What color is the box? A. gray B. brown C. green D. black Answer:" -> B.

    The statement gives the answer away; what has to be found is the slot of the right option, and the label of that
    slot. Slot and label vary apart: labels are letters in order (``labels: letters``), letters drawn at random for each
    example (``random_letters``) or numbers in order (``numbers``), and counterfactuals move one and leave the other.
    ``options``, ``separator`` and ``layout`` are further mutations of the prompt. The wrong answer is the label of
    another slot.

    Source: Lieberum et al. 2023, "Does Circuit Analysis Interpretability Scale?", arXiv:2307.09458 (labels, their
    mutations, slots and labels apart); Wiegreffe et al. 2024, "Answer, Assemble, Ace", arXiv:2407.15018 (the task of
    copying colors, template "copy"). Other templates and the fillers are our own.
    Accuracy is the share of examples whose answer has a larger logit than the wrong answer; chance is .5: the right
    option is equally often in every slot, and the wrong one is any other (over all labels chance is one in the number
    of options). The gate is an accuracy of .75 on test, halfway up from chance.

    Fillers. Things and colors are used where they are one token in their place, labels where they are one token after
    "Answer:" and do not change how long the prompt is. Splits are disjoint in things and in colors, so every split
    needs as many colors as there are options; a cluster is a template with a thing and a color.

    Screening drops templates, then things, on which the model is right in less than ``screen_share`` of
    ``screen_prompts`` prompts; templates are judged on train alone, things of every split in train's templates and
    colors.

    Counterfactuals: ``color`` (the statement names the wrong option's color: slot, label and answer change), ``slot``
    (right and wrong option trade places: the color stays), ``label`` (their labels trade places: the slot stays, the
    answer changes), ``slot_label`` (both: the slot changes, the answer stays), ``random_letters`` (all labels are other
    letters: the slot stays), ``thing`` (another thing: the answer stays), ``random`` (an example of the same length
    drawn afresh, with another thing).
    """

    labels: str = LETTERS
    """``letters``, ``random_letters`` or ``numbers``."""
    options: int = 4
    """How many there are, 2 to 6."""
    separator: str = "."
    """What follows a label: ``.``, ``)`` or ``:``."""
    layout: str = LINES
    """``lines``, an option a line, or ``inline``."""
    templates: Sequence[str] | None = None
    """Keys of :data:`tasks.mcqa.templates.TEMPLATES`; all where None."""
    things: Sequence[str] | None = None
    """Things to choose from; the list of :mod:`tasks.mcqa.fillers` where None. Likewise ``colors``."""
    colors: Sequence[str] | None = None
    screen_share: float = 0.75
    screen_prompts: int = 12
    """Screening prompts per template and per thing; 0 switches screening off."""

    name = "mcqa"
    version = "1"
    source = "Lieberum et al. 2023, arXiv:2307.09458; Wiegreffe et al. 2024, arXiv:2407.15018"
    counterfactuals = ("color", "slot", "label", "slot_label", "random_letters", "thing", "random")
    default_counterfactual = "color"
    gate = 0.75
    chance = "accuracy .5 between the labels of two options; one in the number of options over all of them"
    causal_model = MCQACausalModel()
    screened = ("templates", "things")
    least_screened = 3

    def __post_init__(self) -> None:
        known = {"labels": tuple(LABELS), "separator": SEPARATORS, "layout": LAYOUTS}
        for name, values in known.items():
            if getattr(self, name) not in values:
                raise ValueError(f"{name}={getattr(self, name)}: use {', '.join(values)}")
        if not 2 <= self.options <= 6:
            raise ValueError(f"options={self.options}: use 2 to 6")

    @property
    def least(self) -> Mapping[str, Mapping[str, int]]:  # type: ignore[override]
        """See :class:`GeneratedTask`: as many colors as options, and things for 40 clusters of two templates."""
        things = max(5, -(-20 // self.options))
        return {
            "things": {"train": 4, "validation": 3, "test": things},
            "colors": {"train": self.options, "validation": self.options, "test": self.options},
        }

    @property
    def style(self) -> Style:
        """How options are labelled and laid out."""
        return Style(self.labels, self.options, self.separator, self.layout)

    def offered(self) -> dict[str, tuple[str, ...]]:
        """See :class:`GeneratedTask`."""
        templates = tuple(self.templates or TEMPLATES)
        unknown = [t for t in templates if t not in TEMPLATES]
        if unknown:
            raise TaskError(f"mcqa has no template {unknown[0]!r}; it has {', '.join(TEMPLATES)}")
        things, colors = tuple(self.things or THINGS), tuple(self.colors or COLORS)
        return {"templates": templates, "things": things, "colors": colors, "labels": LABELS[self.labels]}

    def readable(self, encoder: Encoder, offered: Pool) -> dict[str, tuple[str, ...]]:
        """See :class:`GeneratedTask`."""
        return read(encoder, self.style, offered)

    def judging(self, train: Pool, kind: str, word: str) -> Pool:
        """See :class:`GeneratedTask`: a thing is judged beside one other."""
        if kind != "things":
            return super().judging(train, kind, word)
        return {**train, kind: (word, next(thing for thing in train[kind] if thing != word))}

    def item(self, pool: Pool, number: int, rng: np.random.Generator) -> Item | None:
        """See :class:`GeneratedTask`. A template has the right option in every slot by turns."""
        turn, at = divmod(number, len(pool["templates"]))
        template, slot = pool["templates"][at], (turn + at) % self.options
        clean = draw(self.style, pool, template, slot, rng)
        wrong = one(rng, [other for other in range(self.options) if other != slot])
        return Item(
            clean.prompt(),
            clean.labels[wrong],
            template,
            f"{template}|{clean.thing}|{clean.color}",
            {name: other.prompt() for name, other in others(clean, wrong, pool, rng).items()},
            (("templates", template), ("things", clean.thing)),
        )
