"""The command line: exit codes, sweeps, wrong calls, and a run from end to end on a tiny model."""

import os
import shutil
import subprocess
import sys

import pandas as pd
import pytest

from bench.cli.main import VERBS, main
from tests.harness.conftest import PLUGIN, runs_of

SMALL = "task=ioi method=eap metric=auroc"
"""Composed in a moment; without a task, a method or a model a call is the default experiment."""
WRONG = {
    "run method=eap_igg": "unknown method 'eap_igg'. Did you mean eap_ig",
    "run task=iio": "unknown task 'iio'. Did you mean ioi",
    "run model=gpt": "Did you mean gpt2? For a hub name or a directory: model=hf model.id=gpt",
    "run metric=area": "unknown metric 'area'. Did you mean area_log",
    "run method=eap,atpp": "unknown method 'atpp'. Did you mean atp",
    "run method=eap method=atp": "method is given twice: method=eap and method=atp; keep one",
    "run seed=1 +seed=2": "seed is given twice",
    "run method=eap_ig method.stps=3": "there is no method.stps. Did you mean method.steps",
    "run method=eap +method.steps=3 metric=auroc": "the method eap has no parameter 'steps'",
    "run method=eap_ig method.steps=0 metric=auroc": "the method eap_ig: steps=0",
    "run method=eap method.objective=probability metric=auroc": "unknown objective 'probability'. Did you mean prob",
    "run model=hf method=eap metric=auroc": "model.id: a value is needed",
    "run method=eap metric=auroc model=hf model.id=./nowhere": "there is no such directory",
    "run method=eap metric=auroc model=hf model.id=nobody/nothing": "not in the local cache",
    "run method=eap metric=auroc model=hf model.id={empty}": "is no model: it has no config.json",
    "run ablation=men": "unknown ablation 'men'. Did you mean mean",
    "run {small} task.counterfactual=acb": "unknown counterfactual of ioi 'acb'. Did you mean abc",
    "run {small} task.templates=[wnet]": "the task ioi: ioi has no template 'wnet'",
    "run task=gender method=eap metric=auroc task.templates=[wnet]": "the task gender: gender has no template 'wnet'",
    "run task=ioi,sva method=eap metric=auroc task.sizes.test=0": "task.sizes.test=0: at least 1 example is needed",
    "run {small} task.data=nowhere.csv": "there is no such file",
    "run {small} dtype=float23": "unknown dtype",
    "run {small} padding_side=up": "use left or right",
    "run {small} batch_size=0": "use 1 or more",
    "run method=[eap": "no viable alternative",
    "run eap": "what is 'eap'?",
    "run --fast": "unknown option '--fast'",
    "rum": "unknown verb 'rum'; did you mean run?",
    "list methos": "unknown kind 'methos'. Did you mean methods",
    "list --examples iio": "unknown task 'iio'. Did you mean ioi",
    "list tasks --examples --measure": "ask for one of them",
    "list methods --examples": "`bench list methods` takes no --examples",
    "list metrics model=gpt2": "`bench list metrics` takes no overrides: model=gpt2",
    "list model=gpt2": "only tasks take overrides",
    "list tasks task=ioi": "which model?",
    "list tasks model=hf": "model.id: a value is needed",
    "list tasks model=hf model.id=./nowhere": "there is no such directory",
    "list tasks model=hf model.id={empty}": "no tokenizer can be read from",
    "list tasks ioi model=gpt2": "only tasks take overrides",
    "list --examples ioi task=sva": "task is given twice",
    "score store={empty}/none": "there is no store",
    "board store={empty}/none": "there is no store",
    "board page=boards/variable.html": "the name of a page is needed",
    "run {small} store={file}": "choose another with store=PATH",
}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("call", "said"), WRONG.items())
def test_a_wrong_call_ends_in_2_with_a_hint_and_writes_nothing(call, said, place, capsys):
    (place / "empty").mkdir()
    (place / "file").write_text("")
    words = call.format(empty=place / "empty", file=place / "file", small=SMALL)
    assert main(words.split()) == 2
    captured = capsys.readouterr()
    assert said in captured.err and "Traceback" not in captured.err
    assert {path.name for path in place.iterdir()} == {"empty", "file"}


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb, capsys):
    assert main([verb, "--help"]) == 0
    assert f"bench {verb}" in capsys.readouterr().out


