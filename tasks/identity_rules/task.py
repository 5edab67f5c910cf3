"""The task ``identity_rules``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.task import DataRequest, TaskData, TaskError
from tasks._common import Encoder, GeneratedTask, Item, Pool, Prompt, fill, load_examples, one, pick
from tasks._common.together import found, together
from tasks.identity_rules.causal import ABA, ABB, IdentityRulesCausalModel
from tasks.identity_rules.fillers import LETTERS, WORDS
from tasks.identity_rules.templates import TEMPLATES, glued

Pairs = list[tuple[str, str]]
"""The first two words of each item, and of the query, which comes last."""


@dataclass
class IdentityRules(GeneratedTask):
    """Identity rules: "cat^dog^cat / pen^cup^pen / hat^box^" (a line each) -> hat.

    In every item the third word repeats the first (ABA) or the second (ABB); the answer follows the same rule. Items
    follow one rule within a prompt, and share no words.

    Source: Yang et al. 2025, "Emergent Symbolic Mechanisms Support Abstract Reasoning in Large Language Models",
    arXiv:2502.20332 (the template ``caret`` and the pairs of contexts; words and the other templates are our own;
    the paper draws its tokens from the whole vocabulary, and has two items). Accuracy is the share of examples where
    the answer has a larger logit than the query's other word; chance is .5. The gate is .75, halfway up: below that a
    model mostly guesses, or says the same slot whatever the rule.

    Fillers. A word is used where it is the same one token in every slot and as the answer, in every template that is
    kept; a template that leaves too few words is out, and where no template reads enough words, letters stand for
    them. Words are dealt to the splits; then, where the request carries a model, templates are screened on prompts of
    train, and words on such prompts with the word in the query.

    Counterfactuals:

    - ``abstract``: the first two words of every item exchanged, so that its third word stays and its role changes:
      the rule flips, and with it the answer;
    - ``abstract_query``: the query's words exchanged too, so that the rule flips and the answer stays (the paper's
      pair of contexts for symbol abstraction);
    - ``token``: the same rule with other words (the paper's pair for retrieval);
    - ``query``: the query's words exchanged: the same rule, the other answer;
    - ``random``: a control, an example drawn afresh with other words.

    Examples of one's own (``DataRequest.source``) are taken as they are; in those that read like a template here the
    positions are found.
    """

    gate: float = 0.75
    shots: int = 2
    """Items before the query; natural models may need more."""
    aba: float = 0.5
    """Share of ABA prompts; at another share than a half, saying the same slot always beats chance."""
    templates: Sequence[str] | None = None
    """Keys of :data:`tasks.identity_rules.templates.TEMPLATES`; all where None."""
    words: Sequence[str] | None = None
    """Words to choose from; the words, or else the letters, of :mod:`tasks.identity_rules.fillers` where None."""
    screen_share: float = 0.75
    screen_prompts: int = 12

    name = "identity_rules"
    version = "1"
    source = "Yang et al. 2025, arXiv:2502.20332"
    counterfactuals = ("abstract", "abstract_query", "token", "query", "random")
    default_counterfactual = "abstract"
    chance = "accuracy .5 between the query's two words; about one in the vocabulary's size over all tokens"
    causal_model = IdentityRulesCausalModel()
    screened = ("templates", "words")
    least_screened = 1

    def __post_init__(self) -> None:
        if self.shots < 1:
            raise TaskError(f"task.shots is {self.shots}; the rule is told by at least 1 item")
        if not 0 <= self.aba <= 1:
            raise TaskError(f"task.aba is {self.aba}; it is a share, from 0 to 1")

    @property
    def least(self) -> Mapping[str, Mapping[str, int]]:  # type: ignore[override]
        """Every split needs a prompt's words, and as many others for ``token`` and ``random``; test, 120 pairs too."""
        both = 4 * (self.shots + 1)
        return {"words": {"train": both, "validation": both, "test": max(both, 16)}}

    def offered(self) -> dict[str, tuple[str, ...]]:
        """See :class:`GeneratedTask`."""
        templates = tuple(self.templates or TEMPLATES)
        for name in templates:
            if name not in TEMPLATES:
                raise TaskError(f"identity_rules has no template {name!r}; it has {', '.join(TEMPLATES)}")
        return {"templates": templates, "words": tuple(dict.fromkeys(self.words or WORDS))}

    def readable(self, encoder: Encoder, offered: Pool) -> dict[str, tuple[str, ...]]:
        """See :class:`GeneratedTask`."""
        texts = {name: (TEMPLATES[name].text(self.shots), TEMPLATES[name].glued) for name in offered["templates"]}
        needed = sum(self.least["words"].values())
        templates, words = together(encoder, texts, offered["words"], needed)
        if len(words) < needed and self.words is None:
            letters = together(encoder, texts, LETTERS, needed)
            if len(letters[1]) >= needed:
                templates, words = letters
        if not templates:
            raise TaskError(f"the tokenizer does not know the words or signs of any template ({', '.join(texts)})")
        return {"templates": templates, "words": words}

    def item(self, pool: Pool, number: int, rng: np.random.Generator) -> Item:
        """See :class:`GeneratedTask`."""
        templates, pairs = pool["templates"], self.shots + 1
        template = templates[number % len(templates)]
        turn = number // len(templates)
        rule = ABA if int((turn + 1) * self.aba) > int(turn * self.aba) else ABB
        these = _pairs(drawn := pick(rng, pool["words"], 2 * pairs))
        rest = [word for word in pool["words"] if word not in drawn]
        swapped, query = [(b, a) for a, b in these], these[-1]
        flipped = {ABA: ABB, ABB: ABA}[rule]
        others = {
            "abstract": (flipped, [*swapped[:-1], query]),
            "abstract_query": (flipped, swapped),
            "token": (rule, _pairs(pick(rng, rest, 2 * pairs))),
            "query": (rule, [*these[:-1], swapped[-1]]),
            "random": (one(rng, (ABA, ABB)), _pairs(pick(rng, rest, 2 * pairs))),
        }
        return Item(
            clean=self._prompt(template, rule, these),
            wrong=these[-1][1] if rule == ABA else these[-1][0],
            template=template,
            cluster="|".join(sorted(these[-1])),
            others={name: self._prompt(template, *made) for name, made in others.items()},
            labels=(("templates", template), *(("words", word) for word in these[-1])),
            glued=TEMPLATES[template].glued,
        )

    def own(self, encoder: Encoder, request: DataRequest) -> TaskData:
        """See :class:`GeneratedTask`; behind a sign that stands close, the answer does so too."""
        return load_examples(encoder, request, find_positions=find_positions, glued=glued)

    def _prompt(self, template: str, rule: str, pairs: Pairs) -> Prompt:
        words = {"A": pairs[-1][0], "B": pairs[-1][1]}
        for i, (a, b) in enumerate(pairs[:-1], 1):
            words |= {f"A{i}": a, f"B{i}": b, f"C{i}": a if rule == ABA else b}
        text, spans = fill(TEMPLATES[template].text(self.shots), words)
        values = self.causal_model.values(rule, *pairs[-1])
        return Prompt(text, values["answer"], values, {**spans, "THIRD": spans[f"C{self.shots}"]})


def _pairs(words: Sequence[str]) -> Pairs:
    return list(zip(words[::2], words[1::2], strict=True))


def find_positions(prompt: str, answer: str, wrong: str) -> Mapping[str, tuple[int, int]] | None:
    """The words' spans in a prompt that reads like one of the templates with up to 20 items, else None."""
    for template in TEMPLATES.values():
        for shots in range(1, 21):
            spans = found(template.text(shots), prompt)
            if spans:
                return {**spans, "THIRD": spans[f"C{shots}"]}
    return None
