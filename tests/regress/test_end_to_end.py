"""`bench regress` and `bench sensitivity` on a small store of a planted model: planted regressions are caught."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from bench.cli.main import main
from bench.objectives import OBJECTIVES
from bench.regress.frozen import FOLDER, read, write
from bench.scoring.selection import Ranking

SMALL = ["task=ioi", "seed=0", "task.sizes.train=16", "task.sizes.validation=8", "task.sizes.test=48", "permutations=0"]
METRICS = "metric=area_log,faithfulness,auroc"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A store with three methods, and what `--freeze` makes of it."""
    where = tmp_path_factory.mktemp("regress")
    store = f"store={where / 'store'}"
    assert main(["run", *SMALL, "method=atp,activation_norm", METRICS, store, "ablation=counterfactual,mean"]) == 0
    assert main(["regress", "--freeze", store, f"boards={where / 'boards'}"]) == 0
    assert main(["board", store, f"out={where / 'boards'}"]) == 0
    return where


def regress(place, *more):
    """The exit code, and the rows that were written."""
    code = main(["regress", f"boards={place / 'boards'}", f"out={place / 'out'}", "ablation=counterfactual", *more])
    return code, pd.read_csv(place / "out" / "regress.csv", keep_default_na=False)


def test_an_unchanged_tree_is_all_the_same(place, capsys):
    code, rows = regress(place)
    assert code == 0 and set(rows.status) == {"same"} and len(rows) == 4 * (1 + 11 + 1)
    assert "52 rows: 52 same, 0 moved, 0 missing, 0 new" in capsys.readouterr().out
    assert set(rows.method) == {"atp", "activation_norm", "random", "oracle"}


def test_a_changed_sign_of_what_is_measured_is_caught_though_no_share_moves(place, monkeypatch):
    right = OBJECTIVES["logit_diff"]
    wrong = replace(right, value=lambda logits, batch, clean: -right.value(logits, batch, clean))
    monkeypatch.setitem(OBJECTIVES, "logit_diff", wrong)
    code, rows = regress(place, "metric=area_log", "method=atp")
    assert code == 1 and list(rows.status) == ["moved"] and list(rows.grade) == ["examples"]
    assert rows.examples[0] == 48 and float(rows.difference[0]) == pytest.approx(0, abs=1e-9)


def test_a_changed_sign_of_a_metric_is_caught_with_the_ranks(place, monkeypatch):
    import bench.metrics.auroc as module

    right = module.auroc
    monkeypatch.setattr(module, "auroc", lambda scores, positive: right(-scores, positive))
    code, rows = regress(place, "metric=auroc")
    assert code == 1 and set(rows.status) == {"moved"} and "ranks" in set(rows.grade)
    best = rows[rows.method == "oracle"].iloc[0]
    assert float(best.old) == 1.0 and float(best.new) == 0.0 and best.better == "no"


def test_circuits_of_one_component_more_are_caught(place, monkeypatch):
    right = Ranking.largest_within
    monkeypatch.setattr(Ranking, "largest_within", lambda self, edges: min(len(self), right(self, edges) + 1))
    code, rows = regress(place, "metric=faithfulness", "method=atp")
    moved = rows[rows.status == "moved"]
    assert code == 1 and len(moved) and "figure" in set(moved.grade) | {"ranks"}


def test_another_ablation_is_caught_with_a_paired_interval(place, monkeypatch):
    import bench.scoring.ablation as module

    right = module.ablation
    monkeypatch.setattr(module, "ablation", lambda name, *rest: right("zero", *rest))
    code, rows = regress(place, "metric=area_log", "method=atp")
    row = rows.iloc[0]
    assert code == 1 and row.status == "moved" and row.grade in ("figure", "ranks")
    assert float(row.low) <= float(row.difference) <= float(row.high)


def test_a_metric_that_fails_is_missing_and_ends_in_1(place, monkeypatch):
    from bench.metrics.auroc import Auroc

    def fails(*_):
        raise RuntimeError("broken")

    monkeypatch.setattr(Auroc, "measure", fails)
    code, rows = regress(place, "metric=auroc", "method=atp")
    assert code == 1 and list(rows.status) == ["missing"] and "broken" in rows.reason[0]