def test_help_and_version(capsys):
    assert main(["--help"]) == 0 and main(["--version"]) == 0 and main([]) == 2
    assert "interpassay 0." in capsys.readouterr().out


def test_list_names_everything_and_says_what_is_broken(plugin, capsys):
    assert main(["list"]) == 0
    shown = capsys.readouterr().out
    for name in ("ioi", "eap_ig", "patching", "area_log", "planted", "tinystories", "toy_fixed"):
        assert name in shown.split()
    assert "BROKEN" in shown and "(toyplug)" in shown
    assert main(["list", "methods"]) == 0
    assert capsys.readouterr().out.startswith("acdc")


@pytest.fixture
def toy_run(plugin, tiny_gpt2, place):
    """`bench run` on the toy task and a tiny model; the exit code."""

    def run(*words, verb="run"):
        return main([verb, *(toy_words(tiny_gpt2) if verb == "run" else []), *words])

    return run


def toy_words(model):
    return ["task=toy", "model=hf", f"model.id={model}", "threads=1", "metric=toy_curve,toy_sum"]


@pytest.fixture(scope="module")
def stored(tiny_gpt2, tmp_path_factory):
    """A store of 8 cells: `toy_fixed`, and the `random` added beside it, under 2 seeds and 2 counterfactuals."""
    store = tmp_path_factory.mktemp("stored") / "results"
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(PLUGIN))
        words = ["method=toy_fixed", "data.seed=0,1", "task.counterfactual=swap,other", f"store={store}"]
        assert main(["run", *toy_words(tiny_gpt2), *words]) == 0
    return store


def test_run_score_and_board_end_to_end(toy_run, plugin, place, capsys):
    assert toy_run("method=toy_fixed,toy_chance", "method.seed=0,1") == 0
    first = capsys.readouterr()
    assert "toy_fixed" in first.out and "added for floor and ceiling: random" in first.err
    assert "toy on tiny, data seed 0: accuracy" in first.err
    assert {path.name for path in place.iterdir()} == {"results", "toy.log"}
    assert toy_run("method=toy_fixed,toy_chance", "method.seed=0,1") == 0
    second = capsys.readouterr()
    assert "nothing to do" in second.err and second.out == first.out
    assert toy_run("metric=toy_curve", "metric.bonus=1.0", "method=toy_fixed", verb="score") == 0
    assert "toy_curve[bonus=1.0]" in capsys.readouterr().out
    assert len(runs_of(plugin)) == 3
    assert toy_run("out=boards", verb="board") == 0 and toy_run("out=boards", "page=toy.html", verb="board") == 0
    written = {path.name for path in (place / "boards").iterdir()}
    assert {"index.html", "made.json", "toy.html", "toy_made.json"} < written
    table = pd.read_csv(place / "boards" / "circuit.csv")
    assert set(table["method"]) == {"toy_fixed", "toy_chance", "random"}
    assert set(table["metric"]) == {"toy_curve", "toy_sum", "toy_curve[bonus=1.0]"}
    assert (table["status"] == "ok").all()
    assert table[table.metric == "toy_curve"].set_index("method").seeds["toy_chance"] == "0;1"


@pytest.mark.parametrize(
    ("chosen", "cells"),
    [
        (["data.seed=1", "method=toy_fixed"], 2), (["seed=0"], 4), (["task.counterfactual=swap"], 4),
        (["task.counterfactual=swap", "data.seed=0"], 2), (["model.variant=null"], 8),
    ],
)  # fmt: skip
def test_score_chooses_among_the_cells_of_the_store(stored, toy_run, place, chosen, cells, capsys):
    shutil.copytree(stored, place / "results")
    assert toy_run("metric=toy_curve", "metric.bonus=1.0", *chosen, verb="score") == 0
    assert f"{cells} cells, 0 of them done" in capsys.readouterr().err
    assert toy_run("metric=toy_curve", "data.seed=7", verb="score") == 2


def test_a_failed_cell_makes_the_exit_code_1(toy_run, capsys):
    assert toy_run("method=toy_fixed,toy_raises") == 1
    shown = capsys.readouterr()
    assert "failed" in shown.out and "could not read file.txt" in shown.out and "Traceback" not in shown.err
    assert toy_run("method=toy_raises", "verbose=true") == 1
    assert "Traceback" in capsys.readouterr().err


