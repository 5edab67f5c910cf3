"""Attribution of nodes and edges against finite differences of the reference, in fp64."""

from __future__ import annotations

import random

import pytest
import torch
from torch import Tensor

from bench.engine import Sources
from tests.engine.differences import edge_derivative, node_derivative
from tests.engine.double import double
from tests.engine.support import Pair
from tests.engine.tiny import LENGTHS, NAMES, VOCAB

TOLERANCE = 2e-6
"""Of the largest derivative: what differences with this step are good for."""
FULL = ("gpt2", "llama", "gpt_neox", "gemma2", "olmo2")
MIX = torch.linspace(-2, 2, VOCAB, dtype=torch.float64).sin()


def objective(logits: Tensor) -> Tensor:
    """``[B, V]`` to ``[B]``: not linear in the logits, so that their scale is tested too."""
    return logits.log_softmax(dim=-1)[..., 7] + 0.1 * (logits @ MIX.to(logits.dtype))


def edge_scores(pair: Pair, ablation: Sources, clean: Sources, inputs: list[Tensor] | None = None) -> dict[str, float]:
    table = pair.engine.edge_attribution(pair.tokens, ablation, clean, objective, inputs)
    assert table.shape == pair.graph.allowed.shape
    assert not table[~torch.from_numpy(pair.graph.allowed)].any()
    return dict(zip(pair.graph.edges, table[pair.graph.edge_index].tolist(), strict=True))


def edge_differences(pair: Pair, edges: list[str]) -> dict[str, float]:
    """Central differences, two runs of the reference per edge and prompt."""
    clean, corrupt = pair.plain(pair.ids), pair.plain(pair.other_ids)
    result = dict.fromkeys(edges, 0.0)
    for edge in edges:
        source = edge.partition("->")[0]
        for ids, here, there in zip(pair.ids, clean, corrupt, strict=True):
            delta = there.sources[source] - here.sources[source]
            result[edge] += edge_derivative(pair.reference, ids, edge, delta, objective)
    return result


def edge_gradients(pair: Pair) -> dict[str, float]:
    """All edges at once: the reference's own gradient at what each destination reads."""
    result = dict.fromkeys(pair.graph.edges, 0.0)
    for ids, here, there in zip(pair.ids, pair.plain(pair.ids), pair.plain(pair.other_ids), strict=True):
        extra = {name: torch.zeros_like(here.sources["input"]) for name in pair.graph.destinations}
        for leaf in extra.values():
            leaf.requires_grad_()
        objective(pair.reference.circuit(ids, extra=extra).logits).backward()
        for edge in pair.graph.edges:
            source, _, destination = edge.partition("->")
            gradient = extra[destination].grad
            assert gradient is not None
            result[edge] += float(((there.sources[source] - here.sources[source]) * gradient).sum())
    return result


def check(found: dict[str, float], expected: dict[str, float]) -> None:
    largest = max(map(abs, expected.values()))
    assert largest > 1e-2
    worst = {edge: abs(found[edge] - value) / largest for edge, value in expected.items()}
    assert max(worst.values()) <= TOLERANCE, sorted(worst.items(), key=lambda item: -item[1])[:5]


