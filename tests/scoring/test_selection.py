"""Selection: which edges a circuit keeps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.explanation import ExplanationError
from bench.graph import ComponentGraph
from bench.scoring.selection import Ranking, flat_scores, node_scores, order, rankings
from tests.scoring.fake import explanation

GRAPH = ComponentGraph(2, 2)


def reachable(graph, kept):
    """An independent pruning: keep the edges on a path, by following names."""
    edges = [name for name, keep in zip(graph.edges, kept, strict=True) if keep]
    pairs = [(name, name.split("->")[0], name.split("->")[1].split("<")[0]) for name in edges]
    forward, backward = {"input"}, {"logits"}
    for _ in range(len(graph.sources) + 1):
        forward |= {b for _, a, b in pairs if a in forward}
        backward |= {a for _, a, b in pairs if b in backward}
    return {name for name, a, b in pairs if a in forward and b in backward}


def test_signed_and_absolute_orders_differ_and_ties_keep_the_components_order():
    scores = np.array([1.0, -3.0, 2.0, 1.0, 0.0])
    assert order(scores, absolute=False).tolist() == [2, 0, 3, 4, 1]
    assert order(scores, absolute=True).tolist() == [1, 2, 0, 3, 4]


def test_random_ties_permute_only_what_is_tied():
    scores = np.array([1.0, 1.0, 1.0, 5.0, 0.0, 0.0])
    found = {tuple(order(scores, True, np.random.default_rng(seed))) for seed in range(200)}
    assert len(found) == 12
    assert {o[0] for o in found} == {3} and {frozenset(o[1:4]) for o in found} == {frozenset({0, 1, 2})}


def test_scores_with_positions_are_summed_over_them():
    scores = np.arange(GRAPH.n_edges * 3, dtype=np.float32).reshape(-1, 3)
    assert np.array_equal(flat_scores(explanation(GRAPH, scores), GRAPH), scores.sum(axis=1))


def test_scores_in_another_order_are_aligned_by_name_and_missing_ones_are_named():
    names = GRAPH.components[::-1]
    shuffled = explanation(GRAPH, np.zeros(len(names)), "node").__class__(
        "node", names, np.arange(len(names), dtype=np.float32), "t", "1", "m", "r", "x", "1", "flip"
    )
    assert flat_scores(shuffled, GRAPH).tolist() == list(range(len(names)))[::-1]
    short = shuffled.__class__("node", names[1:], np.zeros(len(names) - 1, "f4"), "t", "1", "m", "r", "x", "1", "flip")
    with pytest.raises(ExplanationError, match="m1"):
        flat_scores(short, GRAPH)


def test_a_nodes_score_is_the_signed_sum_over_its_outgoing_edges():
    scores = np.zeros(GRAPH.n_edges)
    for name, value in {"a0.h1->m0": 2.0, "a0.h1->a1.h0<q>": -0.5, "input->a0.h1<v>": 7.0}.items():
        scores[GRAPH.edges.index(name)] = value
    found = dict(zip(GRAPH.components, node_scores(explanation(GRAPH, scores), GRAPH), strict=True))
    assert found["a0.h1"] == 1.5 and sum(map(abs, found.values())) == 1.5


def test_from_nodes_an_edge_is_kept_when_both_ends_are():
    scores = np.zeros(len(GRAPH.components))
    scores[[GRAPH.components.index("a0.h0"), GRAPH.components.index("m1")]] = [2.0, 1.0]
    ranking = rankings(explanation(GRAPH, scores, "node"), GRAPH, True, 0)[0]
    kept = {name for name, keep in zip(GRAPH.edges, ranking.circuit(2), strict=True) if keep}
    heads = {f"input->a0.h0<{part}>" for part in "qkv"}
    assert kept == heads | {"input->m1", "a0.h0->m1", "input->logits", "a0.h0->logits", "m1->logits"}
    assert ranking.n_edges(0) == 1 and ranking.n_edges(len(ranking)) == GRAPH.n_edges


@given(st.integers(0, 10**6), st.integers(0, 60))
def test_circuits_are_pruned_as_a_walk_over_names_prunes_them(seed, n):
    rng = np.random.default_rng(seed)
    ranking = Ranking(GRAPH, "edge", order(rng.standard_normal(GRAPH.n_edges), False))
    n = min(n, GRAPH.n_edges)
    kept = {name for name, keep in zip(GRAPH.edges, ranking.circuit(n), strict=True) if keep}
    assert kept == reachable(GRAPH, ranking.selected(n))


@given(st.integers(0, 10**6), st.floats(0, 70))
def test_the_largest_circuit_within_a_size_is_found(seed, budget):
    ranking = Ranking(GRAPH, "edge", np.random.default_rng(seed).permutation(GRAPH.n_edges))
    sizes = [ranking.n_edges(n) for n in range(GRAPH.n_edges + 1)]
    assert sizes == sorted(sizes)
    assert ranking.largest_within(budget) == max(n for n, size in enumerate(sizes) if size <= budget)
    assert ranking.smallest_nonempty() == min(n for n, size in enumerate(sizes) if size > 0)


def test_only_explanations_that_say_so_are_averaged_over_tie_orders():
    scores = np.zeros(GRAPH.n_edges)
    assert len(rankings(explanation(GRAPH, scores), GRAPH, True, 0)) == 1
    tied = rankings(explanation(GRAPH, scores, extra={"ties": "random"}), GRAPH, True, 0, tie_draws=4)
    assert len({tuple(r.order) for r in tied}) == 4
    again = rankings(explanation(GRAPH, scores, extra={"ties": "random"}), GRAPH, True, 0, tie_draws=4)
    assert all(np.array_equal(a.order, b.order) for a, b in zip(tied, again, strict=True))
