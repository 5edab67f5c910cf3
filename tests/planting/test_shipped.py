"""The shipped planted models: their claims are complete, and their weights keep them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from bench.planting.evidence.circuit import Circuit
from bench.planting.evidence.measure import Measure
from bench.planting.export import load
from bench.planting.graph import Graph
from bench.planting.train import code_hash
from tasks.ioi import plant as ioi

PLANTED = Path(ioi.__file__).parent / "planted"
SEEDS = range(5)


@pytest.fixture(params=SEEDS, ids=lambda seed: f"seed{seed}")
def directory(request: pytest.FixtureRequest) -> Path:
    return PLANTED / f"seed{request.param}"


def test_the_claim_names_every_node_and_edge_once(directory: Path) -> None:
    circuit, graph = Circuit.read(directory / "circuit.json"), Graph(6, 4)
    assert tuple(circuit.nodes) == graph.nodes
    edges = [edge for part in circuit.edges.values() for edge in part]
    assert len(edges) == 1108
    assert sorted(edges) == sorted(graph.edges)
    assert set(circuit.edges) == {"in", "out", "undetermined"}
    assert {node["role"] for node in circuit.nodes.values()} == {"required", "negative", "backup", "inert", "free"}
    assert len(circuit.by_role("required")) >= 6
    assert len(circuit.by_role("inert")) >= 2
    for name, entry in circuit.variables.items():
        assert len(entry["nodes"]) >= 2
        assert all(circuit.nodes[node]["variable"] == name for node in entry["nodes"])


def test_the_shipped_evidence_is_whole(directory: Path) -> None:
    circuit = Circuit.read(directory / "circuit.json")
    assert circuit.seed == int(directory.name.removeprefix("seed"))
    assert circuit.evidence["failed"] == []
    assert circuit.evidence["accuracy"] >= 0.99


def test_the_code_that_made_the_models_is_the_one_here(directory: Path) -> None:
    """When this fails, the models have to be planted again, or the edit undone."""
    assert Circuit.read(directory / "circuit.json").code == code_hash(ioi.planting.code_files())


def test_transformers_loads_it_and_it_answers(directory: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(directory, local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True)
    assert sum(p.numel() for p in model.parameters()) < 500_000
    prompt = "When Mary and John went to the store, John gave a drink to"
    with torch.no_grad():
        logits = model(**tokenizer(prompt, return_tensors="pt")).logits[0, -1]
    assert tokenizer.decode(logits.argmax()).strip() == "Mary"


def test_a_few_fresh_prompts_bear_the_claim_out(directory: Path) -> None:
    circuit = Circuit.read(directory / "circuit.json")
    m = Measure(load(directory), ioi.fresh(77, 12, ioi.CHECKS.mixed))
    assert m.accuracy() >= 0.95
    assert m.accuracy(m.logits((), circuit.edges["out"])) >= 0.95
    for name, entry in circuit.variables.items():
        logits = m.logits(entry["nodes"], places=dict.fromkeys(entry["nodes"], entry["position"]))
        assert m.interchange(logits, name) >= 0.9
    everything = circuit.by_role("required", "backup", "negative")
    assert m.accuracy(m.logits(everything)) < 0.5


@pytest.mark.slow
def test_the_evidence_comes_out_again(directory: Path) -> None:
    shipped: dict[str, Any] = Circuit.read(directory / "circuit.json").evidence
    again = ioi.planting.verify(directory)
    assert again["failed"] == []
    for key, value in again.items():
        if isinstance(value, float):
            assert value == pytest.approx(shipped[key], abs=2e-3, rel=1e-3), key
