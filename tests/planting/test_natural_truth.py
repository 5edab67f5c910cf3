"""Roles and classes from costs that were worked out by hand."""

import numpy as np

from bench.planting.natural.effects import Costs, Effects
from bench.planting.natural.planting import drift, failures
from bench.planting.natural.truth import beyond, edge_classes, node_roles, redundant

NODES = ("a0.h0", "a0.h1", "m0", "a1.h0")
PAIRS = (("a0.h0", "a0.h1"), ("a0.h0", "m0"), ("a0.h1", "m0"), ("a0.h0", "a1.h0"), ("a0.h1", "a1.h0"), ("m0", "a1.h0"))
EDGES = ("input->m0", "m0->logits", "a0.h0->logits", "a0.h1->logits")


def costs(accuracy, margin, se=0.001):
    full = np.full(len(accuracy), se)
    return Costs(np.array(accuracy, dtype=float), full, np.array(margin, dtype=float), full)


def effects(accuracy=(0, 0, 0, 0), margin=(0, 0, 0, 0), excess=None, edge=None):
    nothing = costs([0] * 6, [0] * 6)
    return Effects(
        480, 1.0, 10.0, 12.0, NODES, costs(accuracy, margin), PAIRS, nothing, excess or nothing, EDGES,
        edge or costs([0] * 4, [0] * 4),
    )  # fmt: skip


def test_either_figure_makes_a_node_required_and_a_rise_makes_it_negative():
    roles = node_roles([effects(accuracy=(0.05, 0.0, 0.049, 0.0), margin=(0.0, 0.05, 0.049, -0.05))])
    assert list(roles.values()) == ["required", "required", "free", "negative"]


def test_a_node_whose_cut_costs_answers_is_required_though_the_margin_rises():
    assert node_roles([effects(accuracy=(0.2, 0, 0, 0), margin=(-0.2, 0, 0, 0))])["a0.h0"] == "required"


def test_one_figure_alone_can_be_asked_for():
    found = effects(accuracy=(0.05, 0.0, 0, 0), margin=(0.0, 0.05, 0, 0))
    assert node_roles([found], ["accuracy"])["a0.h1"] == "free"
    assert node_roles([found], ["margin"])["a0.h0"] == "free"


def test_nodes_that_cost_in_pairs_only_are_backups():
    """The pair (a0.h1, m0) costs .06 more than its nodes; .04 more of another pair is too little."""
    excess = costs([0, 0, 0.06, 0.04, 0, 0], [0] * 6)
    assert list(node_roles([effects(excess=excess)]).values()) == ["free", "backup", "backup", "free"]
    roles = node_roles([effects(accuracy=(0, 0.3, 0, 0), excess=excess)])
    assert (roles["a0.h1"], roles["m0"]) == ("required", "backup")


def test_an_excess_within_chance_over_all_pairs_makes_no_backup():
    """One-sided .025 over 6 pairs: 2.638 standard errors (.06 / .0228 = 2.63, .06 / .0227 = 2.64)."""
    assert not redundant(effects(excess=costs([0, 0, 0.06, 0, 0, 0], [0] * 6, 0.0228))).any()
    assert redundant(effects(excess=costs([0, 0, 0.06, 0, 0, 0], [0] * 6, 0.0227))).sum() == 1


def test_saturation_is_told_from_redundancy():
    found = effects(excess=costs([0.06, -0.06, -0.02, 0, 0, 0], [-0.3, 0, 0, 0, 0, 0]))
    assert list(beyond(found, "accuracy", 1)) == [True] + [False] * 5
    assert list(beyond(found, "accuracy", -1)) == [False, True] + [False] * 4
    assert list(beyond(found, "margin", -1)) == [True] + [False] * 5


def test_edges_in_out_and_undetermined():
    edge = costs([0.05, 0.0, 0.0, 0.0], [0.0, 0.06, 0.0099, -0.011])
    found = edge_classes([effects(edge=edge)])
    assert found == {"in": list(EDGES[:2]), "out": [EDGES[2]], "undetermined": [EDGES[3]]}


def test_the_setting_where_a_cut_shows_most_decides():
    first = effects(accuracy=(0.2, 0, 0, 0), edge=costs([0.2, 0, 0, 0], [0, 0, 0, 0]))
    second = effects(margin=(0, 0, -0.1, 0.3), edge=costs([0, 0, 0.02, 0], [0, 0, 0, 0]))
    assert list(node_roles([first, second]).values()) == ["required", "free", "negative", "required"]
    assert edge_classes([first, second]) == {"in": [EDGES[0]], "out": [EDGES[1], EDGES[3]], "undetermined": [EDGES[2]]}


def test_drift_is_in_standard_errors_of_the_difference():
    """.10 against .16 with .03 and .04: .06 / .05; where no example moved, 1 / n stands for the error."""
    claim, again = costs([0.10, 0.0], [0, 0], 0.03), costs([0.16, 0.0], [0, 0], 0.04)
    assert np.allclose(drift(claim, again, 480), [1.2, 0.0])
    assert np.allclose(drift(costs([0.0], [0.0], 0.0), costs([0.01], [0.0], 0.0), 200), [2.0])


def test_what_falls_short_is_named_by_setting():
    good, bad = {"accuracy": 0.99, "largest_drift": 4.0}, {"accuracy": 0.98, "largest_drift": 4.1}
    assert failures({"x": good}) == []
    assert failures({"x": good, "y": bad}) == ["accuracy, y", "drift, y"]
