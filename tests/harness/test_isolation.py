"""Jobs in processes of their own: limits on time and memory, and deaths that stay where they happened."""

from tests.harness.conftest import runs_of


def states(store, cells):
    return {cell.method.name: (store.cell(cell.key) or {"status": "missing"})["status"] for cell in cells}


def test_time_memory_and_death_are_rows_and_the_others_go_on(run_cells, plugin):
    words = ["method=toy_slow,toy_dies,toy_eats,toy_raises,toy_fixed", "isolate=true", "timeout=8", "memory=2000"]
    summary, store, cells, _ = run_cells(*words)
    assert states(store, cells) == {
        "toy_slow": "timeout", "toy_dies": "killed", "toy_eats": "killed", "toy_raises": "failed", "toy_fixed": "ok",
    }  # fmt: skip
    assert summary.failed
    reasons = {cell.method.name: store.cell(cell.key).get("reason") for cell in cells}
    assert reasons["toy_slow"] == "took longer than 8 s"
    assert reasons["toy_eats"] == "took more than 2000 MiB of memory"
    assert reasons["toy_dies"] == "its process was ended by signal 9 (out of memory?)"
    before = len(runs_of(plugin))
    run_cells("method=toy_fixed,toy_raises", "isolate=true")
    assert runs_of(plugin)[before:] == ["toy_raises seed=0"]


def test_an_isolated_run_gives_the_same_figures(run_cells):
    from bench.board import rows
    from bench.harness.records import read_records

    boards = []
    for store, words in {"plain": [], "apart": ["isolate=true"]}.items():
        _, opened, _, _ = run_cells("method=toy_fixed,toy_chance", "metric=toy_curve,toy_sum", *words, store=store)
        boards.append(rows(read_records(opened)).drop(columns=["seconds"]).to_csv())
    assert boards[0] == boards[1]
