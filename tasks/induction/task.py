"""The task ``induction``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from bench.task import TaskError
from tasks._common import Encoder, GeneratedTask, Item, Pool, single
from tasks.induction.causal import InductionCausalModel
from tasks.induction.prompts import COUNTERFACTUALS, LONGEST, SHORTEST, draw
from tasks.induction.words import TRIGGERS, WORDS


@dataclass
class Induction(GeneratedTask):
    """Induction with trigger bigrams: "bird king stone ... moon river ... cup king" -> stone.

    A sequence of random words in which two triggers are each followed by an output of their own, drawn afresh for
    each prompt; at the end one of the triggers comes again, and the answer is the output that followed it. The wrong
    answer is the other trigger's output, so that "say what followed some trigger" is at chance. No other word comes
    twice. The trigger asked about is the first or the second of the text equally often, at random places.

    Source: Bietti et al. 2023, "Birth of a Transformer", arXiv:2306.00802 (there among text with the statistics of
    English characters, here among random words); Olsson et al. 2022, "In-context Learning and Induction Heads",
    arXiv:2209.11895. Accuracy is the share of examples whose answer has a larger logit than the wrong answer; chance
    is .5. The gate is .75 on test, halfway up from chance.

    Fillers. A trigger or word is used where it is one token, the same one inside the text, at its end and as the
    answer. Triggers (at least five for each split, as many as the paper has) and words are dealt to the splits and
    belong to one each. Where the request carries a model, lengths and triggers are screened on prompts of train (a
    trigger of validation or test among the triggers and words of train).

    Counterfactuals (see :mod:`tasks.induction.prompts`): ``bigrams``, the default, which changes every input of
    the mechanism; ``output``, ``trigger`` and ``order``, which change one each; ``first``, after which nothing is to be
    copied; and the control ``random``.
    """

    gate: float = 0.75
    lengths: Sequence[int] | None = None
    """Words of the prompts; 12, 14 and 16 where None."""
    triggers: Sequence[str] | None = None
    """Triggers to choose from; the list of :mod:`tasks.induction.words` where None. Likewise ``words``."""
    words: Sequence[str] | None = None
    screen_share: float = 0.75
    """Share of screening prompts that the model must get right with a template or filler to keep it."""
    screen_prompts: int = 12
    """Screening prompts per template or filler; 0 switches screening off."""

    name = "induction"
    version = "1"
    source = "Bietti et al. 2023, arXiv:2306.00802"
    counterfactuals = tuple(COUNTERFACTUALS)
    default_counterfactual = "bigrams"
    chance = "accuracy .5 between the outputs of the two triggers; about one in the vocabulary's size over all tokens"
    causal_model = InductionCausalModel()
    least: ClassVar[Mapping[str, Mapping[str, int]]] = {
        "triggers": {"train": 5, "validation": 5, "test": 5},
        "words": {"train": 16, "validation": 16, "test": 16},
    }
    screened: ClassVar[tuple[str, ...]] = ("lengths", "triggers")

    def offered(self) -> dict[str, tuple[str, ...]]:
        """See :class:`GeneratedTask`."""
        lengths = tuple(self.lengths or (12, 14, 16))
        for length in lengths:
            if not SHORTEST <= length <= LONGEST:
                raise TaskError(f"task.lengths has {length}; prompts have {SHORTEST} to {LONGEST} words")
        triggers, words = tuple(dict.fromkeys(self.triggers or TRIGGERS)), tuple(dict.fromkeys(self.words or WORDS))
        both = [word for word in triggers if word in words]
        if both:
            raise TaskError(f"{both[0]!r} is among task.triggers and among task.words; it can only be one of them")
        return {"lengths": tuple(map(str, lengths)), "triggers": triggers, "words": words}

    def readable(self, encoder: Encoder, offered: Pool) -> dict[str, tuple[str, ...]]:
        """See :class:`GeneratedTask`."""
        before, behind = offered["words"][0], offered["words"][-1]
        frames = (f"{before} {{}} {behind}", f"{before} {{}}")
        usable = {kind: single(encoder, offered[kind], frames) for kind in ("triggers", "words")}
        return {"lengths": offered["lengths"], **usable}

    def item(self, pool: Pool, number: int, rng: np.random.Generator) -> Item | None:
        """See :class:`GeneratedTask`."""
        lengths = pool["lengths"]
        length, which = lengths[number % len(lengths)], number // len(lengths) % 2
        clean = draw(pool, int(length), which, rng)
        others = {name: make(clean, pool, rng).prompt() for name, make in COUNTERFACTUALS.items()}
        return Item(
            clean.prompt(),
            wrong=clean.outputs[1 - which],
            template=f"{length} words",
            cluster="|".join(sorted(clean.outputs)),
            others=others,
            labels=(("lengths", length), ("triggers", clean.asked)),
        )