def test_globs_and_sweeps_over_anything_make_a_multirun(toy_run, plugin, capsys):
    assert toy_run("method=glob(toy_fix*)", "method.scale=1.0,2.0", "task.counterfactual=swap,other") == 0
    assert sorted(runs_of(plugin)) == ["toy_fixed seed=0"] * 2 + ["toy_fixed[scale=2.0] seed=0"] * 2


def test_a_parameter_of_swept_methods_that_the_default_method_lacks(make_cells):
    cells = make_cells("method=patching,edge_patching", "method.direction=denoising")
    assert {c.method.label for c in cells if not c.added} == {
        "patching[direction=denoising]", "edge_patching[direction=denoising]",
    }  # fmt: skip


def test_sweeping_batch_sizes_and_stores_runs_nothing_twice(toy_run, plugin, place):
    assert toy_run("method=toy_fixed", "batch_size=1,7", "store=a,b") == 0
    assert len(runs_of(plugin)) == 2 and {"a", "b"} <= {path.name for path in place.iterdir()}


def test_a_planted_seed_that_is_not_shipped_is_a_skipped_row(place, capsys):
    assert main(["run", "task=ioi", "method=eap", "model=planted", "model.seed=12345"]) == 0
    assert "no planted model of ioi with seed 12345 is shipped" in " ".join(capsys.readouterr().out.split())


def test_a_task_without_planted_models_says_what_to_take_instead(place, capsys):
    assert main(["run", "task=sva", "method=eap", "model=planted"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "sva has no planted models; take a natural one" in said and "bench plant" not in said


def test_a_task_that_does_not_fit_the_tokenizer_is_a_skipped_row(plugin, tiny_gpt2, place, capsys):
    words = ["method=toy_fixed", "metric=toy_sum", "model=hf", f"model.id={tiny_gpt2}", "threads=1"]
    assert main(["run", "task=hallucination,greater_than", *words]) == 0
    assert "Traceback" not in capsys.readouterr().err
    assert main(["board"]) == 0
    board = pd.read_csv(place / "leaderboards" / "circuit.csv").query("method == 'toy_fixed'").set_index("task")
    assert set(board.status) == {"skipped"}
    assert "can be read by this tokenizer" in board.reason["greater_than"]
    assert "tokenizer" in board.reason["hallucination"]


def test_baselines_take_the_level_of_the_rows_that_they_accompany(make_cells):
    cells = make_cells("method=eap,atp,random", "task=toy", "data.seed=0")
    found = {(cell.method.name, cell.method.level) for cell in cells if not cell.added}
    assert found == {("eap", "edge"), ("atp", "node"), ("random", "edge"), ("random", "node")} and len(cells) == 4
    cells = make_cells("method=atp")
    found = [(cell.method.name, cell.method.level, cell.added) for cell in cells]
    assert found == [("atp", "node", False), ("random", "node", True)]
    (alone,) = make_cells("method=random", "method.level=node")
    assert alone.method.level == "node"


def test_the_installed_command_works_in_a_pipe(plugin, tiny_gpt2, place):
    words = ["run", "task=toy", "method=toy_fixed", "model=hf", f"model.id={tiny_gpt2}", "metric=toy_curve"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(PLUGIN), *sys.path])}
    call = [sys.executable, "-m", "interpassay", *words]
    done = subprocess.run(call, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "toy_curve" in done.stdout
    assert len(done.stderr.splitlines()) == 3, done.stderr  # what was added, how much there is to do, the job


def test_an_architecture_outside_the_table_is_a_row_that_says_so(toy_run, place, capsys):
    import json

    odd = place / "odd"
    odd.mkdir()
    (odd / "config.json").write_text(json.dumps({"model_type": "bloom", "architectures": ["BloomForCausalLM"]}))
    (odd / "model.safetensors").write_bytes(b"")
    words = ["task=toy", "method=toy_fixed", "model=hf", f"model.id={odd}", "metric=toy_sum"]
    assert main(["run", *words]) == 1
    shown = capsys.readouterr()
    assert "failed" in shown.out and "bloom" in shown.out.lower() and "Traceback" not in shown.err


def test_a_reader_that_has_seen_enough_ends_the_command_without_a_traceback():
    read, write = os.pipe()
    os.close(read)
    call = [sys.executable, "-m", "interpassay", "list", "tasks"]
    done = subprocess.run(call, stdout=write, stderr=subprocess.PIPE, text=True, timeout=120)
    os.close(write)
    assert done.returncode == 141 and done.stderr == ""
