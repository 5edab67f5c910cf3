"""Identity rules' planted models: their prompts read again as words, and their claims borne out by the weights."""

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
from tasks.identity_rules import IdentityRules
from tasks.identity_rules.plant import planting, spec
from tasks.identity_rules.plant_prompts import KINDS, sample, vocabulary

SHIPPED = planting.shipped()
each_seed = pytest.mark.parametrize("seed", sorted(SHIPPED))


def words(ids: torch.Tensor) -> list[str]:
    return [vocabulary()[int(i)] for i in ids]


def read(prompt: list[str]) -> tuple[list[list[str]], list[str], set[str]]:
    """Items, query and the rules that the items follow ("" where one repeats nothing)."""
    assert prompt[1::5] == prompt[3::5] == ["^"] * 3
    items, query = [prompt[i : i + 5 : 2] for i in (0, 5)], prompt[10:13:2]
    return items, query, {"ABA" if c == a else "ABB" if c == b else "" for a, b, c in items}


@pytest.mark.parametrize("kind", KINDS)
def test_pairs_are_what_their_kind_says(kind: str) -> None:
    pairs = sample(np.random.default_rng(5), 200, {kind: 1.0})
    model, flips = IdentityRules.causal_model, 0
    for i in range(200):
        (items, query, rules), (others, asked, source_rules) = (read(words(p[i])) for p in (pairs.base, pairs.source))
        (rule,), (source_rule,) = rules, source_rules
        assert len({w for item in items for w in item} | set(query)) == 6
        values = model.values(rule, *query)
        assert words([pairs.answer[i], pairs.wrong[i]]) in (query, query[::-1])
        assert words([pairs.answer[i]]) == [values["answer"]]
        place = {name: int(at[0][i]) for name, at in pairs.positions.items()}
        base = words(pairs.base[i])
        assert base[place["ANSWER"]] == values["answer"] and place["END"] == 13 and place["THIRD"] == 9
        assert (place["LOOK0"], place["LOOK1"]) == ((5, 8) if rule == "ABA" else (8, 7))
        if kind == "none":
            assert source_rule == "" and len({w for item in others for w in item}) == 6
            assert int(pairs.source_answer[i]) == -1 and all(int(t[i]) == -1 for t in pairs.targets.values())
            continue
        source = model.values(source_rule, *asked)
        assert words([pairs.source_answer[i]]) == [source["answer"]]
        for name, target in pairs.targets.items():
            assert words([target[i]]) == [model.interchange(values, source, name)["answer"]]
        flips += rule != source_rule
        if kind == "abstract":
            assert asked == query and [o[2] for o in others] == [o[2] for o in items] and others != items
        if kind == "query":
            assert others == items and asked == query[::-1]
        if kind == "abstract_query":
            assert asked == query[::-1] and [o[:2] for o in others] == [o[1::-1] for o in items]
    expected = {"abstract": 200, "abstract_query": 200, "token": 0, "query": 0, "none": 0}
    assert flips == expected[kind] if kind in expected else 70 < flips < 130


def test_the_planted_words_are_the_tasks() -> None:
    spec().check()
    assert len(vocabulary()) == spec().shape.vocab == len(set(vocabulary()))


@each_seed
def test_the_claim_is_whole(seed: int) -> None:
    circuit = Circuit.read(SHIPPED[seed] / "circuit.json")
    assert circuit.seed == seed and circuit.evidence["failed"] == [] and circuit.evidence["accuracy"] >= 0.99
    assert {node["role"] for node in circuit.nodes.values()} == {"required", "negative", "backup", "inert", "free"}
    assert len(circuit.by_role("required")) == 7
    assert {name: len(entry["nodes"]) for name, entry in circuit.variables.items()} == dict.fromkeys(
        ("rule", "slot", "answer"), 2
    )


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
        places = dict.fromkeys(entry["nodes"], IdentityRules.causal_model.positions[name])
        assert m.interchange(m.logits(entry["nodes"], places=places), name) >= 0.9
    other = Measure(load(SHIPPED[seed]), planting.fresh(78, 40, checks.control))  # sources without the base's answer
    assert other.accuracy(other.logits(circuit.by_role("required", "backup", "negative"))) < 0.1


@each_seed
def test_transformers_answers_the_tasks_own_test_prompts(seed: int) -> None:
    tokenizer = AutoTokenizer.from_pretrained(SHIPPED[seed], local_files_only=True)
    model = AutoModelForCausalLM.from_pretrained(SHIPPED[seed], local_files_only=True)
    assert sum(p.numel() for p in model.parameters()) < 500_000
    test = IdentityRules().build(tokenizer, DataRequest()).split("test")
    with torch.no_grad():
        said = model(torch.tensor(test["ids"])).logits[:, -1].argmax(-1)
    assert (said == torch.tensor(test["answer_id"])).float().mean() >= 0.98


@pytest.mark.slow
@each_seed
def test_the_evidence_comes_out_again(seed: int) -> None:
    shipped: dict[str, Any] = Circuit.read(SHIPPED[seed] / "circuit.json").evidence
    again = planting.verify(SHIPPED[seed])
    assert again["failed"] == []
    for key, value in again.items():
        if isinstance(value, float):
            assert value == pytest.approx(shipped[key], abs=2e-3, rel=1e-3), key
