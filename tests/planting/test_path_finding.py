"""Path-finding's planted models: their prompts read again as words, and their claims borne out by the weights."""

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
from tasks.path_finding import PathFinding
from tasks.path_finding.plant import planting, spec
from tasks.path_finding.plant_prompts import KINDS, sample, vocabulary

SHIPPED = planting.shipped()
each_seed = pytest.mark.parametrize("seed", sorted(SHIPPED))


def words(ids: torch.Tensor) -> list[str]:
    return [vocabulary()[int(i)] for i in ids]


def read(prompt: list[str]) -> tuple[dict[str, str], str, str]:
    """Each node's parent, the root and the goal."""
    assert prompt[1:21:3] == [">"] * 7 and prompt[22::2] == [":", ">"]
    return dict(zip(prompt[2:21:3], prompt[0:21:3], strict=True)), prompt[23], prompt[21]


def up(parents: dict[str, str], node: str) -> list[str]:
    """The nodes from ``node`` up, the root left out; none where it is not below the root."""
    return [node, *up(parents, parents[node])] if node in parents else []


@pytest.mark.parametrize("kind", KINDS)
def test_pairs_are_what_their_kind_says(kind: str) -> None:
    pairs = sample(np.random.default_rng(5), 200, {kind: 1.0})
    depths = []
    for i in range(200):
        parents, root, goal = read(words(pairs.base[i]))
        there, start, asked = read(words(pairs.source[i]))
        path, other = up(parents, goal), up(there, asked)
        depths.append(len(path))
        assert (words([pairs.answer[i]]), words([pairs.source_answer[i]])) == ([path[-1]], [other[-1]])
        wrong = words([pairs.wrong[i]])[0]
        assert parents[wrong] == root and wrong != path[-1] and wrong in parents.values()
        for step in (1, 2):
            target = int(pairs.targets[f"A{step}"][i])
            taken = up(parents, other[step]) if step < len(other) and step < len(path) else []
            assert target == (vocabulary().index(taken[-1]) if 0 < len(taken) <= 3 - step else -1)
        assert words([pairs.targets["answer"][i]]) == [other[-1]]
        from_there = up(parents, asked)
        assert int(pairs.targets["goal"][i]) == (vocabulary().index(from_there[-1]) if len(from_there) > 1 else -1)
        same = list(there) == list(parents)
        assert int(pairs.targets["tree"][i]) == (vocabulary().index(up(there, goal)[-1]) if same else -1)
        assert {"random": True, "relabel": True, "goal": there == parents, "swap": same and there != parents}[kind]
        assert kind != "relabel" or {start, *there} == {root, *parents}
        assert kind in ("random", "relabel") or (start, asked == goal) == (root, kind == "swap")
        base = words(pairs.base[i])
        at = {name: int(spots[0][i]) for name, spots in pairs.positions.items()}
        assert base[at["CHILD"]] in parents and parents[base[at["CHILD"]]] == base[at["PARENT"]]
        assert [base[at[name]] for name in ("SIGN", "GOAL", "ROOT", "ANSWER")] == [">", goal, root, path[-1]]
        assert (base[at["LOOK1"]], base[at["LOOK2"]]) == (goal, path[1])
        assert all(at[name] % 3 == 2 for name in ("CHILD", "ANSWER", "LOOK1", "LOOK2")) and at["END"] == 24
    assert 70 < depths.count(2) < 130 and depths.count(2) + depths.count(3) == 200


def test_the_spec_is_sound() -> None:
    spec().check()
    assert len(vocabulary()) == spec().shape.vocab == len(set(vocabulary()))


@each_seed
def test_the_claim_is_whole(seed: int) -> None:
    circuit = Circuit.read(SHIPPED[seed] / "circuit.json")
    assert circuit.seed == seed and circuit.evidence["failed"] == [] and circuit.evidence["accuracy"] >= 0.99
    assert {node["role"] for node in circuit.nodes.values()} == {"required", "negative", "backup", "inert", "free"}
    assert len(circuit.by_role("required")) == 7
    assert {n: len(entry["nodes"]) for n, entry in circuit.variables.items()} == {"A1": 1, "A2": 1, "answer": 2}


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
        assert m.interchange(m.logits(entry["nodes"], places=dict.fromkeys(entry["nodes"], "END")), name) >= 0.9
    assert m.accuracy(m.logits(circuit.by_role("required", "backup", "negative"))) < 0.2


@each_seed
def test_transformers_answers_the_tasks_own_test_prompts(seed: int) -> None:
    tokenizer = AutoTokenizer.from_pretrained(SHIPPED[seed], local_files_only=True)
    model = AutoModelForCausalLM.from_pretrained(SHIPPED[seed], local_files_only=True)
    assert sum(p.numel() for p in model.parameters()) < 500_000
    test = PathFinding().build(tokenizer, DataRequest()).split("test")
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
