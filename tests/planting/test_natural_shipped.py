"""The natural models that ship: learnt, honest about their circuit, and made by the code that is here."""

import pytest
import torch

from bench.cli.planters import NATURAL, planters
from bench.harness.errors import CallError
from bench.planting.evidence.circuit import Circuit
from bench.planting.export import load
from bench.planting.natural import stored
from bench.planting.natural.truth import edge_classes, node_roles
from bench.planting.train import code_hash
from bench.registry import PluginError, discover


def models():
    registries, found = discover(), []
    for name in registries.tasks.names():
        try:
            maker = planters(name, registries)[NATURAL].maker
        except (CallError, PluginError):
            continue
        found += [pytest.param(maker, where, id=f"{name}-{seed}") for seed, where in maker.shipped().items()]
    return found


each = pytest.mark.parametrize("maker, where", models())


@each
def test_the_claim_is_what_the_measured_costs_say(maker, where):
    circuit, settings = Circuit.read(where / "circuit.json"), list(stored.read(where / stored.NAME).values())
    assert {name: node["role"] for name, node in circuit.nodes.items()} == node_roles(settings)
    assert circuit.edges == edge_classes(settings)
    assert (circuit.variant, circuit.evidence["truth"], circuit.evidence["failed"]) == ("natural", "ablation", [])
    assert set(circuit.evidence["settings"]) == set(stored.read(where / stored.NAME))


@each
def test_it_is_made_by_this_code_in_the_planted_models_shape(maker, where):
    circuit, shape = Circuit.read(where / "circuit.json"), load(where).shape
    assert circuit.code == code_hash(maker.code_files())
    assert shape == maker.spec().shape
    assert sum(p.numel() for p in load(where).parameters()) <= 500_000


@each
def test_it_answers_fresh_prompts(maker, where):
    model, hits = load(where), []
    with torch.no_grad():
        for pairs in maker.task.fresh(77, 60, maker.spec().checks.mixed):
            hits.append(model(pairs.base).logits.argmax(-1) == pairs.answer)
    assert torch.cat(hits).double().mean() >= 0.98


@pytest.mark.slow
@each
def test_single_cuts_cost_the_same_on_other_prompts(maker, where):
    assert maker.verify(where)["failed"] == []