def test_frozen_boards_read_as_they_were_written(place, tmp_path):
    frozen = read(place / "boards" / FOLDER)
    write(frozen, tmp_path)
    again = read(tmp_path)
    for one, other in zip(frozen.cells, again.cells, strict=True):
        assert (one.key, one.record, one.configuration) == (other.key, other.record, other.configuration)
        np.testing.assert_array_equal(one.explanation.scores, other.explanation.scores)
        assert one.explanation.components == other.explanation.components
        for a, b in zip(one.scores, other.scores, strict=True):
            assert a.place == b.place and len(a.traces) == len(b.traces)
            for x, y in zip(a.traces, b.traces, strict=True):
                assert replace(x, column=None, value=0) == replace(y, column=None, value=0)
                np.testing.assert_array_equal([x.value], [y.value])
                if x.column is not None:
                    np.testing.assert_array_equal(x.column, y.column)
    assert {cell.configuration["model"]["path"] for cell in frozen.cells} == {""}
    assert frozen.made["circuit"]["frozen_by"] and frozen.made["circuit"]["cells"]["code"]


def test_a_board_that_says_other_scores_is_told(place, tmp_path, capsys):
    boards = tmp_path / "boards"
    write(read(place / "boards" / FOLDER), boards / FOLDER)
    table = pd.read_csv(place / "boards" / "circuit.csv", dtype=str, keep_default_na=False)
    chosen = (table.metric == "auroc") & (table.method == "atp")
    table.loc[chosen, ["score", "values"]] = ["0.123", ""]
    table.to_csv(boards / "circuit.csv", index=False)
    assert main(["regress", f"boards={boards}", "metric=auroc", "method=atp"]) == 1
    said = capsys.readouterr().out
    assert "1 same" in said and "the board says 0.123" in said and "freeze again" in said


def test_weights_that_changed_are_missing_with_the_reason(place, tmp_path, capsys):
    folder = tmp_path / FOLDER
    write(read(place / "boards" / FOLDER), folder)
    listed = json.loads((folder / "cells.json").read_text())
    for cell in listed["cells"]:
        cell["configuration"]["model"]["revision"] = "0" * 64
    (folder / "cells.json").write_text(json.dumps(listed))
    assert main(["regress", f"boards={tmp_path}", "metric=auroc", "method=atp"]) == 1
    assert "other weights" in capsys.readouterr().out


@pytest.mark.parametrize("call, said", (
    (["--freeze", "--rerun"], "ask for one of them"),
    (["ioi"], "what is 'ioi'?"),
    (["boards={nowhere}"], "bench regress --freeze"),
    (["boards={boards}", "task=sva"], "nothing that is frozen fits"),
    (["boards={boards}", "--rerun", "seed=7,8"], "--rerun needs 5 new seeds or more"),
    (["boards={boards}", "--rerun", "seed=0,7,8,9,10"], "seed 0 is frozen already"),
))  # fmt: skip
def test_wrong_calls_end_in_2(call, said, place, tmp_path, capsys):
    words = [word.format(nowhere=tmp_path / "none", boards=place / "boards") for word in call]
    assert main(["regress", *words]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.slow
def test_new_seeds_are_noise_and_a_wrong_sign_is_not(place, monkeypatch, tmp_path, capsys):
    call = ["regress", "--rerun", f"boards={place / 'boards'}", f"store={tmp_path / 'rerun'}", "seed=11,12,13,14,15",
            "method=atp", "metric=auroc,area_log", "ablation=counterfactual", f"out={tmp_path / 'out'}"]  # fmt: skip
    assert main(call) == 0
    assert "2 same" in capsys.readouterr().out
    import bench.metrics.auroc as module

    right = module.auroc
    monkeypatch.setattr(module, "auroc", lambda scores, positive: right(-scores, positive))
    assert main([*call[:3], f"store={tmp_path / 'other'}", *call[4:]]) == 1
    rows = pd.read_csv(tmp_path / "out" / "rerun.csv")
    assert dict(zip(rows.metric, rows.status, strict=True))["auroc"] == "moved"


def test_sensitivity_reads_the_store_and_names_what_is_not_there(place, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["sensitivity", f"store={place / 'store'}", f"out={out}"]) == 0
    names = {"tau.csv", "mean_tau.csv", "first.csv", "flips.csv", "tau.svg", "grid.svg", "sensitivity.md"}
    assert {path.name for path in out.iterdir()} == names
    table = pd.read_csv(out / "tau.csv", keep_default_na=False)
    assert {"metric", "ablation", "aggregation", "grid"} <= set(table.axis)
    page = (out / "sensitivity.md").read_text()
    assert "ablation zero, resample: bench score ablation=zero,resample" in page
    assert "task.counterfactual=abc" in page and "bench plant --report task=ioi" in page
    assert "bench score metric=" in page and "- prompt: `" in page
    capsys.readouterr()


def test_sensitivity_without_a_store_is_a_wrong_call(tmp_path, capsys):
    assert main(["sensitivity", f"store={tmp_path / 'none'}"]) == 2
    assert "there is no store" in capsys.readouterr().err
