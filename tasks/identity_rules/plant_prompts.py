"""Prompts for the planted models of identity rules: base and source pairs over the whole planted pool, as token ids.

A prompt is "a ^ b ^ x c ^ d ^ x e ^ f ^": two items and a query, each third word a repetition.
"""

from __future__ import annotations

import numpy as np
import torch

from bench.planting.spec import Pairs
from tasks.identity_rules.fillers import PLANTED_SHOTS, PLANTED_WORDS

SPECIAL = ("<pad>", "<unk>")
SIGN = "^"
KINDS = {"random": 0.3, "abstract": 0.2, "abstract_query": 0.15, "token": 0.1, "query": 0.15, "none": 0.1}
"""``none``: items that repeat no word; nothing follows from them."""

ITEM = 5
"""Tokens of an item; the words are at 0, 2 and 4."""
LENGTH = ITEM * PLANTED_SHOTS + 4
ABA, ABB, NEITHER = 0, 1, -1


def vocabulary() -> list[str]:
    """The planted models' words, by id."""
    return [*SPECIAL, SIGN, *PLANTED_WORDS]


def sample(rng: np.random.Generator, n: int, kinds: dict[str, float] | None = None) -> Pairs:
    """n pairs of prompts; sources are drawn by kind (the task's counterfactuals, and ``none``)."""
    odds = kinds or KINDS
    kind = rng.choice(list(odds), n, p=np.array(list(odds.values())) / sum(odds.values()))
    words, rule = _draw(rng, n), rng.integers(0, 2, n)
    other_words, other_rule = _source(rng, words, rule, kind)
    answers = [_slot(w, r) for w, r in ((words, rule), (other_words, other_rule))]
    targets = {"rule": _slot(words, other_rule), "slot": _slot(words, other_rule), "answer": answers[1]}
    prompts = [_prompt(rng, w, r) for w, r in ((words, rule), (other_words, other_rule))]
    t, names = torch.from_numpy, ("THIRD", "END", "ANSWER", "LOOK0", "LOOK1")
    return Pairs(
        base=t(prompts[0]),
        source=t(prompts[1]),
        answer=t(answers[0]),
        wrong=t(_slot(words, 1 - rule)),
        source_answer=t(answers[1]),
        targets={name: t(target) for name, target in targets.items()},
        positions={name: (t(_at(name, rule)), t(_at(name, other_rule))) for name in names},
    )


def _draw(rng: np.random.Generator, n: int) -> np.ndarray:
    """Different words [n, items and query, 2], as token ids."""
    order = rng.random((n, len(PLANTED_WORDS))).argsort(1)
    return order[:, : 2 * (PLANTED_SHOTS + 1)].reshape(n, -1, 2) + len(SPECIAL) + 1


def _source(
    rng: np.random.Generator, words: np.ndarray, rule: np.ndarray, kind: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The sources' words and rules."""
    n = len(kind)
    fresh, swapped, out = _draw(rng, n), words[:, :, ::-1], words.copy()
    renewed = np.isin(kind, ["random", "token", "none"])
    out[renewed] = fresh[renewed]
    items, query = np.isin(kind, ["abstract", "abstract_query"]), np.isin(kind, ["abstract_query", "query"])
    out[items, :-1] = swapped[items, :-1]
    out[query, -1] = swapped[query, -1]
    other = np.where(items, 1 - rule, np.where(kind == "random", rng.integers(0, 2, n), rule))
    return out, np.where(kind == "none", NEITHER, other)


def _slot(words: np.ndarray, rule: np.ndarray) -> np.ndarray:
    """The query's word that a rule repeats, [n]; -1 where there is no rule."""
    return np.where(rule == NEITHER, -1, words[np.arange(len(rule)), -1, np.maximum(rule, 0)])


def _prompt(rng: np.random.Generator, words: np.ndarray, rule: np.ndarray) -> np.ndarray:
    """Token ids [n, LENGTH]; third words repeat what the rule says, or are new where there is none."""
    n = len(rule)
    ids = np.full((n, LENGTH), len(SPECIAL))
    start = np.arange(PLANTED_SHOTS + 1) * ITEM
    ids[:, start], ids[:, start + 2] = words[..., 0], words[..., 1]
    thirds = words[np.arange(n), :-1, np.maximum(rule, 0)]
    used = np.zeros((n, len(vocabulary())))
    np.put_along_axis(used, words.reshape(n, -1), 1.0, 1)
    new = (used + rng.random(used.shape))[:, len(SPECIAL) + 1 :].argsort(1)[:, :PLANTED_SHOTS] + len(SPECIAL) + 1
    ids[:, start[:-1] + 4] = np.where((rule == NEITHER)[:, None], new, thirds)
    return ids


def _at(name: str, rule: np.ndarray) -> np.ndarray:
    """A named position by rule, [n]; -1 where there is none.

    LOOK0 is the last item's first word where the third repeats it, and the sign before the third otherwise; LOOK1
    likewise for its second word.
    """
    third, end = LENGTH - 5, LENGTH - 1
    aba, abb = {
        "THIRD": (third, third),
        "END": (end, end),
        "ANSWER": (end - 3, end - 1),
        "LOOK0": (third - 4, third - 1),
        "LOOK1": (third - 1, third - 2),
    }[name]
    none = -1 if name in ("ANSWER", "LOOK0", "LOOK1") else aba
    return np.where(rule == ABA, aba, np.where(rule == ABB, abb, none))
