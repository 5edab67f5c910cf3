"""Prompts for the planted models: base and source pairs over the whole planted pool, as token ids."""

from __future__ import annotations

import re
from functools import cache

import numpy as np
import torch

from bench.planting.spec import Pairs
from tasks.recall_reasoning.fillers import CAPITALS, PLANTED_PEOPLE, PLANTED_SUBJECTS, PLANTED_TEMPLATES
from tasks.recall_reasoning.templates import MODES, RECALL, TEMPLATES

SPECIAL = ("<pad>", "<unk>")
KINDS = {
    "exchange": 0.2, "subject": 0.12, "bridge": 0.14, "facts": 0.1, "mode": 0.14, "random": 0.16, "cross": 0.14,
}  # fmt: skip
RECALL_SHARE = 0.35
"""Of the prompts to train on: recall is learnt sooner."""

Story = dict[str, np.ndarray]
"""Of n stories: s1, s2, p1, p2 [n] in the order of mention, c1, c2 (where p1 and p2 are), crossed, asked, recall."""


@cache
def words(template: str, mode: str) -> tuple[str, ...]:
    """A template's words; punctuation stands alone, as in the tokenizer, and slots stay."""
    text, relation = TEMPLATES[template].text(mode)
    return tuple(re.findall(r"\{\w+\}|\w+|[^\w\s]", text.replace("{R}", relation)))


def vocabulary() -> list[str]:
    """The planted models' words, by id; capitals stand in the order of their countries."""
    plain = {w for name in PLANTED_TEMPLATES for mode in MODES for w in words(name, mode) if not w.startswith("{")}
    return [*SPECIAL, *sorted(plain), *PLANTED_SUBJECTS, *(CAPITALS[s] for s in PLANTED_SUBJECTS), *PLANTED_PEOPLE]


def sample(
    rng: np.random.Generator, n: int, kinds: dict[str, float] | None = None, template: str | None = None
) -> Pairs:
    """n pairs of prompts, base and source of a pair of the same template, which is drawn where none is named.

    Sources are drawn by kind: as the task's counterfactuals, and `cross`, the other question about other words. A kind
    named `recall_...` or `reasoning_...` has bases of that question alone.
    """
    odds = kinds or KINDS
    kind = rng.choice(list(odds), n, p=np.array(list(odds.values())) / sum(odds.values()))
    base, other = _draw(rng, n, 0.5 if kinds else RECALL_SHARE)
    for mode in MODES:
        named = np.char.startswith(kind, f"{mode}_")
        base["recall"] = np.where(named, mode == RECALL, base["recall"])
        kind = np.where(named, np.char.replace(kind, f"{mode}_", "", 1), kind)
    source = _source(base, other, kind)
    which = np.full(n, PLANTED_TEMPLATES.index(template)) if template else rng.integers(len(PLANTED_TEMPLATES), size=n)
    return _pairs(base, source, which)


def _draw(rng: np.random.Generator, n: int, recall: float) -> tuple[Story, Story]:
    """n stories, a share of which ask to recall, and n others without a word of theirs.

    Capitals are numbered as their countries.
    """
    countries = rng.random((n, len(PLANTED_SUBJECTS))).argsort(1)
    people = rng.random((n, len(PLANTED_PEOPLE))).argsort(1)
    out = []
    for i in (0, 1):
        story = dict(zip(("s1", "s2", "c1", "c2"), countries[:, 4 * i : 4 * i + 4].T, strict=True))
        story |= {"p1": people[:, 2 * i], "p2": people[:, 2 * i + 1]}
        story |= {name: rng.integers(2, size=n).astype(bool) for name in ("crossed", "asked")}
        story["recall"] = rng.random(n) < recall
        out.append(story)
    return out[0], out[1]


def _source(base: Story, other: Story, kind: np.ndarray) -> Story:
    """The source stories of each kind (see the task's counterfactuals)."""
    renewed = np.isin(kind, ["random", "cross"])
    out = {key: np.where(renewed, other[key], value) for key, value in base.items()}
    out["recall"] = base["recall"] ^ np.isin(kind, ["mode", "cross"])
    out["asked"] = out["asked"] ^ (kind == "subject")
    out["crossed"] = out["crossed"] ^ (kind == "bridge")
    for pair, turned in (
        ("s", ["exchange"]), ("p", ["exchange", "bridge"]), ("c", ["exchange", "bridge", "facts"]),
    ):  # fmt: skip
        turn = np.isin(kind, turned)
        first, second = out[f"{pair}1"], out[f"{pair}2"]
        out[f"{pair}1"], out[f"{pair}2"] = np.where(turn, second, first), np.where(turn, first, second)
    return out


