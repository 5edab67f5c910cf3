"""Traces of measurements: pseudo-values against closed forms, and what figures hide but arrays show."""

from dataclasses import replace

import numpy as np
import pytest

from bench.board.figures import figures
from bench.metrics.area_log import AreaLog
from bench.metrics.faithfulness import Faithfulness
from bench.regress.tolerance import bar
from bench.regress.trace import ARRAY, FIGURE, projected, pseudo_values, traces
from tests.board.records import N, area, faithful, load, record, roc


def by_name(found, kind):
    return {t.name: t for t in found if t.kind == kind}


def test_pseudo_values_of_a_ratio_are_its_jackknife_by_hand():
    found = faithful(0.4)
    made = pseudo_values(Faithfulness(), found)["size=0.1"]
    c, w, e = (found.arrays[name] for name in ("circuits", "whole", "empty"))
    c = c[:, 0, 0]

    def ratio(keep):
        return (c[keep].mean() - e[keep].mean()) / (w[keep].mean() - e[keep].mean())

    everyone = np.arange(N)
    by_hand = [N * ratio(everyone) - (N - 1) * ratio(everyone != i) for i in range(N)]
    np.testing.assert_allclose(made, by_hand, rtol=1e-10)


def test_pseudo_values_give_the_bootstrap_interval_to_first_order():
    found = area(0.4)
    figure = next(f for f in figures([record("a", found)], load) if f.metric)
    column = pseudo_values(AreaLog(), found)[""]
    assert column.mean() == pytest.approx(figure.value, abs=2e-3)
    assert column.std() / np.sqrt(N) == pytest.approx(figure.draws.std(), rel=0.1)


def test_a_changed_sign_leaves_shares_alone_and_shows_in_what_is_behind():
    found = faithful(0.4)
    flipped = replace(found, arrays={k: -v if k in ("whole", "empty", "circuits") else v
                                     for k, v in found.arrays.items()})  # fmt: skip
    before, after = (traces(record("a", m), m, load) for m in (found, flipped))
    for name, trace in by_name(before, FIGURE).items():
        np.testing.assert_allclose(by_name(after, FIGURE)[name].column, trace.column, atol=1e-9)
    for name in ("whole", "empty", "circuits"):
        np.testing.assert_allclose(by_name(after, ARRAY)[name].column, -by_name(before, ARRAY)[name].column)


def test_every_single_value_counts_in_a_projection():
    values = np.random.default_rng(0).standard_normal((5, 2, 7))
    weights = np.array([[projected(np.eye(14)[i].reshape(1, 2, 7))[0] for i in range(14)]])
    assert len(np.unique(weights.round(9))) == 14 and (weights > 0).all()
    assert (weights**2).sum() == pytest.approx(1.0)
    np.testing.assert_allclose(projected(values), values.reshape(5, -1) @ weights[0])


def test_figures_against_the_truth_have_no_column_and_their_arrays_no_examples():
    found = traces(record("a", roc(1.0)), roc(1.0), load)
    figure = by_name(found, FIGURE)["auroc"]
    assert figure.column is None and figure.scale == figure.value
    assert {t.column for t in found} == {None} and set(by_name(found, ARRAY)) == {"scores", "positive", "null"}


def test_shares_near_zero_are_held_against_1_and_counts_against_themselves():
    tiny = next(
        t for t in traces(record("a", faithful(1e-9)), faithful(1e-9), load) if t.name == "faithfulness[size=0.1]"
    )
    assert tiny.scale >= 1.0 and bar("float32", tiny.scale) >= 1e-4
    assert bar("float32", 0.0) > 0


def test_what_has_no_figure_keeps_its_reason():
    skipped = replace(area(0.5), status="skipped", reason="too small", arrays={}, clusters=())
    (trace,) = traces(record("a", skipped), skipped, load)
    assert (trace.status, trace.reason) == ("skipped", "too small")
