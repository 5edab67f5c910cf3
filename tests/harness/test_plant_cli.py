"""`bench plant`: what is selected, what is printed, and the exit code."""

import json

import pytest

import bench.cli.evidence
import bench.cli.plant
from bench.cli.main import main
from bench.cli.planters import NATURAL, Planter, planters
from bench.harness.errors import CallError
from bench.registry import discover

FIGURES = {
    "accuracy": 1.0, "interchange_X": 0.99, "idle_nodes_accuracy": 1.0, "out_edges_accuracy": 0.985,
    "chance_answers": 0.1, "failed": [],
    "resample": {"least_node_cost": 0.3, "least_edge_cost": 0.2, "circuit_cut_accuracy": 0.05},
}  # fmt: skip


class Maker:
    """In place of a `Planting`."""

    starts = {"tuned": "base"}

    def __init__(self):
        self.planted, self.broken, self.short = [], set(), set()

    def verify(self, directory):
        if directory.name in self.broken:
            raise RuntimeError("no weights here")
        return FIGURES | {"failed": ["accuracy"] if directory.name in self.short else [], "name": directory.name}

    def summary(self, figures):
        from bench.planting.evidence.summary import summary

        return summary(figures)

    def details(self, found):
        return "details of " + ", ".join(f"{path.name}={f['name']}" for path, f in found.items()) + "\n"

    def plant(self, seed, where, progress, variant, start):
        self.planted.append((seed, where, variant, start))
        where.mkdir(parents=True)
        (where / "config.json").write_text("{}")


@pytest.fixture
def maker(monkeypatch, tmp_path):
    """A task ioi that plants two variants, and no other task that plants anything; the call's own directory."""
    made = Maker()

    def only_ioi(task, registries):
        if task != "ioi":
            raise CallError(f"the task {task} has no planted models")
        return {name: Planter("ioi", name, "base", made) for name in ("base", "tuned")}

    monkeypatch.setattr(bench.cli.evidence, "planters", only_ioi)
    monkeypatch.setattr(bench.cli.plant, "planters", only_ioi)
    monkeypatch.chdir(tmp_path)
    return made


def models(root, *places):
    for place in places:
        (root / place).mkdir(parents=True)
        (root / place / "config.json").write_text("{}")


def rows(text):
    return [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ioi")]


def test_without_a_task_everything_shipped_is_measured_and_a_pipe_stays_quiet(maker, capsys):
    assert main(["plant", "--verify", "threads=1"]) == 0
    shown = capsys.readouterr()
    assert rows(shown.out) == [f"ioi base seed{seed}" for seed in range(5)]
    assert "| 1.000 | 0.990 | - | 1.000 | 0.985 | 0.300 | 0.200 | 0.050 | 0.100 | - | - |" in shown.out
    assert shown.out.endswith("details of " + ", ".join(f"seed{s}=seed{s}" for s in range(5)) + "\n")
    assert shown.err == ""


def test_a_model_that_falls_short_makes_the_exit_code_1(maker, capsys):
    maker.short = {"seed3"}
    assert main(["plant", "task=ioi", "--verify", "threads=1"]) == 1
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "seed3 |" in line)
    assert line.endswith("| accuracy |")


def test_a_model_that_cannot_be_measured_does_not_take_the_others_with_it(maker, capsys):
    maker.broken = {"seed1"}
    assert main(["plant", "task=ioi", "--verify", "threads=1"]) == 1
    shown = capsys.readouterr().out
    assert len(rows(shown)) == 5 and "| RuntimeError: no weights here |" in shown
    assert "seed1=" not in shown and "seed2=seed2" in shown


def test_seeds_and_variants_of_a_directory(maker, capsys, tmp_path):
    models(tmp_path / "made", "seed0", "seed4", "tuned/seed4")
    assert main(["plant", "task=ioi", "out=made", "--verify", "threads=1"]) == 0
    assert rows(capsys.readouterr().out) == ["ioi base seed0", "ioi base seed4", "ioi tuned seed4"]
    assert main(["plant", "task=ioi", "out=made", "model.variant=tuned", "--verify", "threads=1"]) == 0
    assert rows(capsys.readouterr().out) == ["ioi tuned seed4"]
    assert main(["plant", "task=ioi", "out=made", "model.variant=null", "seed=4,0", "--verify", "threads=1"]) == 0
    assert rows(capsys.readouterr().out) == ["ioi base seed4", "ioi base seed0"]


