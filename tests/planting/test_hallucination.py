"""Hallucination's planted models: prompts against a separate reading of their text, claims, weights, effects."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from bench.planting.evidence.circuit import Circuit
from bench.planting.evidence.measure import Measure
from bench.planting.export import load
from bench.planting.graph import Graph
from bench.planting.train import code_hash
from bench.task import DataRequest
from tasks.hallucination import Hallucination
from tasks.hallucination.causal import HallucinationCausalModel
from tasks.hallucination.effects import PARTS, SWITCHED, decided, effects
from tasks.hallucination.plant import fresh, planting
from tasks.hallucination.plant_prompts import KINDS, sample, serves, vocabulary
from tasks.hallucination.templates import PLANTED_TEMPLATES
from tests.tasks.test_hallucination import BY_HAND, INPUTS, read, setting_of

SEEDS = sorted(planting.shipped())
CAUSAL = HallucinationCausalModel()
WORDS = vocabulary()


def text(ids: torch.Tensor) -> str:
    """Token ids as the prompt that they were made from."""
    return " ".join(WORDS[i] for i in ids).replace(" .", ".").replace(" ,", ",")


def values(prompt: str) -> dict[str, str]:
    """What the test's own reader of texts says, as the causal model has it."""
    return {**read(prompt), "setting": setting_of(prompt)}


def word(token: torch.Tensor) -> str:
    return WORDS[token] if token >= 0 else ""


@pytest.mark.parametrize("template", PLANTED_TEMPLATES)
def test_pairs_say_what_a_separate_reading_of_their_text_says(template: str) -> None:
    pairs = sample(np.random.default_rng(3), 300, template=template)
    for i in range(300):
        base, source = values(text(pairs.base[i])), values(text(pairs.source[i]))
        assert base["setting"] == source["setting"]
        assert (word(pairs.answer[i]), word(pairs.source_answer[i])) == (base["answer"], source["answer"])
        held = {base[name] for name in INPUTS if base[name]} - {base["answer"]}
        wrong = word(pairs.wrong[i])
        assert {wrong} == held if base["setting"] in ("conflict", "premise") else wrong != base["answer"]
        assert word(pairs.targets["source"][i]) == source["answer"]
        for variable in CAUSAL.variables:
            said, target = CAUSAL.interchange(base, source, variable)["answer"], word(pairs.targets[variable][i])
            # a target is left out where the source gives the very answer of the base, by another way
            assert target == said or (target == "" and said == base["answer"])


@pytest.mark.parametrize("template", PLANTED_TEMPLATES)
def test_positions_hold_what_they_name(template: str) -> None:
    pairs = sample(np.random.default_rng(4), 200, template=template)
    for side, prompts in ((0, pairs.base), (1, pairs.source)):
        for i, ids in enumerate(prompts):
            found = values(text(ids))
            at = {name: int(places[side][i]) for name, places in pairs.positions.items()}
            said = {name: WORDS[ids[place]] if place >= 0 else "" for name, place in at.items()}
            assert (said["END"], at["END"], said["S"]) == ("speak", len(ids) - 1, found["S"])
            assert (said["C"], said["O"]) == (found["context"], found["O"])
            assert said["COPIED"] == (found["context"] if found["G"] == "context" else "speak")
            assert said["CARRIED"] == (found["O"] if found["G"] == "premise" else "speak")
            assert found["S"] not in [WORDS[t] for t in ids[at["S"] + 1 :]]


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_changes_what_it_names_and_nothing_else(kind: str) -> None:
    named = {"cue": {"G"}, "context": {"context", "premise"}, "subject": {"S"}, "agree": {"context", "premise"}}
    setting, _, change = kind.partition("_")
    for template in (t for t in PLANTED_TEMPLATES if serves(t, kind)):
        pairs, changed = sample(np.random.default_rng(5), 200, {kind: 1.0}, template), Counter[bool]()
        for i in range(200):
            base, source = values(text(pairs.base[i])), values(text(pairs.source[i]))
            assert base["setting"] == setting
            differ = {v for v in ("S", "G", "context", "premise") if base[v] != source[v]}
            if change:
                changed[bool(differ)] += 1
                assert differ <= named[change]
            if change == "agree":
                assert (source["context"] or source["premise"]) == source["memory"]
        assert not change or changed == {True: 200}
        assert change or len({text(ids) for ids in pairs.source}) > 150


def test_decisions_are_read_off_the_cue() -> None:
    for template in PLANTED_TEMPLATES:
        pairs = sample(np.random.default_rng(6), 100, template=template)
        for source in ("context", "memory", "premise"):
            expected = [values(text(ids))["G"] == source for ids in pairs.base]
            assert decided(pairs, source).tolist() == expected


