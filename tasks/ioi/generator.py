"""IOI examples: screening for a model, drawing prompts, and rows of a split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np

from bench.task import SPLITS, DataRequest, TaskError
from tasks._common import Encoder, cuts, keep, rates, right
from tasks.ioi.causal import IOICausalModel
from tasks.ioi.prompts import COUNTERFACTUALS, Pool, Prompt
from tasks.ioi.templates import ORDERS
from tasks.ioi.vocabulary import least_names

LEAST_TEMPLATES = 2
TRIES = 1000


@dataclass(frozen=True)
class Screen:
    """How a model's templates and names are screened."""

    templates: float
    """Share of right answers that a template needs."""
    names: float
    prompts: int
    """Screening prompts per name; a template gets three times as many."""


def screen(
    encoder: Encoder, parts: Mapping[str, Pool], request: DataRequest, rule: Screen, rng: np.random.Generator
) -> dict[str, Pool]:
    """Drop templates and names on which the model is right too rarely; the pools as they are without a model.

    Templates are judged on prompts of the train split. Then each name of every split is judged in those templates
    beside a name, a place and an object of train, so no prompt and no pair of names of validation or test is seen.
    The best two templates, and the best names that a split cannot do without, stay in any case.
    """
    train = parts["train"]
    prompts = draw(train, 3 * rule.prompts * len(train.templates), rng, repeats=True)
    judged = _judge(encoder, prompts, request)
    if judged is None:
        return dict(parts)
    by_template = rates(judged, [[p.template] for p in prompts])
    templates = tuple(keep(train.templates, by_template, rule.templates, LEAST_TEMPLATES))
    train = replace(train, templates=templates)
    least, kept = least_names(len(templates)), {}
    for split in SPLITS:
        prompts = [p for name in parts[split].names for p in _with_name(name, train, rule.prompts, rng)]
        labels = [[n for n in (p.a, p.b) if n in parts[split].names] for p in prompts]
        by_name = rates(_judge(encoder, prompts, request) or [], labels)
        names = tuple(keep(parts[split].names, by_name, rule.names, least[split]))
        usable = tuple(t for t in parts[split].templates if t in templates) or parts[split].templates
        kept[split] = replace(parts[split], templates=usable, names=names)
        train = replace(train, names=kept["train"].names)
    return kept


def draw(pool: Pool, n: int, rng: np.random.Generator, repeats: bool = False) -> list[Prompt]:
    """``n`` prompts, balanced over templates and orders, over as many pairs of names as there are, in random order.

    All different, unless ``repeats`` are allowed. Raises :class:`TaskError` where the pool has too few.
    """
    cells = [(template, order) for template in pool.templates for order in ORDERS]
    cells = [cells[i] for i in rng.permutation(len(cells))]
    pairs = {template: _pairs(pool.names, rng) for template in pool.templates}
    found: dict[str, Prompt] = {}
    for i in range(n):
        template, order = cells[i % len(cells)]
        for _ in range(TRIES):
            prompt = _prompt(template, order, next(pairs[template]), pool, rng)
            key = f"{prompt.text}#{i}" if repeats else prompt.text
            if key not in found:
                found[key] = prompt
                break
        else:
            raise TaskError(
                f"{n} different examples were asked for, but {len(pool.names)} names in {len(pool.templates)} "
                f"templates gave only {len(found)}; ask for fewer (task.sizes)"
            )
    prompts = list(found.values())
    return [prompts[i] for i in rng.permutation(len(prompts))]


def rows(
    encoder: Encoder, prompts: Sequence[Prompt], pool: Pool, causal: IOICausalModel, rng: np.random.Generator
) -> list[dict[str, Any]]:
    """Examples as :mod:`bench.task` describes them. Raises :class:`TaskError` where a pair differs in length."""
    others = [{name: make(prompt, pool, rng) for name, make in COUNTERFACTUALS.items()} for prompt in prompts]
    encoder.warm(text for group in (prompts, *(o.values() for o in others)) for p in group for text in _texts(p))
    return [_row(encoder, prompt, group, causal) for prompt, group in zip(prompts, others, strict=True)]


