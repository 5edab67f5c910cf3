"""The trainer's masked pass and the benchmark's engine were written apart: they must agree on the shipped models."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bench.data import Tokens
from bench.engine import Engine
from bench.planting.evidence.circuit import Circuit
from bench.planting.export import load
from bench.planting.graph import Graph
from bench.planting.model import Cut
from bench.planting.spec import Pairs
from tasks.ioi import plant as ioi

PLANTED = Path(ioi.__file__).parent / "planted"


def tokens(ids: torch.Tensor) -> Tokens:
    return Tokens(ids, torch.ones_like(ids, dtype=torch.bool))


def by_engine(engine: Engine, pairs: Pairs, cut: torch.Tensor) -> torch.Tensor:
    return engine.run_circuit(tokens(pairs.base), ~cut.bool(), engine.sources(tokens(pairs.source)))


def by_trainer(directory: Path, pairs: Pairs, cut: torch.Tensor) -> torch.Tensor:
    model = load(directory)
    with torch.no_grad():
        return model.masked(pairs.base, Cut(model(pairs.source).sources[None], cut[None]))


def test_names_and_order_of_the_graph_agree() -> None:
    engine = Engine.load(PLANTED / "seed0")
    graph = Graph(6, 4)
    assert tuple(engine.graph.sources) == graph.sources
    assert tuple(engine.graph.destinations) == graph.destinations
    assert set(engine.graph.edges) == set(graph.edges)


@pytest.mark.parametrize("seed", range(5))
def test_any_set_of_edges_gives_the_same_logits(seed: int) -> None:
    directory = PLANTED / f"seed{seed}"
    engine, graph = Engine.load(directory), Graph(6, 4)
    circuit = Circuit.read(directory / "circuit.json")
    generator = torch.Generator().manual_seed(seed)
    everything = graph.mask(graph.edges)
    masks = [everything * (torch.rand(everything.shape, generator=generator) < share) for share in (0.1, 0.5, 1.0)]
    masks += [graph.mask(circuit.edges["out"]), graph.mask(circuit.edges["in"][:3])]
    for pairs in ioi.fresh(100 + seed, 6, {"random": 1.0})[:2]:
        for cut in masks:
            a, b = by_engine(engine, pairs, cut), by_trainer(directory, pairs, cut)
            assert (a - b).abs().max() <= 1e-5 * b.abs().max()


@pytest.mark.parametrize("kind", ioi.CHECKS.kinds)
@pytest.mark.parametrize("seed", range(5))
def test_out_edges_do_not_matter_to_the_engine_either(seed: int, kind: str) -> None:
    """`out` against each kind of counterfactual by itself."""
    directory = PLANTED / f"seed{seed}"
    circuit = Circuit.read(directory / "circuit.json")
    engine, cut = Engine.load(directory), Graph(6, 4).mask(circuit.edges["out"])
    hits = [by_engine(engine, p, cut).argmax(-1) == p.answer for p in ioi.fresh(7, 100, {kind: 1.0})]
    assert torch.cat(hits).double().mean() >= 0.98