def _chosen(story: Story, name: str, other: bool = False) -> np.ndarray:
    """What a pair (s, p, c) holds for the chain that is asked about, or for the other one."""
    return np.where(story["asked"] ^ other, story[f"{name}2"], story[f"{name}1"])


def _pairs(base: Story, source: Story, which: np.ndarray) -> Pairs:
    """Prompts, answers, and what the causal model says when a variable is as in the source."""
    vocab = {word: i for i, word in enumerate(vocabulary())}
    city = vocab[CAPITALS[PLANTED_SUBJECTS[0]]]
    subject, people = _chosen(source, "s"), _chosen(source, "p")

    def answer(story: Story, recalled: np.ndarray, found: np.ndarray, recall: np.ndarray | None = None) -> torch.Tensor:
        said = np.where(story["recall"] if recall is None else recall, recalled, found)
        return torch.from_numpy(np.where(said >= 0, said + city, -1))

    recalled, found = _chosen(base, "s"), _chosen(base, "c")
    led = np.select([subject == base["s1"], subject == base["s2"]], [base["c1"], base["c2"]], -1)
    there = np.select([people == base["p1"], people == base["p2"]], [base["c1"], base["c2"]], -1)
    targets = {
        "mode": answer(base, recalled, found, source["recall"]),
        "E": answer(base, subject, led),
        "B": answer(base, recalled, there),
        "A": answer(base, recalled, _chosen(source, "c")),
        "R": answer(base, subject, found),
    }
    wrong = answer(base, _chosen(base, "s", True), _chosen(base, "c", True))
    texts, places = zip(*(_render(story, which, vocab) for story in (base, source)), strict=True)
    positions = {name: (torch.from_numpy(places[0][name]), torch.from_numpy(places[1][name])) for name in places[0]}
    ends = answer(base, recalled, found), answer(source, subject, _chosen(source, "c"))
    return Pairs(texts[0], texts[1], ends[0], wrong, ends[1], targets, positions)


def _render(story: Story, which: np.ndarray, vocab: dict[str, int]) -> tuple[torch.Tensor, dict[str, np.ndarray]]:
    """Token ids [n, T] and named positions [n] of stories, each in the template that `which` numbers."""
    first = {"s": vocab[PLANTED_SUBJECTS[0]], "p": vocab[PLANTED_PEOPLE[0]], "c": vocab[CAPITALS[PLANTED_SUBJECTS[0]]]}
    crossed, rows = story["crossed"], np.arange(len(which))
    fillers = {f"{{{k.upper()}{i}}}": story[f"{k}{i}"] + first[k] for k in "sp" for i in (1, 2)}
    for slot, key in (("Q", "p"), ("C", "c")):
        told = story[f"{key}1"] + first[key], story[f"{key}2"] + first[key]
        fillers[f"{{{slot}1}}"], fillers[f"{{{slot}2}}"] = np.where(crossed, told[::-1], told)
    fillers["{E}"] = _chosen(story, "s") + first["s"]
    forms = {mode: [words(name, mode) for name in PLANTED_TEMPLATES] for mode in MODES}
    grids = np.array([[[vocab.get(w, 0) for w in form] for form in forms[mode]] for mode in MODES])
    ids = grids[np.where(story["recall"], MODES.index(RECALL), 1 - MODES.index(RECALL)), which]
    slots = {slot: np.array([form.index(slot) for form in forms[RECALL]])[which] for slot in fillers}
    for slot, values in fillers.items():
        ids[rows, slots[slot]] = values
    at = {"E": slots["{E}"], "FIRST": np.zeros_like(which), "END": np.full_like(which, ids.shape[1] - 1)}
    at["MODE"] = at["END"] - 1
    for before, other in (("", False), ("X", True)):
        chain = story["asked"] ^ other
        for part, slot in (("S", "S"), ("B1", "P"), ("B2", "Q"), ("C", "C")):
            second = chain ^ crossed if slot in "QC" else chain
            at[before + part] = np.where(second, slots[f"{{{slot}2}}"], slots[f"{{{slot}1}}"])
    return torch.from_numpy(ids), at
