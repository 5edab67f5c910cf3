"""Kendall's tau between boards: against scipy, against a simulation, and on boards made by hand."""

import math

import numpy as np
import pytest
from scipy import stats

from bench.board.agreement import agreement, mean_tau, tau_b, tau_interval
from bench.metric import Measurement
from tests.board.records import N, area, load, record, roc

METHODS = ("a", "b", "c", "d", "e", "f")
NATURAL = "planted[variant=natural]"


@pytest.mark.parametrize("levels", (3, 6, 1000))
def test_tau_is_scipys_with_and_without_ties(levels):
    rng = np.random.default_rng(levels)
    for n in (2, 5, 9):
        x, y = rng.integers(levels, size=(2, 20, n)).astype(float)
        expected = [stats.kendalltau(a, b).statistic for a, b in zip(x, y, strict=True)]
        np.testing.assert_allclose(tau_b(x, y), expected, atol=1e-12)


def test_a_board_of_ties_has_no_tau():
    found = tau_interval(np.zeros(6), np.arange(6.0))
    assert math.isnan(found.value) and math.isnan(found.low) and math.isnan(found.high)


@pytest.mark.parametrize("methods, tau", ((8, 0.0), (8, 0.6), (15, 0.6), (15, 0.85)))
def test_the_interval_holds_the_true_tau_about_as_often_as_it_says(methods, tau):
    """Normal scores with correlation sin(pi tau / 2) have that tau (Greiner 1909)."""
    rng, rho, held = np.random.default_rng(methods), math.sin(math.pi * tau / 2), []
    for _ in range(300):
        x, noise = rng.standard_normal((2, methods))
        found = tau_interval(x, rho * x + math.sqrt(1 - rho**2) * noise)
        held.append(found.low <= tau <= found.high)
    assert 0.92 <= np.mean(held) <= 1.0


def test_perfect_agreement_of_few_methods_is_no_certainty():
    """Six methods in the same order: half a discordant pair off 1, Fieller's lower end by hand."""
    found = tau_interval(np.arange(6.0), np.arange(6.0))
    by_hand = math.tanh(math.atanh(1 - 2 / 30) - 1.959964 * math.sqrt(0.437 / 2))
    assert (found.value, found.high) == (1.0, 1.0) and found.low == pytest.approx(by_hand)
    four = tau_interval(np.arange(4.0), np.arange(4.0))
    assert four.value == 1.0 and math.isnan(four.low) and four.methods == 4


def test_error_of_measurement_widens_the_interval():
    rng, x = np.random.default_rng(0), np.arange(12.0)
    y = np.array([1.0, 0, 2, 3, 5, 4, 6, 7, 8, 10, 9, 11])
    sure = tau_interval(x, y)
    unsure = tau_interval(x, y, x + 3 * rng.standard_normal((2000, 12)), y + 3 * rng.standard_normal((2000, 12)))
    assert unsure.value == sure.value and unsure.low < sure.low - 0.05


def board(figures, model, natural_seeds=(0,)):
    return [
        record(method, area(level, seed), model=model, model_seed=seed)
        for method, level in zip(METHODS, figures, strict=True)
        for seed in natural_seeds
    ]


def test_two_boards_by_hand():
    """One adjacent exchange among six methods: 14 concordant pairs, 1 discordant."""
    planted = board((0.1, 0.2, 0.3, 0.4, 0.5, 0.6), "planted", (0, 1))
    natural = board((0.1, 0.2, 0.4, 0.3, 0.5, 0.6), NATURAL)
    extra = [record("oracle", area(0.9)), record("oracle", area(0.0), model=NATURAL), record("alone", area(0.7))]
    table = agreement([*planted, *natural, *extra], load)
    assert len(table) == 1
    row = table.iloc[0]
    assert (row.task, row.level, row.metric, row.methods, row.tied) == ("ioi", "edge", "area_log", 6, 0)
    assert row.tau == pytest.approx(13 / 15) and row.low < row.tau <= row.high
    assert row.left_out == "alone"
    assert row.planted.startswith("f 0.600 > e 0.500 > d 0.400")
    assert row.natural.startswith("f 0.600 > e 0.500 > c 0.400")


def test_where_less_is_better_the_least_comes_first():
    """Circuits of all sizes that restore the share `level`: a distance of about 1 - level."""

    def distance(level):
        arrays = area(level).arrays
        circuits = np.repeat(arrays["circuits"][:, :, 1:2], 10, axis=2)
        return Measurement("cmd_mib", "1", "counterfactual", "ok", "", {**arrays, "circuits": circuits}, ("0",) * N)

    models = [(model, m, x) for model in ("planted", NATURAL) for m, x in (("a", 0.2), ("b", 0.9))]
    row = agreement([record(m, distance(x), model=model) for model, m, x in models], load).iloc[0]
    assert row.metric == "cmd_mib" and row.planted.startswith("b 0.1") and row.tau == 1.0 and math.isnan(row.low)


def test_figures_against_the_truth_agree_too_and_tasks_are_averaged():
    shifts = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)
    records = []
    for task, order in (("ioi", shifts), ("sva", shifts[::-1])):
        records += [record(m, roc(s), task=task) for m, s in zip(METHODS, shifts, strict=True)]
        records += [record(m, roc(s), task=task, model=NATURAL) for m, s in zip(METHODS, order, strict=True)]
    table = agreement(records, load)
    assert list(table.task) == ["ioi", "sva", "mean of 2 tasks"]
    assert list(table.tau) == pytest.approx([1.0, -1.0, 0.0]) and set(table.metric) == {"auroc"}
    assert table.iloc[2].low <= 0.0 <= table.iloc[2].high


def test_seeds_are_drawn_together_for_all_methods():
    """Each planted seed orders the methods as the natural model does, at levels of its own: no draw can disagree."""
    levels = np.linspace(0.05, 0.2, len(METHODS))
    records = [record(m, roc(5 * x), model=NATURAL) for m, x in zip(METHODS, levels, strict=True)]
    for seed, lift in enumerate((0.0, 1.0, 2.0)):
        records += [record(m, roc(5 * x + lift), model_seed=seed) for m, x in zip(METHODS, levels, strict=True)]
    alone = tau_interval(np.arange(6.0), np.arange(6.0))
    assert agreement(records, load).iloc[0].low == pytest.approx(alone.low)


def test_boards_without_a_partner_are_left_out():
    assert agreement(board((0.1, 0.2, 0.3, 0.4, 0.5, 0.6), "planted"), load).empty
    assert agreement(board((0.1, 0.2, 0.3, 0.4, 0.5, 0.6), NATURAL), load).empty
    assert agreement(board((0.1,) * 6, "gpt2"), load).empty


def test_the_mean_leaves_undefined_taus_out():
    good, bad = tau_interval(np.arange(6.0), np.arange(6.0)), tau_interval(np.zeros(6), np.arange(6.0))
    assert mean_tau([good, bad]).value == 1.0
    assert math.isnan(mean_tau([bad]).value)
