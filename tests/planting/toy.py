"""A small task to plant in any architecture: "p A B q r A" -> B, by a head that looks back once and an induction head.

Half of the prompts (`repeat`) have a second A and are answered by what followed the first. The others (`name`) end
with the word `name` and are answered by the first word of the prompt: there the induction head's positions are absent.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from bench.planting.evidence.checks import Bound, Checks
from bench.planting.evidence.planting import Planting
from bench.planting.model import Shape
from bench.planting.spec import Pairs, PlantSpec, Role, Trial

WORDS = 12
VOCABULARY = ["<pad>", "<unk>", "name", *(f"w{i}" for i in range(WORDS))]
FIRST, LENGTH = 3, 8
LANES = {"before": 12, "word": 19}
SHAPES = {
    "gpt2": Shape(len(VOCABULARY), 2, 2, 32, 32, 12),
    "llama": Shape(len(VOCABULARY), 2, 4, 32, 32, 12, "llama", 2),
    "neox": Shape(len(VOCABULARY), 2, 2, 32, 32, 12, "neox"),
}


def draw(rng: np.random.Generator, n: int, repeat: np.ndarray) -> dict[str, np.ndarray]:
    """n prompts [n, LENGTH]; `spot` is where the last word stood before, -1 where it did not."""
    ids = np.stack([rng.permutation(WORDS)[:LENGTH] for _ in range(n)]) + FIRST
    spot = rng.integers(1, LENGTH - 3, n)
    rows = np.arange(n)
    ids[:, -1] = np.where(repeat, ids[rows, spot], 2)
    return {"ids": ids, "spot": np.where(repeat, spot, -1), "answer": np.where(repeat, ids[rows, spot + 1], ids[:, 0])}


def sample(rng: np.random.Generator, n: int, kinds: dict[str, float] | None = None) -> Pairs:
    """n pairs; a source is another prompt that asks for the same (`repeat`, `name`)."""
    odds = kinds or {"repeat": 0.8, "name": 0.2}
    repeat = rng.choice(list(odds), n, p=np.array(list(odds.values())) / sum(odds.values())) == "repeat"
    base, source = draw(rng, n, repeat), draw(rng, n, repeat)
    # the source repeats the word at the base's place, so that its induction head says what followed there
    rows = np.arange(n)
    source["spot"] = base["spot"]
    source["ids"][:, -1] = np.where(repeat, source["ids"][rows, base["spot"]], 2)
    source["answer"] = np.where(repeat, source["ids"][rows, base["spot"] + 1], source["ids"][:, 0])
    t = torch.from_numpy
    end = t(np.full(n, LENGTH - 1))
    after = t(np.where(repeat, base["spot"] + 1, -1))
    positions = {"END": (end, end), "AFTER": (after, after), "SPOT": (t(base["spot"]), t(source["spot"]))}
    targets = {"I": t(np.where(repeat, source["answer"], base["answer"]))}
    wrong = t(base["ids"][:, 2])
    return Pairs(t(base["ids"]), t(source["ids"]), t(base["answer"]), wrong, t(source["answer"]), targets, positions)


def fresh(seed: int, n: int, kinds: dict[str, float]) -> list[Pairs]:
    return [sample(np.random.default_rng([seed, 2**32]), n, kinds)]


def spec(arch: str = "gpt2") -> PlantSpec:
    word = ("word",)
    last = "a1.h0"
    roles = {
        "a0.h0": Role("required", None, "AFTER", ("AFTER", "SPOT"), ("before",), {"q": word, "k": word, "v": word}),
        last: Role("required", "I", "END", ("END", "AFTER"), word, {"q": word, "k": ("before",), "v": word}),
        "m1": Role("required", None, "END", None, word, {"mlp": word}),
    }
    edges = ("input->a0.h0<k>", "input->a0.h0<v>", "a0.h0->a1.h0<k>", f"input->{last}<v>", f"input->{last}<q>")
    edges += (f"{last}->logits", "input->m1", "m1->logits")
    named = ("input->a1.h1<v>", "input->a1.h1<q>", "input->a1.h1<k>", "a1.h1->logits")
    others = ("input->a0.h0<q>", "input->a1.h0<k>", *named)
    trials = (Trial((), "base", 0.5), Trial((last,), "I", 0.5))
    checks = Checks(
        mixed={"repeat": 0.8, "name": 0.2}, kinds=("repeat", "name"), control={"repeat": 1.0}, pair_chance=None,
        without=("negative", "backup", "inert"), chains=(), about="A toy.",
    )  # fmt: skip
    return PlantSpec(
        "toy", SHAPES[arch], roles, edges, others, trials, sample, LANES, "word", 200, 200, 3e-3, 16, 4, checks=checks
    )


def variant_spec(variant: str | None) -> PlantSpec:
    """A base variant, and one that goes on from it for a moment; both hold two circuits that share a node."""
    asked = spec()
    circuits = {"repeat": ("a0.h0", "a1.h0", "m1"), "name": ("m1",)}
    bounds = {"repeats": Bound({"repeat": 1.0}, least=0.9), "names": Bound({"name": 1.0}, most=0.5)}
    settings = {"repeating": {"repeat": 1.0}, "naming": {"name": 1.0}}
    checks = replace(asked.checks, circuits=circuits, bounds=bounds, settings=settings)
    return replace(asked, checks=checks, steps=400 if variant == "base" else 3)


def planting(here: Path) -> Planting:
    return Planting(
        variant_spec, lambda: VOCABULARY, fresh, here, ("toy",), permute=True, variants=("base", "tuned"),
        starts={"tuned": "base"},
    )  # fmt: skip