@pytest.fixture(params=SEEDS, ids=lambda seed: f"seed{seed}")
def directory(request: pytest.FixtureRequest) -> Path:
    return planting.shipped()[request.param]


def test_the_claim_names_every_node_and_edge_once(directory: Path) -> None:
    circuit, graph = Circuit.read(directory / "circuit.json"), Graph(5, 4, parallel=True)
    assert tuple(circuit.nodes) == graph.nodes
    assert sorted(edge for part in circuit.edges.values() for edge in part) == sorted(graph.edges)
    roles = Counter(node["role"] for node in circuit.nodes.values())
    assert roles == {"required": 11, "backup": 3, "negative": 1, "inert": 2, "free": 8}
    assert {name: len(entry["nodes"]) for name, entry in circuit.variables.items()} == dict.fromkeys("SGMCF", 2)
    assert set(circuit.groups) == {"context", "memory", "premise", "shared"}
    assert set(circuit.groups["shared"]) == set(circuit.variables["G"]["nodes"])
    assert {n for part in circuit.groups.values() for n in part} == set(circuit.by_role("required"))


def test_seeds_have_their_roles_in_other_heads() -> None:
    circuits = [Circuit.read(path / "circuit.json") for path in planting.shipped().values()]
    assert [circuit.seed for circuit in circuits] == list(range(5))
    roles = [str([(node["role"], node["variable"]) for node in circuit.nodes.values()]) for circuit in circuits]
    assert len(set(roles)) == len(roles)


def test_the_shipped_evidence_is_whole_and_made_by_the_code_here(directory: Path) -> None:
    """When the hashes differ, the models have to be planted again, or the edit undone."""
    circuit = Circuit.read(directory / "circuit.json")
    assert circuit.evidence["failed"] == [] and circuit.evidence["accuracy"] >= 0.99
    assert circuit.code == code_hash(planting.code_files())
    assert Hallucination().planted()[circuit.seed] == directory


def test_transformers_loads_it_and_it_answers_and_hallucinates_as_told(directory: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(directory, local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True)
    assert sum(p.numel() for p in model.parameters()) < 500_000
    for prompt, (answer, _, _) in BY_HAND.items():
        with torch.no_grad():
            logits = model(**tokenizer(prompt, return_tensors="pt")).logits[0, -1]
        assert tokenizer.decode(logits.argmax()).strip() == answer, prompt


def test_it_knows_the_task_s_own_examples(directory: Path) -> None:
    model, tokenizer = load(directory), AutoTokenizer.from_pretrained(directory, local_files_only=True)
    data = Hallucination().build(tokenizer, DataRequest(sizes={"train": 6, "validation": 6, "test": 120}))
    rows = list(data.split("test"))
    with torch.no_grad():
        said = [int(model(torch.tensor([row["ids"]])).logits.argmax()) for row in rows]
    assert np.mean([token == row["answer_id"] for token, row in zip(said, rows, strict=True)]) >= 0.98


def test_a_few_fresh_prompts_bear_the_claim_out(directory: Path) -> None:
    circuit = Circuit.read(directory / "circuit.json")
    m = Measure(load(directory), fresh(77, 40, planting.spec_of(circuit.seed).checks.mixed))
    assert m.accuracy() >= 0.97
    assert m.accuracy(m.logits((), circuit.edges["out"])) >= 0.95
    for name, entry in circuit.variables.items():
        logits = m.logits(entry["nodes"], places=dict.fromkeys(entry["nodes"], entry["position"]))
        assert m.interchange(logits, name) >= 0.9
    everything = circuit.by_role("required", "backup", "negative")
    assert m.accuracy(m.logits(everything)) < 0.3


def test_the_decision_turns_hallucinations_and_cuts_spare_what_is_off_target(directory: Path) -> None:
    found = effects(directory, 20)
    assert all(found[part] >= 0.95 for part in list(PARTS)[:SWITCHED])
    for how in ("resample", "zero"):
        assert found[f"plain recall: copying heads {how}"] >= 0.95
        assert found[f"plain recall: false-premise heads {how}"] >= 0.95
        assert found[f"plain copying: memory nodes {how}"] >= 0.95
        assert found[f"plain copying: false-premise heads {how}"] >= 0.95
        assert found[f"plain recall: memory nodes {how}"] <= 0.2
        assert found[f"plain copying: copying heads {how}"] <= 0.2


@pytest.mark.slow
def test_the_evidence_comes_out_again(directory: Path) -> None:
    shipped: dict[str, Any] = Circuit.read(directory / "circuit.json").evidence
    again = planting.verify(directory)
    assert again["failed"] == []
    for key, value in again.items():
        if isinstance(value, float):
            assert value == pytest.approx(shipped[key], abs=2e-3, rel=1e-3), key
