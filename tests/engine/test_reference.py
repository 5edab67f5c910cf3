"""The reference itself: against the models' own forward, and against what must change when a model is broken."""

from __future__ import annotations

import random

import pytest
import torch

from bench.graph import ComponentGraph
from tests.engine.reference import Reference
from tests.engine.tiny import LAYERS, NAMES, pairs, tiny

TOLERANCE = 2e-5


def close(a: torch.Tensor, b: torch.Tensor) -> bool:
    return bool((a - b).abs().max() <= TOLERANCE * b.abs().max())


@pytest.fixture(params=NAMES)
def reference(request: pytest.FixtureRequest) -> Reference:
    return Reference(tiny(request.param))


@torch.no_grad()
def test_sources_and_biases_sum_to_the_last_residual(reference: Reference) -> None:
    """The rest, the biases of the out-projections, does not depend on the prompt or the position."""
    clean, corrupt = pairs()
    rests = []
    for ids in (clean[0], corrupt[0]):
        run = reference.plain(ids)
        rests.append(run.residual - sum(run.sources.values()))
    spread = torch.cat(rests) - rests[0][0]
    assert spread.abs().max() <= 1e-5 * run.residual.abs().max()


@torch.no_grad()
def test_full_and_empty_circuits_are_the_clean_and_the_corrupt_run(reference: Reference) -> None:
    graph = ComponentGraph(LAYERS, reference.n_heads, reference.parallel)
    for ids, other in zip(*pairs(), strict=True):
        clean, corrupt = reference.plain(ids), reference.plain(other)
        assert not close(clean.logits, corrupt.logits)
        assert close(reference.circuit(ids).logits, clean.logits)
        assert close(reference.circuit(ids, graph.edges, corrupt.sources).logits, corrupt.logits)
        assert close(reference.circuit(ids, replace=corrupt.sources).logits, corrupt.logits)


@torch.no_grad()
def test_cutting_all_edges_of_a_node_is_replacing_it(reference: Reference) -> None:
    graph = ComponentGraph(LAYERS, reference.n_heads, reference.parallel)
    clean, corrupt = (prompts[0] for prompts in pairs())
    there = reference.plain(corrupt).sources
    for node in ("input", "a0.h2", "m0", f"a{LAYERS - 1}.h1"):
        cut = [edge for edge in graph.edges if edge.startswith(f"{node}->")]
        one = reference.circuit(clean, cut, there).logits
        assert close(one, reference.circuit(clean, replace={node: there[node]}).logits)


@torch.no_grad()
def test_every_kind_of_edge_matters(reference: Reference) -> None:
    graph = ComponentGraph(LAYERS, reference.n_heads, reference.parallel)
    clean, corrupt = (prompts[0] for prompts in pairs())
    there, here = reference.plain(corrupt).sources, reference.plain(clean).logits
    for part in ("<q>", "<k>", "<v>", "->m", "->logits"):
        edges = [edge for edge in graph.edges if part in edge]
        chosen = random.Random(part).sample(edges, 3)
        moved = reference.circuit(clean, chosen, there).logits
        assert (moved - here).abs().max() > 1e-4 * here.abs().max(), (part, chosen)
