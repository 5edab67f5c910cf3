"""Arithmetic's planted models: their prompts read again as words, and their claims borne out by the weights."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from bench.planting.evidence.circuit import Circuit
from bench.planting.evidence.measure import Measure
from bench.planting.export import load
from bench.planting.train import code_hash
from bench.task import DataRequest
from tasks.arithmetic import Arithmetic
from tasks.arithmetic.plant import planting, spec
from tasks.arithmetic.plant_prompts import KINDS, problems, sample, vocabulary
from tasks.arithmetic.templates import PLANTED_LARGEST, PLANTED_TEMPLATES

SHIPPED = planting.shipped()
each_seed = pytest.mark.parametrize("seed", sorted(SHIPPED))
CAUSAL = Arithmetic.causal_model


def text(ids: torch.Tensor) -> str:
    return " ".join(vocabulary()[int(i)] for i in ids)


def word(token: torch.Tensor) -> str:
    return text([token]) if int(token) >= 0 else ""


def values(prompt: str) -> dict[str, str]:
    x, y = map(int, re.findall(r"\d+", prompt))
    assert prompt in (f"{x} + {y} =", f"{x} plus {y} equals", f"The sum of {x} and {y} is")
    return CAUSAL.values(x, y)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("template", [None, *PLANTED_TEMPLATES])
def test_pairs_are_what_their_kind_says(kind: str, template: str | None) -> None:
    pairs = sample(np.random.default_rng(5), 200, {kind: 1.0}, template)
    same = 0
    for i in range(200):
        base, source = text(pairs.base[i]), text(pairs.source[i])
        mine, its = values(base), values(source)
        assert (word(pairs.answer[i]), word(pairs.source_answer[i])) == (mine["Z"], its["Z"])
        assert 1 <= abs(int(word(pairs.wrong[i])) - int(mine["Z"])) <= 10
        for name, target in pairs.targets.items():
            answer = int(CAUSAL.interchange(mine, its, name)["answer"])
            assert word(target[i]) == (str(answer) if answer <= PLANTED_LARGEST else "")
        differ = {name for name in "XY" if mine[name] != its[name]}
        same += not differ
        if kind == "both":
            assert differ == {"X", "Y"} and word(pairs.wrong[i]) == its["Z"]
        if kind.startswith("operand"):  # nothing can stand for the 0 in 20 + 0
            assert differ == {"X" if kind == "operand1" else "Y"} or (not differ and "20" in (mine["X"], mine["Y"]))
        for side, prompt in enumerate((base, source)):
            at = {name: prompt.split()[int(both[side][i])] for name, both in pairs.positions.items()}
            read = (mine, its)[side]
            assert (at["X"], at["Y"], at["END"]) == (read["X"], read["Y"], prompt.split()[-1])
    assert same < 8 or kind == "random"


def test_right_and_wrong_answers_come_from_the_same_numbers() -> None:
    pairs = sample(np.random.default_rng(6), 4000, {"random": 1.0})
    right, wrong = (Counter(x.tolist()) for x in (pairs.answer, pairs.wrong))
    assert max(abs(right[z] - wrong[z]) for z in right) < 100
    assert len(problems()) == 231 and problems().sum(1).max() == PLANTED_LARGEST


def test_the_planted_words_are_the_tasks() -> None:
    spec().check()
    assert len(vocabulary()) == spec().shape.vocab == len(set(vocabulary()))


@each_seed
def test_the_claim_is_whole(seed: int) -> None:
    circuit = Circuit.read(SHIPPED[seed] / "circuit.json")
    assert circuit.seed == seed and circuit.evidence["failed"] == [] and circuit.evidence["accuracy"] >= 0.99
    assert {node["role"] for node in circuit.nodes.values()} == {"required", "negative", "inert", "free"}
    assert len(circuit.by_role("required")) == 6
    assert {name: len(entry["nodes"]) for name, entry in circuit.variables.items()} == {"X": 2, "Y": 2, "Z": 1}


@each_seed
def test_the_code_that_made_the_models_is_the_one_here(seed: int) -> None:
    """When this fails, the models have to be planted again, or the edit undone."""
    assert Circuit.read(SHIPPED[seed] / "circuit.json").code == code_hash(planting.code_files())


@each_seed
def test_a_few_fresh_prompts_bear_the_claim_out(seed: int) -> None:
    circuit, checks = Circuit.read(SHIPPED[seed] / "circuit.json"), planting.spec_of(seed).checks
    m = Measure(load(SHIPPED[seed]), planting.fresh(77, 30, checks.mixed))
    assert m.accuracy() >= 0.95
    assert m.accuracy(m.logits((), circuit.edges["out"])) >= 0.95
    for name, entry in circuit.variables.items():
        places = dict.fromkeys(entry["nodes"], CAUSAL.positions[name])
        assert m.interchange(m.logits(entry["nodes"], places=places), name) >= 0.9
    assert m.accuracy(m.logits(circuit.by_role("required", "negative"))) < 0.3


@each_seed
def test_transformers_knows_every_sum(seed: int) -> None:
    """Of the task's own test prompts, and of the whole pool in each template."""
    tokenizer = AutoTokenizer.from_pretrained(SHIPPED[seed], local_files_only=True)
    model = AutoModelForCausalLM.from_pretrained(SHIPPED[seed], local_files_only=True)
    assert sum(p.numel() for p in model.parameters()) < 500_000
    test = list(Arithmetic().build(tokenizer, DataRequest()).split("test"))
    with torch.no_grad():
        hits = [int(model(torch.tensor([row["ids"]])).logits[0, -1].argmax()) == row["answer_id"] for row in test]
        assert np.mean(hits) >= 0.98
        for text_of in (lambda x, y: f"{x} + {y} =", lambda x, y: f"The sum of {x} and {y} is"):
            ids = [tokenizer(text_of(x, y))["input_ids"] for x, y in problems()]
            said = model(torch.tensor(ids)).logits[:, -1].argmax(-1).tolist()
            right = [tokenizer.decode([token]) == str(x + y) for token, (x, y) in zip(said, problems(), strict=True)]
            assert np.mean(right) >= 0.98


@pytest.mark.slow
@each_seed
def test_the_evidence_comes_out_again(seed: int) -> None:
    shipped: dict[str, Any] = Circuit.read(SHIPPED[seed] / "circuit.json").evidence
    again = planting.verify(SHIPPED[seed])
    assert again["failed"] == []
    for key, value in again.items():
        if isinstance(value, float):
            assert value == pytest.approx(shipped[key], abs=2e-3, rel=1e-3), key
