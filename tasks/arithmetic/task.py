"""The task ``arithmetic``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from bench.task import DataRequest, TaskData, TaskError
from tasks._common import Encoder, GeneratedTask, Item, Pool, Prompt, fill, load_examples, one
from tasks.arithmetic.causal import OPERATORS, ArithmeticCausalModel
from tasks.arithmetic.problems import Operands, askable, grid, offered
from tasks.arithmetic.templates import STYLES, TEMPLATES
from tasks.arithmetic.vocabulary import read_vocabulary

SPARE = 1.7
"""Different prompts that a tokenizer must be able to read, for each example of the default sizes."""
COUNTERFACTUALS = ("both", "operand1", "operand2", "random")


@dataclass
class Arithmetic(GeneratedTask):
    """Arithmetic with one operator: "12 + 7 =" -> 19.

    Two operands, one operator (``+``, ``-`` or ``*``), results from 0 on. The wrong answer is the result of the
    counterfactual ``both``, at most ``within`` from the right one, so that knowing about how large the result is does
    not do, and so that right and wrong answers come from the same numbers.

    Source: Nikankin et al. 2024, "Arithmetic Without Algorithms", arXiv:2410.21272; Stolfo et al. 2023,
    arXiv:2305.15054 (templates are our own, in their manner). Accuracy is the share of examples whose answer has
    a larger logit than the wrong answer; chance is .5. The gate is .75 on test, halfway up from chance.

    Numbers. Operands and results are one known token each. Numbers are written in digits; where a tokenizer leaves
    too few problems so, in digits without any space ("12+7="), and where that leaves too few, in words ("The sum of
    twelve and seven is"). Templates with unknown words are out, and so are those that read so few problems that more
    prompts are left without them. Problems are dealt to the splits (12 + 7 and 7 + 12 are one) and are the clusters;
    the operands of one split also occur in others, as there are not enough numbers. Where the request carries a
    model, templates are screened on prompts of train.

    Counterfactuals, all of problems of the same split: ``both``, the default, changes both operands, ``operand1`` and
    ``operand2`` the first and the second one; ``random`` is a control, a problem with other operands, drawn afresh
    in any template as long. All change the result.
    """

    gate: float = 0.75
    operator: str = "+"
    """``+``, ``-`` or ``*``."""
    largest: int = 99
    """The largest operand."""
    within: int = 10
    """How far the wrong answer is at most from the right one."""
    style: str | None = None
    """How numbers are written: ``digits``, ``compact`` or ``spelled``; the first that a tokenizer can read if None."""
    templates: Sequence[str] | None = None
    """Keys of :data:`tasks.arithmetic.templates.TEMPLATES`; all where None."""
    screen_share: float = 0.75
    """Share of screening prompts that the model must get right with a template or filler to keep it."""
    screen_prompts: int = 12
    """Screening prompts per template or filler; 0 switches screening off."""

    name = "arithmetic"
    version = "1"
    source = "Nikankin et al. 2024, arXiv:2410.21272"
    counterfactuals = COUNTERFACTUALS
    default_counterfactual = "both"
    causal_model = ArithmeticCausalModel()
    chance = "accuracy .5 between two results close to each other; about one in the vocabulary's size over all tokens"
    sizes: ClassVar[Mapping[str, int]] = {"train": 96, "validation": 40, "test": 140}
    least: ClassVar[Mapping[str, Mapping[str, int]]] = {"problems": {"train": 30, "validation": 20, "test": 49}}
    screened: ClassVar[tuple[str, ...]] = ("templates",)

    def __post_init__(self) -> None:
        self.causal_model = ArithmeticCausalModel(self.operator)

    def offered(self) -> dict[str, tuple[str, ...]]:
        """See :class:`GeneratedTask`."""
        if self.operator not in OPERATORS:
            raise TaskError(f"task.operator is {self.operator!r}; it can be {', '.join(OPERATORS)}")
        if self.style is not None and self.style not in STYLES:
            raise TaskError(f"task.style is {self.style!r}; it can be {', '.join(STYLES)}")
        if self.within < 1:
            raise TaskError(f"task.within is {self.within}; the wrong answer is at least 1 from the right one")
        names = tuple(self.templates or TEMPLATES)
        unknown = [name for name in names if name not in TEMPLATES]
        if unknown:
            raise TaskError(f"arithmetic has no template {unknown[0]!r}; it has {', '.join(TEMPLATES)}")
        names = tuple(name for name in names if self.style in (None, TEMPLATES[name].style))
        return {"templates": names, "problems": offered(self.largest, self.operator)}

    def readable(self, encoder: Encoder, offered: Pool) -> dict[str, tuple[str, ...]]:
        """See :class:`GeneratedTask`."""
        needed, prompts = sum(self.least["problems"].values()), int(SPARE * sum(self.sizes.values()))
        names, labels = offered["templates"], offered["problems"]
        templates, problems = read_vocabulary(encoder, names, labels, self.operator, needed, prompts)
        return {"templates": templates, "problems": problems}

    def item(self, pool: Pool, number: int, rng: np.random.Generator) -> Item | None:
        """See :class:`GeneratedTask`."""
        templates, problems = pool["templates"], pool["problems"]
        possible = askable(problems, self.operator, self.within)
        if not possible:
            return None
        label = list(possible)[number] if number < len(possible) else one(rng, list(possible))
        clean = one(rng, possible[label])
        whole, name = grid(problems, self.operator, self.within), templates[number % len(templates)]
        made = {kind: one(rng, found) for kind, found in whole.others(clean).items()}
        afresh = whole.afresh(clean, rng)
        if afresh is None:
            return None
        others = {kind: self._prompt(name, operands) for kind, operands in made.items()}
        others["random"] = self._prompt(one(rng, templates), afresh)
        return Item(
            self._prompt(name, clean),
            wrong=others["both"].answer,
            template=name,
            cluster=label,
            others=others,
            labels=(("templates", name),),
            glued=TEMPLATES[name].glued,
        )

    def own(self, encoder: Encoder, request: DataRequest) -> TaskData:
        """See :class:`GeneratedTask`; behind `12+7=`, without spaces, the result stands close too."""
        return load_examples(encoder, request, glued=lambda prompt: re.search(r"\d=$", prompt) is not None)

    def _prompt(self, name: str, operands: Operands) -> Prompt:
        """A problem in a template. The values are in digits, the answer as the template writes numbers."""
        template = TEMPLATES[name]
        words = {slot: template.number(n) for slot, n in zip("XY", operands, strict=True)}
        text, spans = fill(template.texts[self.operator], {**words, "OP": template.operators[self.operator]})
        values = self.causal_model.values(*operands)
        return Prompt(text, template.number(int(values["Z"])), values, spans)
