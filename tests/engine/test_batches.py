"""Figures depend on neither the padding side, the batch size, nor how many interventions share a batch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.data import Tokens, pad
from bench.engine import Engine
from tests.engine.support import error
from tests.engine.test_patching import read
from tests.engine.tiny import NAMES, pairs, tiny

LENGTHS = (12, 9, 11, 7)
EDGES = ("input->a0.h1<k>", "a0.h2->a1.h3<q>", "m0->a1.h0<v>", "a0.h0->m1", "a1.h1->logits")
Figure = Callable[[Engine, Tokens, Tokens], Tensor]


def random_circuit(engine: Engine, tokens: Tokens, others: Tokens) -> Tensor:
    kept = engine.graph.edge_mask(np.random.default_rng(0).random(engine.graph.n_edges) < 0.5)
    return read(engine.run_circuit(tokens, torch.from_numpy(kept), engine.sources(others)))[None]


def nodes(engine: Engine, tokens: Tokens, others: Tokens) -> Tensor:
    return engine.patch_nodes(tokens, engine.sources(others), engine.graph.components, read)


def edges(engine: Engine, tokens: Tokens, others: Tokens) -> Tensor:
    return engine.patch_edges(tokens, engine.sources(others), EDGES, read)


def node_scores(engine: Engine, tokens: Tokens, others: Tokens) -> Tensor:
    return engine.node_attribution(tokens, engine.sources(others) - engine.sources(tokens), read)


def edge_scores(engine: Engine, tokens: Tokens, others: Tokens) -> Tensor:
    """Summed over the batch, so as one column."""
    return engine.edge_attribution(tokens, engine.sources(others), engine.sources(tokens), read)


FIGURES: dict[str, Figure] = {f.__name__: f for f in (random_circuit, nodes, edges, node_scores, edge_scores)}


@pytest.fixture(scope="module", params=NAMES)
def engine(request: pytest.FixtureRequest) -> Engine:
    return Engine(tiny(request.param), check=False)


def in_batches(engine: Engine, figure: Figure, size: int, side: str) -> Tensor:
    clean, corrupt = pairs(LENGTHS)
    parts = [
        figure(engine, pad(clean[i : i + size], side=side), pad(corrupt[i : i + size], side=side))
        for i in range(0, len(clean), size)
    ]
    return sum(parts) if figure is edge_scores else torch.cat(parts, dim=1)  # type: ignore[return-value]


@pytest.mark.parametrize("name", FIGURES)
def test_padding_side_and_batch_size_do_not_matter(engine: Engine, name: str) -> None:
    expected = in_batches(engine, FIGURES[name], 1, "left")
    for size, side in ((1, "right"), (3, "left"), (3, "right"), (4, "left"), (4, "right")):
        assert error(in_batches(engine, FIGURES[name], size, side), expected) <= 1e-5, (size, side)


@pytest.mark.parametrize("rows", [1, 7])
def test_interventions_per_batch_do_not_matter(engine: Engine, rows: int) -> None:
    clean, corrupt = (pad(prompts) for prompts in pairs(LENGTHS))
    for figure in (nodes, edges):
        expected = figure(engine, clean, corrupt)
        before, engine.rows = engine.rows, rows
        try:
            assert error(figure(engine, clean, corrupt), expected) <= 1e-5
        finally:
            engine.rows = before


def test_padding_tokens_do_not_matter(engine: Engine) -> None:
    clean, corrupt = pairs(LENGTHS)
    for figure in FIGURES.values():
        one, other = (figure(engine, pad(clean, pad_id=i), pad(corrupt, pad_id=i)) for i in (0, 5))
        assert error(other, one) <= 1e-5
