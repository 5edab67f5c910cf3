"""Induction's planted models: their prompts read again as words, and their claims borne out by the weights."""

from __future__ import annotations

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
from tasks.induction import Induction
from tasks.induction.plant import planting
from tasks.induction.plant_prompts import KINDS, LENGTHS, sample, vocabulary
from tasks.induction.words import PLANTED_TRIGGERS

SHIPPED = planting.shipped()
each_seed = pytest.mark.parametrize("seed", sorted(SHIPPED))
CAUSAL = Induction.causal_model


def words(ids: torch.Tensor) -> list[str]:
    return [vocabulary()[int(i)] for i in ids]


def said(prompt: list[str]) -> str:
    """What stood behind the first mention of the last word; empty where it was not said before."""
    return prompt[prompt.index(prompt[-1]) + 1] if prompt[-1] in prompt[:-1] else ""


def values(prompt: list[str]) -> dict[str, str]:
    places = [i for i, word in enumerate(prompt[:-1]) if word in PLANTED_TRIGGERS]
    return CAUSAL.values(prompt[-1], tuple(prompt[i] for i in places), tuple(prompt[i + 1] for i in places))


def word(token: torch.Tensor) -> str:
    return words([token])[0] if int(token) >= 0 else ""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("length", LENGTHS)
def test_pairs_are_what_their_kind_says(kind: str, length: int) -> None:
    pairs = sample(np.random.default_rng(5), 200, {kind: 1.0}, length)
    for i in range(200):
        base, source = words(pairs.base[i]), words(pairs.source[i])
        mine, its = values(base), values(source)
        assert len(base) == len(source) == length
        for prompt in (base, source):
            assert len(set(prompt[:-1])) == length - 1 and len(set(prompt) & {*PLANTED_TRIGGERS}) == (
                3 if kind == "first" and prompt is source else 2
            )
        assert [word(pairs.answer[i]), word(pairs.source_answer[i])] == [said(base), said(source)]
        assert {word(pairs.answer[i]), word(pairs.wrong[i])} == {mine["O1"], mine["O2"]}
        differ = [a != b for a, b in zip(base, source, strict=True)]
        changed = {"trigger": 1, "first": 1, "order": 2, "output": 2, "bigrams": 5}
        assert sum(differ) == changed[kind] if kind in changed else sum(differ) > 5
        assert set(mine["P"].split()) == set(its["P"].split()) or kind in ("random", "bigrams", "first")
        if kind == "bigrams":
            assert not {*mine["P"].split(), mine["O1"], mine["O2"]} & {*source}
        if kind == "first":
            assert said(source) == "" and mine["T"] == its["T"]


@pytest.mark.parametrize("kind", ["bigrams", "output", "trigger", "order", "first"])
def test_targets_are_the_causal_models_where_bigrams_stay_in_place(kind: str) -> None:
    pairs = sample(np.random.default_rng(6), 200, {kind: 1.0})
    for i in range(200):
        mine, its = values(words(pairs.base[i])), values(words(pairs.source[i]))
        answered = {"T", "P", "N"} if kind != "first" else {"P"}
        for name in answered:
            assert word(pairs.targets[name][i]) == CAUSAL.interchange(mine, its, name)["answer"], name


def test_words_before_are_taken_place_by_place() -> None:
    """P of a prompt whose bigrams stand elsewhere: the word behind the place where it has the trigger asked about."""
    pairs, found = sample(np.random.default_rng(7), 300, {"moved": 1.0}), 0
    for i in range(300):
        base, source = words(pairs.base[i]), words(pairs.source[i])
        behind = base[source.index(base[-1]) + 1]
        assert word(pairs.targets["P"][i]) == ("" if behind in PLANTED_TRIGGERS else behind)
        found += behind not in PLANTED_TRIGGERS
    assert found > 150


def test_positions_name_what_they_say() -> None:
    pairs = sample(np.random.default_rng(8), 200, {"random": 1.0})
    for i in range(200):
        for side, ids, answer in ((0, pairs.base, pairs.answer), (1, pairs.source, pairs.source_answer)):
            prompt, at = words(ids[i]), {name: int(both[side][i]) for name, both in pairs.positions.items()}
            assert prompt[at["TRIGGER"]] == prompt[-1] == prompt[at["END"]] and at["TRIGGER"] < at["END"]
            assert prompt[at["ANSWER"]] == word(answer[i]) and at["ANSWER"] == at["TRIGGER"] + 1
            assert prompt[at["OTHER"]] in PLANTED_TRIGGERS and at["WRONG"] == at["OTHER"] + 1
            assert at["BEFORE"] == at["HERE"] - 1 >= 0
        assert prompt[-1] in PLANTED_TRIGGERS


def test_the_planted_words_are_the_tasks() -> None:
    for variant in planting.variants:
        planting.spec(variant).check()
        assert len(vocabulary()) == planting.spec(variant).shape.vocab == len(set(vocabulary()))


@each_seed
def test_the_claim_is_whole(seed: int) -> None:
    circuit = Circuit.read(SHIPPED[seed] / "circuit.json")
    assert circuit.seed == seed and circuit.evidence["failed"] == [] and circuit.evidence["accuracy"] >= 0.99
    assert {node["role"] for node in circuit.nodes.values()} == {"required", "negative", "backup", "inert", "free"}
    assert len(circuit.by_role("required")) == 6
    assert {name: len(entry["nodes"]) for name, entry in circuit.variables.items()} == {"T": 1, "P": 2, "N": 2}


@each_seed
def test_the_code_that_made_the_models_is_the_one_here(seed: int) -> None:
    """When this fails, the models have to be planted again, or the edit undone."""
    assert Circuit.read(SHIPPED[seed] / "circuit.json").code == code_hash(planting.code_files())


@each_seed
def test_a_few_fresh_prompts_bear_the_claim_out(seed: int) -> None:
    circuit, checks = Circuit.read(SHIPPED[seed] / "circuit.json"), planting.spec_of(seed).checks
    m = Measure(load(SHIPPED[seed]), planting.fresh(77, 12, checks.mixed))
    assert m.accuracy() >= 0.95
    assert m.accuracy(m.logits((), circuit.edges["out"])) >= 0.95
    for name, entry in circuit.variables.items():
        places = {node: circuit.nodes[node]["position"] for node in entry["nodes"]}
        assert m.interchange(m.logits(entry["nodes"], places=places), name) >= 0.9
    assert m.accuracy(m.logits(circuit.by_role("required", "backup", "negative"))) < 0.6


@each_seed
def test_transformers_answers_the_tasks_own_test_prompts(seed: int) -> None:
    tokenizer = AutoTokenizer.from_pretrained(SHIPPED[seed], local_files_only=True)
    model = AutoModelForCausalLM.from_pretrained(SHIPPED[seed], local_files_only=True)
    assert sum(p.numel() for p in model.parameters()) < 500_000
    test, hits = Induction().build(tokenizer, DataRequest()).split("test"), []
    with torch.no_grad():
        for row in test:
            hits.append(int(model(torch.tensor([row["ids"]])).logits[0, -1].argmax()) == row["answer_id"])
    assert np.mean(hits) >= 0.98


@pytest.mark.slow
@each_seed
def test_the_evidence_comes_out_again(seed: int) -> None:
    shipped: dict[str, Any] = Circuit.read(SHIPPED[seed] / "circuit.json").evidence
    again = planting.verify(SHIPPED[seed])
    assert again["failed"] == []
    for key, value in again.items():
        if isinstance(value, float):
            assert value == pytest.approx(shipped[key], abs=2e-3, rel=1e-3), key