def sample(pair: Pair, count: int) -> list[str]:
    """As many edges of each kind: q, k, v, MLP, logits."""
    draw = random.Random(count)
    kinds = [[e for e in pair.graph.edges if kind in e] for kind in ("<q>", "<k>", "<v>", "->m", "->logits")]
    return [edge for kind in kinds for edge in draw.sample(kind, min(len(kind), count // len(kinds)))]


@pytest.mark.parametrize("name", NAMES)
def test_edge_attribution_equals_finite_differences(name: str) -> None:
    with double():
        pair = Pair(name, torch.float64, lengths=LENGTHS if name in FULL else (7,))
        found = edge_scores(pair, pair.engine.sources(pair.others), pair.engine.sources(pair.tokens))
        check(found, edge_differences(pair, sample(pair, 15)))


@pytest.mark.parametrize("name", NAMES)
def test_edge_attribution_equals_the_gradients_of_the_reference(name: str) -> None:
    with double():
        pair = Pair(name, torch.float64)
        found = edge_scores(pair, pair.engine.sources(pair.others), pair.engine.sources(pair.tokens))
        check(found, edge_gradients(pair))


@pytest.mark.parametrize("name", NAMES)
def test_edge_attribution_in_fp32_is_that_in_fp64(name: str) -> None:
    pair = Pair(name)
    found = edge_scores(pair, pair.engine.sources(pair.others), pair.engine.sources(pair.tokens))
    with double():
        exact = Pair(name, torch.float64)
        expected = edge_scores(exact, exact.engine.sources(exact.others), exact.engine.sources(exact.tokens))
    largest = max(map(abs, expected.values()))
    assert max(abs(found[edge] - value) for edge, value in expected.items()) <= 1e-5 * largest


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_all_edge_attributions_equal_finite_differences(name: str) -> None:
    with double():
        pair = Pair(name, torch.float64, seed=1)
        found = edge_scores(pair, pair.engine.sources(pair.others), pair.engine.sources(pair.tokens))
        check(found, edge_differences(pair, list(pair.graph.edges)))


@pytest.mark.parametrize("name", NAMES)
def test_node_attribution_equals_finite_differences(name: str) -> None:
    with double():
        pair = Pair(name, torch.float64)
        delta = pair.engine.sources(pair.others) - pair.engine.sources(pair.tokens)
        found = pair.engine.node_attribution(pair.tokens, delta, objective)
        expected = torch.zeros_like(found)
        for b, (here, there) in enumerate(zip(pair.plain(pair.ids), pair.plain(pair.other_ids), strict=True)):
            for row, node in enumerate(pair.graph.components):
                values = [{**run.sources, **run.z}[node] for run in (here, there)]
                expected[row, b] = node_derivative(
                    pair.reference, pair.ids[b], node, values[1] - values[0], objective
                )  # fmt: skip
    assert found.shape == (len(pair.graph.components), len(pair.ids))
    assert (found - expected).abs().max() <= TOLERANCE * expected.abs().max()


@pytest.mark.parametrize("name", ["gpt2", "llama", "gemma2", "phi", "olmo2"])
def test_gradients_averaged_over_inputs_are_the_mean_of_single_ones(name: str) -> None:
    """Along the line between the prompts' streams: the reference is the plain sum, stream by stream."""
    with double():
        pair = Pair(name, torch.float64)
        ablation, clean = pair.engine.sources(pair.others), pair.engine.sources(pair.tokens)
        start, end = pair.engine.embed(pair.others), pair.engine.embed(pair.tokens)
        line = [start + (end - start) * a for a in (0.25, 0.5, 1.0)]
        together = edge_scores(pair, ablation, clean, line)
        single = [edge_scores(pair, ablation, clean, [stream]) for stream in line]
        assert single[2] == pytest.approx(edge_scores(pair, ablation, clean), rel=1e-9, abs=1e-12)
        mean = {edge: sum(s[edge] for s in single) / len(single) for edge in together}
        assert together == pytest.approx(mean, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", ["gpt2", "llama", "gemma2", "gpt_neox", "olmo2"])
def test_gradients_at_another_input_equal_finite_differences(name: str) -> None:
    """One stream that is no prompt's, as in integrated gradients."""
    with double():
        pair = Pair(name, torch.float64, lengths=(8,))
        ablation, clean = pair.engine.sources(pair.others), pair.engine.sources(pair.tokens)
        middle = (pair.engine.embed(pair.others) + pair.engine.embed(pair.tokens)) / 2
        found = edge_scores(pair, ablation, clean, [middle])
        edges = sample(pair, 15)
        expected = dict.fromkeys(edges, 0.0)
        here, there = pair.plain(pair.ids), pair.plain(pair.other_ids)
        for ids, a, b in zip(pair.ids, here, there, strict=True):
            stream = {"input": (a.sources["input"] + b.sources["input"]) / 2}
            for edge in edges:
                source, _, destination = edge.partition("->")
                delta = b.sources[source] - a.sources[source]
                runs = [
                    pair.reference.circuit(ids, extra={destination: s * 1e-4 * delta}, replace=stream) for s in (1, -1)
                ]
                up, down = (objective(run.logits).detach() for run in runs)
                expected[edge] += float(up - down) / 2e-4
        check(found, expected)