@pytest.mark.parametrize(
    "words, said",
    [
        (["task=ioi", "model.seed=99", "model.variant=base"], "no planted model of ioi base with seed 99 is shipped"),
        (["task=ioi", "model.variant=other"], "ioi has no planted variant other (there are: base, tuned)"),
        (["out=somewhere"], "name the task too"),
        (["model.seed=99"], "no planted model is shipped"),
        (["task=ioi", "out=nowhere"], "no planted model is shipped"),
        (["task=sva"], "the task sva has no planted models"),
    ],
)
def test_what_is_not_there_is_a_wrong_call(maker, capsys, words, said):
    assert main(["plant", *words, "--verify"]) == 2
    assert said in capsys.readouterr().err


def test_planting_writes_where_asked_and_goes_on_from_the_base_beside_it(maker, capsys, tmp_path):
    models(tmp_path / "made", "seed1")
    assert main(["plant", "task=ioi", "model.seed=1,2", "model.variant=tuned", "out=made"]) == 0
    here = tmp_path / "made"
    assert [(seed, str(where), variant) for seed, where, variant, _ in maker.planted] == [
        (1, "made/tuned/seed1", "tuned"), (2, "made/tuned/seed2", "tuned"),
    ]  # fmt: skip
    assert [start for *_, start in maker.planted] == [here.relative_to(tmp_path) / "seed1", None]
    assert capsys.readouterr().out.split() == ["made/tuned/seed1", "made/tuned/seed2"]


def test_the_default_variant_is_planted_without_a_name_and_nothing_is_overwritten(maker, capsys):
    assert main(["plant", "task=ioi", "model.seed=7"]) == 0
    assert [(str(where), variant) for _, where, variant, _ in maker.planted] == [("planted/ioi/seed7", "base")]
    capsys.readouterr()
    assert main(["plant", "task=ioi", "model.seed=7", "model.variant=base"]) == 2
    assert "is there already" in capsys.readouterr().err


def test_a_variant_that_cannot_be_planted_is_a_wrong_call(maker, capsys, monkeypatch):
    def refuse(*_, **__):
        raise ValueError("plant that one first")

    monkeypatch.setattr(maker, "plant", refuse)
    assert main(["plant", "task=ioi", "model.seed=0", "model.variant=tuned", "out=x"]) == 2
    assert "plant that one first" in capsys.readouterr().err
    assert main(["plant", "task=ioi", "model.variant=other"]) == 2
    assert "ioi has no planted variant other" in capsys.readouterr().err


def test_planters_are_found_beside_the_tasks_class(plugin):
    registries = discover()
    found = planters("ioi", registries)
    assert list(found) == [None, NATURAL]
    assert found[None].maker.spec(None).task == "ioi"
    with pytest.raises(CallError, match="toy has no planted models"):
        planters("toy", registries)


@pytest.mark.slow
def test_two_models_side_by_side_give_the_shipped_figures(capsys):
    from tasks.ioi.task import IOI

    assert main(["plant", "task=ioi", "model.seed=0,1", "model.variant=null", "threads=2", "--verify"]) == 0
    shown = capsys.readouterr()
    assert rows(shown.out) == ["ioi seed0", "ioi seed1"] and shown.err == ""
    for seed, path in list(IOI().planted().items())[:2]:
        least = json.loads((path / "circuit.json").read_text())["evidence"]["resample"]["least_node_cost"]
        (line,) = (line for line in shown.out.splitlines() if line.startswith(f"| ioi seed{seed} "))
        assert f"| {least:.3f} |" in line


def test_what_is_measured_is_written_beside_the_models(maker, capsys, monkeypatch, tmp_path):
    home = tmp_path / "tasks" / "ioi" / "planted"
    models(home, "seed0", "tuned/seed0")
    monkeypatch.setattr(
        bench.cli.evidence, "_directories", lambda planter, out, registries: {0: planter.folder(home) / "seed0"}
    )
    assert main(["plant", "--verify", "--write", "threads=1"]) == 0
    assert (home / "EVIDENCE.md").read_text() == capsys.readouterr().out
    assert rows((home / "EVIDENCE.md").read_text()) == ["ioi base seed0", "ioi tuned seed0"]


@pytest.mark.parametrize(
    "call", [["--write"], ["--verify", "--write", "seed=0"], ["--verify", "--write", "task=ioi", "out=x"]]
)
def test_only_the_whole_of_a_task_is_written(maker, capsys, call):
    assert main(["plant", *call]) == 2
    assert "--write goes with --verify of all shipped models of a task" in capsys.readouterr().err
