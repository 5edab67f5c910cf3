"""Figures against the planted truth, beside scikit-learn's and by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from bench.graph import ComponentGraph
from bench.method import Truth
from bench.metric import Undefined
from bench.scoring.truth import (
    auroc,
    average_precision,
    found_at,
    joined_edges,
    labelled,
    labelled_nodes,
    p_value,
    permuted,
)
from tests.scoring.fake import explanation


@given(st.integers(0, 10**6), st.integers(2, 40), st.integers(1, 5))
def test_auroc_and_average_precision_agree_with_scikit_learn_with_ties(seed, n, levels):
    rng = np.random.default_rng(seed)
    scores, positive = rng.integers(levels, size=n).astype(float), rng.random(n) < 0.4
    positive[:2] = [True, False]
    assert auroc(scores, positive) == pytest.approx(roc_auc_score(positive, scores))
    assert average_precision(scores, positive) == pytest.approx(average_precision_score(positive, scores))


def test_many_label_sets_at_once_give_what_each_gives_alone():
    rng = np.random.default_rng(0)
    scores, positive = rng.integers(4, size=30).astype(float), permuted(rng.random(30) < 0.3, "model", n=20)
    for figure in (auroc, average_precision):
        assert figure(scores, positive) == pytest.approx([figure(scores, row) for row in positive])


def test_a_constant_score_gets_the_analytic_floors():
    positive = np.array([True] * 3 + [False] * 7)
    assert auroc(np.zeros(10), positive) == 0.5
    assert average_precision(np.zeros(10), positive) == pytest.approx(0.3)


def test_permuted_labels_keep_their_number_and_centre_auroc_on_one_half():
    rng = np.random.default_rng(1)
    scores, positive = rng.standard_normal(60), rng.random(60) < 0.3
    null = permuted(positive, "model")
    assert (null.sum(axis=1) == positive.sum()).all()
    assert auroc(scores, null).mean() == pytest.approx(0.5, abs=0.01)
    assert not np.array_equal(null, permuted(positive, "other model"))


def test_p_values_of_random_scores_are_uniform_and_never_zero():
    rng = np.random.default_rng(2)
    positive = np.arange(40) < 12
    labels = permuted(positive, "model", n=499)
    found = [p_value(float(auroc(s, positive)), auroc(s, labels)) for s in rng.standard_normal((300, 40))]
    assert np.mean(np.array(found) <= 0.05) == pytest.approx(0.05, abs=0.035)
    assert p_value(1.0, np.full(1999, 0.5)) == pytest.approx(1 / 2000)


def test_edges_are_joined_over_q_k_and_v_by_the_largest_score():
    scores = {
        "input->a0.h0<q>": 0.1, "input->a0.h0<k>": -0.9, "input->a0.h0<v>": 0.2, "input->m0": 0.3,
        "a0.h0->a1.h0<q>": 5.0, "a0.h0->a1.h0<k>": 0.0, "m0->logits": -0.4,
    }  # fmt: skip
    status = {
        "input->a0.h0<q>": "out", "input->a0.h0<k>": "undetermined", "input->a0.h0<v>": "in", "input->m0": "out",
        "a0.h0->a1.h0<q>": "out", "a0.h0->a1.h0<k>": "undetermined", "m0->logits": "undetermined",
    }  # fmt: skip
    found = joined_edges(scores, status)
    assert found.names == ("input->a0.h0", "input->m0")
    assert found.scores.tolist() == [0.9, 0.3] and found.positive.tolist() == [True, False]


def test_negative_and_backup_nodes_are_left_out_of_the_ranking():
    roles = {"a": "required", "b": "negative", "c": "backup", "d": "inert", "e": "free"}
    found = labelled_nodes({"a": -2.0, "b": 9.0, "c": 9.0, "d": 1.0, "e": 0.5}, roles)
    assert found.names == ("a", "d", "e") and found.positive.tolist() == [True, False, False]
    assert found.scores.tolist() == [2.0, 1.0, 0.5]


@pytest.mark.parametrize("missing", ["required", "inert"])
def test_without_positives_or_negatives_the_figure_is_undefined(missing):
    graph = ComponentGraph(1, 2)
    role = "inert" if missing == "required" else "required"
    truth = Truth(dict.fromkeys(graph.components, role), {})
    with pytest.raises(Undefined, match=missing):
        labelled(explanation(graph, np.zeros(3), "node"), graph, truth)


def test_ties_at_the_bar_count_with_their_expectation():
    scores, wanted = np.array([3.0, 2.0, 2.0, 2.0, 1.0]), np.array([False, True, False, True, True])
    assert found_at(scores, wanted, 1) == 0
    assert found_at(scores, wanted, 2) == pytest.approx(2 / 3)
    assert found_at(scores, wanted, 4) == 2
    assert found_at(scores, wanted, 5) == 3
