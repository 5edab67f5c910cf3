"""Patching of nodes, sets and edges against hooks on eager attention, one intervention at a time."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tests.engine.double import double
from tests.engine.reference import Run
from tests.engine.support import TOLERANCE, Pair, error, logits_of, same
from tests.engine.tiny import NAMES, VOCAB

WEIGHTS = torch.linspace(-1, 1, VOCAB, dtype=torch.float64).cos()


@pytest.fixture(scope="module", params=NAMES)
def pair(request: pytest.FixtureRequest) -> Pair:
    return Pair(request.param)


def read(logits: Tensor) -> Tensor:
    """``[B, V]`` to ``[B]``: a number that every logit moves."""
    return logits @ WEIGHTS.to(logits.dtype)


def swap(names: list[str], other: Run, positions: list[int] | None = None) -> Callable[[str, Tensor], Tensor]:
    """For :meth:`Reference.plain`: nodes take their value of another run, at some positions."""
    values = {**other.sources, **other.z}

    def change(name: str, value: Tensor) -> Tensor:
        if name not in names:
            return value
        where = torch.zeros(len(value), dtype=torch.bool)
        where[slice(None) if positions is None else positions] = True
        return torch.where(where[:, None], values[name], value)

    return change


def patched(pair: Pair, names: list[str], positions: list[int] | None = None) -> Tensor:
    """``[B]`` read-outs with nodes of the corrupt run in the clean one, from the reference."""
    others = pair.plain(pair.other_ids)
    with torch.no_grad():
        runs = [
            pair.reference.plain(ids, swap(names, other, positions))
            for ids, other in zip(pair.ids, others, strict=True)
        ]
    return read(logits_of(runs))


def check_nodes(pair: Pair, tolerance: float) -> None:
    found = pair.engine.patch_nodes(pair.tokens, pair.engine.sources(pair.others), pair.graph.components, read)
    expected = torch.stack([patched(pair, [name]) for name in pair.graph.components])
    assert same(found, expected, tolerance)


def test_patched_nodes_equal_the_reference(pair: Pair) -> None:
    check_nodes(pair, TOLERANCE[torch.float32])


@pytest.mark.parametrize("name", ["gpt2", "llama", "gpt_neox", "gemma2", "olmo2"])
def test_patched_nodes_equal_the_reference_in_fp64(name: str) -> None:
    with double():
        check_nodes(Pair(name, torch.float64), 1e-9)


def test_nodes_patched_at_positions_equal_the_reference(pair: Pair) -> None:
    positions = [2, 5]
    where = torch.zeros_like(pair.tokens.mask)
    for row, offset in enumerate(pair.tokens.offset.tolist()):
        where[row, [offset + p for p in positions]] = True
    found = pair.engine.patch_nodes(pair.tokens, pair.engine.sources(pair.others), pair.graph.components, read, where)
    expected = torch.stack([patched(pair, [name], positions) for name in pair.graph.components])
    assert same(found, expected)


def test_sets_of_nodes_equal_the_reference(pair: Pair) -> None:
    draw = random.Random(0)
    sets = [draw.sample(pair.graph.components, size) for size in (1, 2, 4, 7)]
    sets += [["m0", "m1"], ["a1.h0", "a1.h3"], []]
    found = pair.engine.patch_sets(pair.tokens, pair.engine.sources(pair.others), sets, read)
    assert same(found, torch.stack([patched(pair, names) for names in sets]))


def test_patching_every_node_gives_an_independent_corrupt_run(pair: Pair) -> None:
    """All heads and MLPs of the corrupt run, and its embeddings, in the clean one."""
    everything = [list(pair.graph.components)]
    found = pair.engine.patch_sets(
        pair.tokens, pair.engine.sources(pair.others), everything, read, input=pair.engine.embed(pair.others)
    )
    assert same(found[0], read(logits_of(pair.plain(pair.other_ids))), 2e-5)


def edge_by_edge(pair: Pair, edges: list[str]) -> Tensor:
    """``[n_edges, B]`` from the reference."""
    others = [run.sources for run in pair.plain(pair.other_ids)]
    with torch.no_grad():
        return torch.stack([
            read(logits_of([pair.reference.circuit(ids, [e], a) for ids, a in zip(pair.ids, others, strict=True)]))
            for e in edges
        ])  # fmt: skip


def test_patched_edges_equal_the_reference(pair: Pair) -> None:
    edges = random.Random(1).sample(pair.graph.edges, 30)
    found = pair.engine.patch_edges(pair.tokens, pair.engine.sources(pair.others), edges, read)
    assert same(found, edge_by_edge(pair, edges))


@pytest.mark.parametrize("name", ["gpt2", "llama", "gpt_neox", "gemma2", "olmo2"])
def test_patched_edges_equal_the_reference_in_fp64(name: str) -> None:
    with double():
        pair = Pair(name, torch.float64)
        edges = random.Random(2).sample(pair.graph.edges, 12)
        found = pair.engine.patch_edges(pair.tokens, pair.engine.sources(pair.others), edges, read)
        assert same(found, edge_by_edge(pair, edges), 1e-9)


def test_effects_of_edges_are_those_of_circuits_without_them(pair: Pair) -> None:
    edges = random.Random(3).sample(pair.graph.edges, 10)
    ablation = pair.engine.sources(pair.others)
    found = pair.engine.patch_edges(pair.tokens, ablation, edges, read)
    for edge, value in zip(edges, found, strict=True):
        kept = pair.graph.edge_mask([e != edge for e in pair.graph.edges])
        circuit = pair.engine.run_circuit(pair.tokens, torch.from_numpy(kept), ablation)
        assert (read(circuit) - value).abs().max() <= 1e-4 * found.abs().max()


@pytest.mark.slow
def test_all_patched_edges_equal_the_reference(pair: Pair) -> None:
    edges = list(pair.graph.edges)
    found = pair.engine.patch_edges(pair.tokens, pair.engine.sources(pair.others), edges, read)
    assert error(found, edge_by_edge(pair, edges)) <= TOLERANCE[torch.float32]
