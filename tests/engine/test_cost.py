"""Costs are counted as full-model passes per example, as if nothing were shared or skipped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from bench.data import pad
from bench.engine import Engine
from tests.engine.test_patching import read
from tests.engine.tiny import pairs, tiny

CLEAN, CORRUPT = (pad(prompts) for prompts in pairs())
B = len(CLEAN)
HEADS = ["a0.h0", "a0.h1", "a1.h2"]


def circuits(engine: Engine, count: int) -> Any:
    return engine.run_circuit(CLEAN, torch.ones(count, *engine.graph.allowed.shape, dtype=torch.bool), sources(engine))


def sources(engine: Engine) -> Any:
    found = engine.sources(CORRUPT)
    engine.cost.reset()
    return found


def edges(engine: Engine, streams: int | None) -> Any:
    here = sources(engine)
    inputs = None if streams is None else [engine.embed(CLEAN)] * streams
    return engine.edge_attribution(CLEAN, here, here, read, inputs)


CALLS: dict[str, tuple[Callable[[Engine], Any], float, float]] = {
    "logits": (lambda e: e.logits(CLEAN), 1, 0),
    "sources": (lambda e: e.sources(CLEAN), 1, 0),
    "embed": (lambda e: e.embed(CLEAN), 0, 0),
    "attention": (lambda e: e.attention(CLEAN), 1, 0),
    "one circuit": (lambda e: circuits(e, 1), 1, 0),
    "five circuits": (lambda e: circuits(e, 5), 5, 0),
    "three nodes": (lambda e: e.patch_nodes(CLEAN, sources(e), HEADS, read), 4, 0),
    "two sets": (lambda e: e.patch_sets(CLEAN, sources(e), [HEADS, HEADS[:1]], read), 3, 0),
    "two edges": (lambda e: e.patch_edges(CLEAN, sources(e), ["input->m0", "m0->logits"], read), 3, 0),
    "node attribution": (lambda e: e.node_attribution(CLEAN, sources(e), read), 1, 1),
    "edge attribution": (lambda e: edges(e, None), 1, 1),
    "edge attribution at four inputs": (lambda e: edges(e, 4), 4, 4),
}


@pytest.mark.parametrize("name", CALLS)
def test_passes_per_example(name: str) -> None:
    engine = Engine(tiny("gpt2"))
    assert (engine.cost.forwards, engine.cost.backwards) == (0, 0)  # the self-check is nobody's cost
    call, forwards, backwards = CALLS[name]
    call(engine)
    assert (engine.cost.forwards / B, engine.cost.backwards / B) == (forwards, backwards)
    engine.cost.reset()
    assert (engine.cost.forwards, engine.cost.backwards) == (0, 0)
