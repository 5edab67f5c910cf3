"""Circuits against independent runs and against brute force."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bench.graph import ComponentGraph
from tests.engine.double import double
from tests.engine.support import TOLERANCE, Pair, error, logits_of, same
from tests.engine.tiny import NAMES

SHARES = (0.95, 0.7, 0.3, 0.05)


@pytest.fixture(scope="module", params=NAMES)
def pair(request: pytest.FixtureRequest) -> Pair:
    return Pair(request.param)


def table(graph: ComponentGraph, kept: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(graph.edge_mask(kept))


def random_edges(graph: ComponentGraph, share: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random(graph.n_edges) < share


def brute(pair: Pair, kept: np.ndarray) -> torch.Tensor:
    """``[B, V]`` of a counterfactual-ablated circuit, from the reference."""
    cut = [edge for edge, keep in zip(pair.graph.edges, kept, strict=True) if not keep]
    with torch.no_grad():
        there = [run.sources for run in pair.plain(pair.other_ids)]
        return logits_of([pair.reference.circuit(ids, cut, a) for ids, a in zip(pair.ids, there, strict=True)])


def test_logits_are_those_of_eager_attention(pair: Pair) -> None:
    assert same(pair.engine.logits(pair.tokens), logits_of(pair.plain(pair.ids)), 1e-5)


def test_the_full_circuit_gives_the_clean_run(pair: Pair) -> None:
    kept = torch.from_numpy(pair.graph.allowed)
    found = pair.engine.run_circuit(pair.tokens, kept, pair.engine.sources(pair.others))
    assert same(found, logits_of(pair.plain(pair.ids)), 1e-5)


def test_the_empty_circuit_gives_an_independent_corrupt_run(pair: Pair) -> None:
    kept = torch.zeros_like(torch.from_numpy(pair.graph.allowed))
    found = pair.engine.run_circuit(pair.tokens, kept, pair.engine.sources(pair.others))
    assert same(found, logits_of(pair.plain(pair.other_ids)), 2e-5)


@pytest.mark.parametrize("share", SHARES)
def test_random_circuits_equal_brute_force(pair: Pair, share: float) -> None:
    kept = random_edges(pair.graph, share, seed=int(100 * share))
    found = pair.engine.run_circuit(pair.tokens, table(pair.graph, kept), pair.engine.sources(pair.others))
    assert same(found, brute(pair, kept))


@pytest.mark.parametrize("part", ["<q>", "<k>", "<v>", "->m", "->logits", "a0.h1->", "input->"])
def test_circuits_with_one_kind_of_edge_cut_equal_brute_force(pair: Pair, part: str) -> None:
    kept = np.array([part not in edge for edge in pair.graph.edges])
    found = pair.engine.run_circuit(pair.tokens, table(pair.graph, kept), pair.engine.sources(pair.others))
    assert same(found, brute(pair, kept))


@pytest.mark.parametrize("name", NAMES)
def test_circuits_equal_brute_force_in_fp64(name: str) -> None:
    with double():
        pair = Pair(name, torch.float64)
        kept = random_edges(pair.graph, 0.5, seed=7)
        found = pair.engine.run_circuit(pair.tokens, table(pair.graph, kept), pair.engine.sources(pair.others))
        assert found.dtype == torch.float64
        assert same(found, brute(pair, kept))


def test_several_circuits_in_one_call_are_the_single_ones(pair: Pair) -> None:
    tables = torch.stack([table(pair.graph, random_edges(pair.graph, share, 1)) for share in SHARES])
    ablation = pair.engine.sources(pair.others)
    together = pair.engine.run_circuit(pair.tokens, tables, ablation)
    for kept, found in zip(tables, together, strict=True):
        assert same(found, pair.engine.run_circuit(pair.tokens, kept, ablation), 1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_zero_ablation_equals_brute_force(name: str) -> None:
    """In fp64: what is left of a stream whose sources are all cut is rounding, and RMS norms blow it up."""
    with double():
        pair = Pair(name, torch.float64)
        kept = random_edges(pair.graph, 0.5, seed=3)
        nothing = pair.engine.sources(pair.others).zeros_like()
        found = pair.engine.run_circuit(pair.tokens, table(pair.graph, kept), nothing)
        cut = [edge for edge, keep in zip(pair.graph.edges, kept, strict=True) if not keep]
        with torch.no_grad():
            zeros = [{n: torch.zeros_like(x) for n, x in run.sources.items()} for run in pair.plain(pair.ids)]
            expected = [pair.reference.circuit(ids, cut, a) for ids, a in zip(pair.ids, zeros, strict=True)]
        assert same(found, logits_of(expected), 1e-7)


@pytest.mark.parametrize("share", [0.05, 0.1, 0.3])
def test_pruning_leaves_the_logits_of_a_counterfactual_circuit(pair: Pair, share: float) -> None:
    if pair.engine.wiring.post_norm:
        pytest.skip("a dangling head still counts in the scale of the norm behind attention")
    kept = random_edges(pair.graph, share, seed=int(1000 * share))
    pruned = pair.graph.prune(kept)
    assert pruned.sum() < kept.sum()
    ablation = pair.engine.sources(pair.others)
    before, after = (pair.engine.run_circuit(pair.tokens, table(pair.graph, k), ablation) for k in (kept, pruned))
    assert same(after, before, 2e-5)


def test_an_input_of_ones_own_enters_block_0(pair: Pair) -> None:
    stream = pair.engine.embed(pair.others)
    found = pair.engine.run_circuit(
        pair.tokens, torch.from_numpy(pair.graph.allowed), pair.engine.sources(pair.tokens), input=stream
    )
    assert same(found, logits_of(pair.plain(pair.other_ids)), 2e-5)
    assert same(pair.engine.logits(pair.tokens, input=stream), found, 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_many_random_circuits_equal_brute_force(pair: Pair, seed: int) -> None:
    kept = random_edges(pair.graph, np.random.default_rng(seed).random(), seed)
    found = pair.engine.run_circuit(pair.tokens, table(pair.graph, kept), pair.engine.sources(pair.others))
    assert error(found, brute(pair, kept)) <= TOLERANCE[torch.float32]