def _row(encoder: Encoder, prompt: Prompt, made: Mapping[str, Prompt], causal: IOICausalModel) -> dict[str, Any]:
    text, ids = prompt.text, encoder.ids(prompt.text)
    others = {}
    for name, other in made.items():
        other_ids = encoder.ids(other.text)
        if len(other_ids) != len(ids):
            raise TaskError(
                f"counterfactual {name}: {other.text!r} has {len(other_ids)} tokens, its clean prompt {text!r} "
                f"has {len(ids)}; leave their template or fillers out (task.templates, task.names)"
            )
        others[name] = {
            "prompt": other.text,
            "ids": other_ids,
            "answer": other.answer,
            "answer_id": encoder.answer(other.text, other.answer) if other.answer else -1,
            "values": causal.values(other.a, other.b, other.s),
        }
    return {
        "prompt": text,
        "ids": ids,
        "answer": prompt.answer,
        "wrong": prompt.s,
        "answer_id": encoder.answer(text, prompt.answer),
        "wrong_id": encoder.answer(text, prompt.s),
        "positions": positions(encoder, prompt),
        "template": prompt.template,
        "cluster": prompt.cluster,
        "values": causal.values(prompt.a, prompt.b, prompt.s),
        "counterfactuals": others,
    }


def positions(encoder: Encoder, prompt: Prompt) -> dict[str, int]:
    """Token indices of the names by slot (A, B) and by role (IO, S1, S2), of what follows S1 and S2, and of END."""
    text, spans = prompt.render()
    where = {}
    for slot in ("A", "B", "S"):
        span = encoder.span(text, *spans[slot])
        if span is None:
            raise TaskError(f"the name in slot {slot} of {text!r} does not begin and end where a token does")
        where[slot] = span[1] - 1
    first, second = ("A", "B") if prompt.s == prompt.a else ("B", "A")
    s1, s2 = where[first], where["S"]
    return {
        "A": where["A"], "B": where["B"], "IO": where[second], "S1": s1, "S1+1": s1 + 1, "S2": s2, "S2+1": s2 + 1,
        "END": len(encoder.ids(text)) - 1,
    }  # fmt: skip


def _texts(prompt: Prompt) -> list[str]:
    """What will be encoded for a prompt."""
    text, spans = prompt.render()
    return [*cuts(text, (spans[slot] for slot in "ABS")), f"{text} {prompt.a}", f"{text} {prompt.b}"]


def _judge(encoder: Encoder, prompts: Sequence[Prompt], request: DataRequest) -> list[bool] | None:
    encoder.warm(text for p in prompts for text in _texts(p))
    answers = [encoder.answer(p.text, p.answer) for p in prompts]
    wrongs = [encoder.answer(p.text, p.s) for p in prompts]
    return right(request, [encoder.ids(p.text) for p in prompts], answers, wrongs)


def _with_name(name: str, pool: Pool, n: int, rng: np.random.Generator) -> list[Prompt]:
    """Prompts that hold ``name`` beside names of the pool, by turns said once and twice, first and second."""
    partners = [other for other in pool.names if other != name]
    prompts = []
    for i in range(n):
        pair = (name, partners[rng.integers(len(partners))])
        template = pool.templates[(i // 4) % len(pool.templates)]
        fresh = _prompt(template, ORDERS[0], pair, pool, rng)
        a, b = pair if i % 2 else pair[::-1]
        prompts.append(replace(fresh, a=a, b=b, s=pair[(i // 2) % 2]))
    return prompts


def _prompt(template: str, order: str, pair: Sequence[str], pool: Pool, rng: np.random.Generator) -> Prompt:
    a, b = (pair[i] for i in rng.permutation(2))
    places, things = pool.places[template], pool.things[template]
    place, thing = places[rng.integers(len(places))], things[rng.integers(len(things))]
    return Prompt(template, a, b, b if order == "ABBA" else a, place, thing)


def _pairs(names: Sequence[str], rng: np.random.Generator) -> Iterator[tuple[str, str]]:
    pairs = list(combinations(names, 2))
    while True:
        for i in rng.permutation(len(pairs)):
            yield pairs[i]
