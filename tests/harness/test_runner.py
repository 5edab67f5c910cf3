"""A run, a second run, and everything that can go wrong inside a cell."""

from bench.harness.records import read_records
from bench.harness.store import Store
from tests.harness.conftest import runs_of


def one(store, cells, name):
    """What is stored about the cell of a method."""
    return store.cell(next(cell.key for cell in cells if cell.method.name == name))


def test_a_second_run_does_no_work_and_says_so(run_cells, plugin):
    summary, *_ = run_cells("method=toy_fixed,toy_chance", "seed=0,1")
    assert not summary.failed and summary.states["ok"] == 2 * 4
    before = runs_of(plugin)
    summary, _, _, said = run_cells("method=toy_fixed,toy_chance", "seed=0,1")
    assert runs_of(plugin) == before
    assert summary.done_before == summary.cells == 4
    assert "nothing to do" in said


def test_a_method_without_chance_runs_once_over_method_seeds(run_cells, plugin):
    run_cells("method=toy_fixed,toy_chance", "method.seed=0,1,2")
    assert sorted(runs_of(plugin)) == [*(f"toy_chance seed={seed}" for seed in range(3)), "toy_fixed seed=0"]


def test_a_natural_model_has_no_model_seed_but_data_seeds_count(run_cells, plugin):
    run_cells("model.seed=0,1")
    assert len(runs_of(plugin)) == 1
    run_cells("data.seed=0,1")
    assert len(runs_of(plugin)) == 2


def test_a_failing_cell_takes_no_other_with_it_and_runs_again(run_cells, plugin):
    methods = "method=toy_raises,toy_nan,toy_shape,toy_broken,toy_impostor,toy_peeks,toy_skips,toy_fixed"
    summary, store, cells, _ = run_cells(methods)
    assert summary.failed
    assert one(store, cells, "toy_fixed")["status"] == "ok"
    assert one(store, cells, "toy_skips") | {"status": "skipped", "reason": "too dear: 10 passes"} == one(
        store, cells, "toy_skips"
    )
    for name, why in {
        "toy_raises": "could not read file.txt at 0x...", "toy_nan": "scores of 6 components are not finite",
        "toy_shape": "expected float32 with 6 rows", "toy_broken": "cannot be imported: ImportError: no module named",
        "toy_impostor": "is no subclass of Method", "toy_peeks": "methods see train and validation",
    }.items():  # fmt: skip
        found = one(store, cells, name)
        assert found["status"] == "failed" and why in found["reason"], found["reason"]
        assert "/" not in found["reason"]
    run_cells(methods)
    ran = runs_of(plugin)
    assert ran.count("toy_raises seed=0") == 2 and ran.count("toy_fixed seed=0") == ran.count("toy_skips seed=0") == 1


def test_a_broken_task_fails_its_rows_and_the_others_live(run_cells):
    summary, store, cells, _ = run_cells("task=toy_broken,toy_uneven,toy")
    found = {cell.task.name: store.cell(cell.key) for cell in cells}
    assert {name: cell["status"] for name, cell in found.items()} == {
        "toy_broken": "failed", "toy_uneven": "failed", "toy": "ok",
    }  # fmt: skip
    assert "counterfactual 4; make the prompts of a pair equally long" in found["toy_uneven"]["reason"]
    assert summary.failed


def test_a_task_that_no_example_can_be_made_of_is_skipped_and_not_tried_again(run_cells, plugin):
    summary, store, cells, _ = run_cells("task=toy_unreadable,toy")
    found = {cell.task.name: store.cell(cell.key) for cell in cells}
    assert found["toy_unreadable"]["status"] == "skipped" and found["toy"]["status"] == "ok"
    assert found["toy_unreadable"]["reason"] == "0 of 2 words are one token; take another model"
    assert not summary.failed and len(runs_of(plugin)) == 1
    assert "nothing to do" in run_cells("task=toy_unreadable,toy")[3]


def test_examples_of_ones_own_that_cannot_be_read_are_a_failure(run_cells, tmp_path):
    (tmp_path / "own.csv").write_text("prompt\n")
    summary, store, cells, _ = run_cells("task=toy_unreadable", f"task.data={tmp_path / 'own.csv'}")
    found = store.cell(cells[0].key)
    assert found["status"] == "failed" and "0 of 2 words are one token" in found["reason"] and summary.failed


def test_a_metric_that_fails_leaves_the_explanation_and_the_other_metrics(run_cells, plugin):
    summary, store, cells, _ = run_cells("metric=toy_curve,toy_bad_metric,toy_sum", "ablation=counterfactual,mean")
    (record,) = read_records(store)
    assert summary.failed and record.status == "ok"
    found = {(m.metric, m.ablation): m.status for m in record.measurements}
    assert found == {
        ("toy_curve", "counterfactual"): "ok", ("toy_curve", "mean"): "ok", ("toy_sum", "none"): "ok",
        ("toy_bad_metric", "counterfactual"): "failed", ("toy_bad_metric", "mean"): "failed",
    }  # fmt: skip
    run_cells("metric=toy_curve,toy_sum", "ablation=counterfactual,zero")
    assert len(runs_of(plugin)) == 1
    ablations = {m.ablation for r in read_records(store) for m in r.measurements}
    assert ablations == {"counterfactual", "mean", "none", "zero"}


def test_a_model_under_the_gate_gets_rows_with_its_accuracy(run_cells, plugin):
    summary, store, cells, _ = run_cells("task.gate=1.01")
    found = store.cell(cells[0].key)
    assert found["status"] == "gated" and "accuracy 0." in found["reason"] and "under 1.01" in found["reason"]
    assert not summary.failed and runs_of(plugin) == []


def test_cells_of_one_task_model_and_seed_open_the_model_once(make_cells, tmp_path):
    from bench.harness.report import Report
    from bench.harness.runner import run
    from tests.harness.conftest import load_toy

    loads = []

    def load(model, settings):
        loads.append(model.name)
        return load_toy(model, settings)

    cells = make_cells("method=toy_fixed,toy_chance", "metric=toy_curve,toy_sum", "data.seed=0,1")
    with Store(tmp_path / "store") as store:
        run([cell for cell in cells if not cell.added], store, Report(), load=load)
    assert len(loads) == 2


def test_what_was_asked_for_and_never_run_is_missing(run_cells, tmp_path):
    _, store, cells, _ = run_cells("method=toy_fixed,toy_chance")
    import shutil

    shutil.rmtree(store.root / "explanations" / cells[1].key)
    assert [(r.method, r.status) for r in read_records(store)] == [("toy_chance", "missing"), ("toy_fixed", "ok")]


def test_the_stored_cell_says_what_it_cost_and_where_it_ran(run_cells):
    _, store, cells, _ = run_cells()
    cell = store.cell(cells[0].key)
    assert cell["cost"]["forwards"] == 1.0 and cell["cost"]["seconds"] >= 0 and cell["cost"]["peak_memory_mib"] > 1
    assert cell["provenance"]["versions"]["torch"] and cell["provenance"]["hardware"]["cores"] >= 1
    assert cell["accuracy"] >= 0 and cell["n"] == 10
