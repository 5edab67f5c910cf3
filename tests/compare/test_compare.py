"""bench compare: the numbers, what is missing, what may be concluded, and wrong calls."""

import numpy as np
import pytest

from bench.board.figures import figures
from bench.cli import compare as verb
from bench.cli.main import main
from bench.compare import Wanted, compare, report
from bench.compare.words import conclusion
from tests.board.records import area, load, record, roc
from tests.board.test_ranks import TASKS, cells

A, B = "eap", "eap_ig[steps=10]"
PAIR = {A: 0.5, B: 0.6}


def compared(records, methods=(A, B), wanted=None, family="shown"):
    return compare(methods, figures(records, load), wanted, family)


def test_the_mean_over_tasks_its_test_and_what_six_tasks_allow():
    (found,) = compared(cells(PAIR, TASKS))
    assert len(found.tasks) == 7 and found.here.value == pytest.approx(-0.1, abs=0.01)
    assert found.test.p == pytest.approx(2 / 2**7) == pytest.approx(found.holm) and found.test.effect == -1
    assert found.sample.low < -0.1 < found.sample.high and np.isfinite(found.here.low)
    assert conclusion(found).startswith(f"{B} is better than {A} on tasks like these 7 tasks")
    (few,) = compared(cells(PAIR, TASKS[:5]))
    assert "p < .05 is impossible" in conclusion(few) and "nothing can be concluded about other tasks" in conclusion(
        few
    )
    assert f"{B} is better on" in conclusion(few)
    (one,) = compared(cells(PAIR))
    assert "With 1 task the smallest p is 1" in conclusion(one)


def test_a_family_that_is_too_large_is_said_to_allow_nothing():
    (found,) = compared(cells(PAIR, TASKS), family=10)
    assert found.family == 10 and found.holm == pytest.approx(10 * 2 / 2**7)
    assert "a family of 10 tests" in conclusion(found)
    three = {**PAIR, "third": 0.55}
    shown, metric = (compared(cells(three, TASKS), tuple(three), family=f) for f in ("shown", "metric"))
    assert {c.family for c in shown} == {c.family for c in metric} == {3} and len(shown) == 3


def test_metrics_where_lower_is_better_are_turned_and_p_is_the_same_both_ways():
    (found,), (back,) = compared(cells(PAIR, TASKS)), compared(cells(PAIR, TASKS), (B, A))
    assert found.test.p == back.test.p and found.here.value == pytest.approx(-back.here.value)
    assert (found.tasks[0].estimate.low, found.tasks[0].estimate.p) == pytest.approx(
        (-back.tasks[0].estimate.high, back.tasks[0].estimate.p)
    )


def test_equal_methods_are_not_told_apart_and_that_is_called_no_evidence():
    (found,) = compared(cells({A: 0.5, B: 0.5}, TASKS))
    assert found.holm > 0.05 and "no evidence that there is none" in conclusion(found)


def test_missing_cells_are_named_and_never_counted():
    made = [c for c in cells(PAIR, ("ioi", "sva", "mcqa")) if (c.method, c.task) != (B, "sva")]
    made += [record(B, task="sva", model_seed=s, status="failed", reason="out of memory") for s in range(5)]
    made = [c for c in made if (c.method, c.task, c.model_seed) != (A, "mcqa", 4)]
    (found,) = compared(made)
    assert [t.task for t in found.tasks] == ["ioi", "mcqa"]
    text = report([found])
    assert f"sva: missing: {B}: failed (seed 0, 1, 2, 3, 4): out of memory" in text
    assert "mcqa: only one of the two has seed 4: left out" in text


def test_figures_without_examples_are_said_not_to_be_paired_by_example():
    made = [record(m, roc(s, seed=i), model_seed=i, data_seed=i) for m, s in ((A, 1), (B, 4)) for i in range(5)]
    (found,) = compared(made)
    assert found.board.metric == "auroc" and "Not paired by example" in report([found])


def test_node_and_edge_methods_are_compared_by_real_size_only():
    made = [record(m, area(v, noise=0.1), roc(1), level=lv) for m, v, lv in ((A, 0.5, "edge"), ("atp", 0.3, "node"))]
    (found,) = compared(made, (A, "atp"))
    assert found.board.metric == "area_log" and "only figures over real sizes" in report([found])


def test_planted_and_natural_models_are_compared_apart_and_natural_ones_of_a_task_together():
    made = cells(PAIR) + [
        record(m, area(v, noise=0.1), planted=False, model=name, model_seed=None)
        for m, v in PAIR.items()
        for name in ("gpt2", "pythia")
    ]
    found = compared(made)
    assert [c.board.kind for c in found] == ["natural", "planted"] and found[0].tasks[0].difference.seeds == 2


def test_filters_take_names_with_and_without_parameters():
    made = cells(PAIR, ("ioi", "sva"))
    assert [t.task for t in compared(made, wanted=Wanted(task=["sva"]))[0].tasks] == ["sva"]
    assert not compared(made, wanted=Wanted(level=["node"])) and not compared(made, wanted=Wanted(metric=["auroc"]))


@pytest.fixture
def call(monkeypatch, tmp_path, capsys):
    def run(*words, records=None):
        made = cells(PAIR, ("ioi", "sva")) if records is None else records
        monkeypatch.setattr(verb, "read_records", lambda store: made)
        code = main(["compare", *words, f"store={tmp_path}"])
        return code, capsys.readouterr()

    return run


def test_the_command_prints_the_comparison_and_takes_names_with_brackets(call):
    code, said = call(A, B, "metric=area_log", "ablation=counterfactual", "level=edge", "task=ioi,sva")
    assert code == 0 and "family=shown" in said.out and "With 2 tasks the smallest p is 0.5" in said.out
    assert "  ioi   -0.1" in said.out and "rank-biserial -1.00" in said.out


@pytest.mark.parametrize(
    "words, expected",
    [
        ((A,), "name two methods"),
        ((A, A), "each once"),
        ((A, "eap_ig[steps=11]"), "Did you mean eap_ig[steps=10]"),
        ((A, B, "tsk=ioi"), "Did you mean task"),
        ((A, B, "task=iio"), "Did you mean ioi"),
        ((A, B, "metric=area"), "Did you mean area_log"),
        ((A, B, "family=all"), "family=all: use shown, metric or the number"),
        ((A, B, "task=ioi", "task=sva"), "given twice"),
        ((A, B, "--all"), "unknown option"),
    ],
)
def test_wrong_calls_exit_with_2_and_say_what_is_wrong(call, words, expected):
    code, said = call(*words)
    assert code == 2 and expected in said.err and not said.out


def test_methods_without_a_common_task_say_what_each_has(call):
    apart = cells({A: 0.5}, ("ioi",)) + cells({B: 0.6}, ("sva",))
    code, said = call(A, B, records=apart)
    assert code == 2 and f"{A}: ioi (edge, ok)" in said.err and f"{B}: sva (edge, ok)" in said.err
