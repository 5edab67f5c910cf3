"""Changes and their grades, on cells made by hand."""

from dataclasses import replace

import numpy as np
import pytest

from bench.metrics.area_log import AreaLog
from bench.regress.compare import MISSING, MOVED, NEW, SAME, changes
from bench.regress.frozen import FrozenScore, clusters_digest
from bench.regress.judge import EXAMPLES, FIGURE, RANKS, judge
from bench.regress.report import frame, text
from bench.regress.trace import traces
from tests.board.records import N, area, faithful, load, record, roc

LEVELS = {"a": 0.2, "b": 0.4, "c": 0.6}


def score(cell, found):
    clusters = clusters_digest(found.clusters)
    made = tuple(traces(cell, found, load))
    return FrozenScore(found.metric, found.version, dict(found.parameters), found.ablation, clusters, made)


def held(then, now, **kw):
    """Rows of cells by method: measurements then and now."""
    found = []
    for method in then:
        old, new = then[method], now[method]
        cell = record(method, *new, **kw)
        before, after = ([score(cell, m) for m in side] for side in (old, new))
        found += changes(cell, before, after, "float32")
    return {row.key[-1] + " " + row.key[3]: row for row in judge(found)}


def test_an_unchanged_tree_is_all_the_same():
    cells = {m: [area(level), faithful(level), roc(level)] for m, level in LEVELS.items()}
    rows = held(cells, cells)
    assert {row.status for row in rows.values()} == {SAME} and len(rows) == 3 * (1 + 4 + 1)
    assert text(frame(list(rows.values()))) == "18 rows: 18 same, 0 moved, 0 missing, 0 new\n"


def moved_area(level, by, index=slice(None)):
    """``area`` with the middle circuits' values raised by ``by`` on some examples."""
    found = area(level)
    circuits = found.arrays["circuits"].copy()
    circuits[index, :, 1:3] += by
    return replace(found, arrays={**found.arrays, "circuits": circuits})


def test_one_example_beyond_the_tolerance_has_moved_and_one_within_it_has_not():
    then = {"a": [area(0.4)]}
    rows = held(then, {"a": [moved_area(0.4, 2e-6, 7)]})
    assert rows["a area_log"].status == SAME
    row = held(then, {"a": [moved_area(0.4, 0.01, 7)]})["a area_log"]
    assert (row.status, row.grade) == (MOVED, EXAMPLES) and row.changes[0].examples >= 1
    assert row.low <= 0 <= row.high or row.low == pytest.approx(0, abs=1e-6)


def test_a_shift_of_all_has_the_difference_and_interval_that_paired_examples_give():
    """f rises by by / gap; the interval is the paired one, far narrower than that of either figure."""
    row = held({"a": [area(0.4)]}, {"a": [moved_area(0.4, 0.1)]})["a area_log"]
    new = float(AreaLog().reduce(moved_area(0.4, 0.1).arrays)[""])
    old = float(AreaLog().reduce(area(0.4).arrays)[""])
    assert (row.status, row.grade) == (MOVED, FIGURE)
    assert row.difference == pytest.approx(new - old) and row.low < new - old < row.high
    assert row.high - row.low < 0.01 and row.low > 0
    assert row.changes[0].examples == N


def test_ranks_that_change_are_the_highest_grade():
    then = {m: [area(level)] for m, level in LEVELS.items()}
    rows = held(then, {**then, "a": [moved_area(0.2, 1.0)]})
    assert (rows["a area_log"].grade, rows["a area_log"].rank_old, rows["a area_log"].rank_new) == (RANKS, 3, 1)
    assert rows["b area_log"].status == SAME and (rows["b area_log"].rank_old, rows["b area_log"].rank_new) == (2, 3)
    said = text(frame(list(rows.values())))
    assert "moved: ioi on planted, edge: a area_log (counterfactual), seeds 0: 0.2" in said
    assert "(better)" in said and "rank 3 -> 1" in said and "2 same, 1 moved" in said


def test_a_reduction_that_changes_is_caught_though_all_values_are_the_same(monkeypatch):
    cell = record("a", area(0.4))
    before = [score(cell, area(0.4))]
    reduce = AreaLog.reduce

    def wrong(self, arrays, weights=None):
        return {name: -values for name, values in reduce(self, arrays, weights).items()}

    monkeypatch.setattr(AreaLog, "reduce", wrong)
    (row,) = judge(changes(cell, before, [score(cell, area(0.4))], "float32"))
    assert (row.status, row.grade) == (MOVED, FIGURE) and row.new == -row.old and row.high < 0


def test_what_is_gone_and_what_came():
    undefined = replace(area(0.4), status="failed", reason="boom", arrays={}, clusters=())
    rows = held({"a": [area(0.4)]}, {"a": [undefined, roc(1.0)]})
    assert (rows["a area_log"].status, rows["a area_log"].reason) == (MISSING, "failed: boom")
    assert rows["a auroc"].status == NEW
    gone = list(changes(record("a"), [score(record("a"), area(0.4))], [], "float32", "no model"))
    assert [(c.status, c.reason) for c in gone] == [(MISSING, "no model")]


def test_other_examples_are_not_paired():
    other = replace(area(0.4), clusters=tuple(f"x{i}" for i in range(N)))
    row = held({"a": [area(0.4)]}, {"a": [other]})["a area_log"]
    assert row.status == MOVED and np.isnan(row.low) and "other examples" in row.reason


def test_seeds_are_pooled_as_on_a_board():
    """Two seeds of which one moved: the row's difference is half of it."""
    found = []
    for seed, now in ((0, area(0.4)), (1, moved_area(0.4, 0.1))):
        cell = record("a", now, model_seed=seed, data_seed=seed)
        found += changes(cell, [score(cell, area(0.4))], [score(cell, now)], "float32")
    (row,) = judge(found)
    alone = held({"a": [area(0.4)]}, {"a": [moved_area(0.4, 0.1)]})["a area_log"]
    assert row.seeds() == "0;1" and row.difference == pytest.approx(alone.difference / 2)
