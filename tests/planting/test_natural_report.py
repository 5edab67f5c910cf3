"""Distances between planted and natural models by hand, the report's files, and the command that makes them."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from bench.cli import natural as command
from bench.cli import plant as verb
from bench.cli import run as run_verb
from bench.engine import Engine
from bench.harness.errors import CallError
from bench.planting.architectures import build
from bench.planting.evidence.circuit import Circuit
from bench.planting.export import load, save
from bench.planting.natural import distance, report
from bench.planting.natural.effects import Ablation, measure
from tests.board.records import area, record
from tests.board.records import load as load_metric
from tests.planting import toy
from tests.planting.test_natural_truth import costs, effects

NATURAL = "planted[variant=natural]"


def test_the_effective_number_of_nodes():
    """All alike: their number; one alone: 1; 3 and 1: 16 / 10. A rise counts as an effect."""
    assert distance.participation(np.full(7, 0.2)) == pytest.approx(7)
    assert distance.participation(np.array([0, 0.4, 0])) == 1
    assert distance.participation(np.array([0.3, -0.1])) == pytest.approx(1.6)
    assert math.isnan(distance.participation(np.zeros(3)))


def test_how_effects_are_spread_by_hand():
    found = distance.spread(effects(accuracy=(0.05, 0.02, 0.0, 0.0), margin=(0.5, 0.04, -0.04, 0.0)))
    assert found["nodes that cost 0.05 of accuracy, share"] == 0.25
    assert found["nodes that move accuracy by 0.01, share"] == 0.5
    assert found["nodes that cost 0.05 of margin, share"] == 0.25
    assert found["nodes that move margin by 0.01, share"] == 0.75
    assert (found["largest cost of a node, accuracy"], found["largest cost of a node, margin"]) == (0.05, 0.5)


def test_interacting_pairs_by_hand():
    found = distance.interaction(effects(excess=costs([0.1, -0.1, -0.1, 0.02, 0, 0], [0] * 6)))
    assert found["pairs that cost more than their nodes, accuracy, share"] == pytest.approx(1 / 6)
    assert found["pairs that cost less than their nodes, accuracy, share"] == pytest.approx(2 / 6)
    assert found["pairs that cost less than their nodes, margin, share"] == 0


@pytest.fixture
def model(tmp_path):
    """A tiny random model with a claim about it, and prompts that it answers right."""
    torch.manual_seed(4)
    made = build(toy.SHAPES["gpt2"])
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(2.5)
    save(made, toy.VOCABULARY, tmp_path)
    roles = {"a0.h0": "required", "a0.h1": "free", "m0": "inert", "a1.h0": "required", "a1.h1": "free", "m1": "free"}
    edges = {"in": ["m1->logits"], "out": ["a0.h1->m1", "m0->logits"], "undetermined": ["input->m0"]}
    nodes = {name: {"role": role, "variable": None, "position": None} for name, role in roles.items()}
    circuit = Circuit("toy", 0, nodes, edges, {})
    pairs = toy.fresh(0, 20, {"repeat": 1.0})[0]
    with torch.no_grad():
        answer, wrong = made(pairs.base).logits.argmax(-1), made(pairs.source).logits.argmax(-1)
    wrong = torch.where(wrong == answer, (answer + 1) % 15, wrong)
    return tmp_path, circuit, [replace(pairs, answer=answer, wrong=wrong)]


def test_activity_is_the_ratio_of_medians_over_free_and_required_nodes(model):
    """Prompt by prompt and position by position; the decoy m0 is in neither."""
    directory, circuit, pairs = model
    found, planted = distance.activity(circuit, directory, pairs), load(directory).requires_grad_(False)
    size, change = {}, {}
    for name in circuit.nodes:
        column, norms, moves = planted.graph.sources.index(name), [], []
        for base, source in zip(pairs[0].base, pairs[0].source, strict=True):
            out, other = (planted(row[None]).outs[column][0] for row in (base, source))
            norms += [float(position.norm()) for position in out]
            moves += [float(position.norm()) for position in out - other]
        size[name], change[name] = np.mean(norms), np.mean(moves)
    for name, by_node in (("output norm", size), ("change between prompts", change)):
        free, required = (np.median([by_node[n] for n in circuit.by_role(role)]) for role in ("free", "required"))
        assert found[f"{name}, free over required"] == pytest.approx(free / required, rel=1e-4)


def test_a_models_figures_are_those_of_its_cuts(model):
    directory, circuit, pairs = model
    ablation = Ablation(Engine.load(directory), pairs)
    found = distance.figures(circuit, directory, ablation, measure(ablation, edges=False))
    assert found["nodes in the circuit, share"] == pytest.approx(2 / 6) and found["`in` edges, share"] == 0.25
    outside = ablation.nodes([("a0.h1", "m0", "a1.h1", "m1")])
    assert found["all nodes outside resampled: accuracy lost"] == pytest.approx(1 - outside.right.mean())
    edges = ablation.together(["a0.h1->m1", "m0->logits"])
    lost = (ablation.whole.margin - edges.margin).mean() / ablation.lost.mean()
    assert found["all `out` edges resampled: margin lost"] == pytest.approx(lost)


def boards():
    methods = [(m, 0.1 * i) for i, m in enumerate("abcdef", 1)]
    return [record(m, area(x), model=model) for model in ("planted", NATURAL) for m, x in methods]


def frame():
    rows = [("ioi", "mixed", "accuracy", "planted", seed, value) for seed, value in ((0, 0.99), (1, 1.0))]
    rows += [("ioi", "mixed", "accuracy", "natural", 0, 0.98), ("ioi", "mixed", "ratio", "natural", 0, math.nan)]
    return pd.DataFrame(rows, columns=list(report.COLUMNS))


def test_the_page_says_means_with_their_range_and_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "agreement", lambda records, inner=report.agreement: inner(records, load_metric))
    report.write(frame(), boards(), tmp_path)
    page = (tmp_path / "report.md").read_text()
    assert "| accuracy | 0.995 [0.990, 1.000] | 0.980 |" in page and "| ratio | - | - |" in page
    assert "| ioi | edge | area_log | counterfactual | 1.00 | [" in page and "f 0.600 > e 0.500" in page
    assert pd.read_csv(tmp_path / "distance.csv").value.iloc[1] == 1.0
    assert pd.read_csv(tmp_path / "agreement.csv").tau.iloc[0] == pytest.approx(1.0)
    assert '"code": "' in (tmp_path / "made.json").read_text()


def test_the_page_without_boards_says_so():
    assert "No task has both boards." in report.markdown(frame(), report.agreement([]))


class Maker:
    """A planting with or without a shipped natural model."""

    def __init__(self, there):
        self.there = there

    def shipped(self):
        return {0: Path("seed0")} if self.there else {}


@pytest.fixture
def calls(monkeypatch, tmp_path):
    """The command with its three slow parts taken out; what they are called with."""
    seen = {"runs": []}

    class Planter:
        def __init__(self, there):
            self.maker = Maker(there)

    def planters(name, registries):
        if name not in ("ioi", "induction"):
            raise CallError(f"the task {name} has no planted models")
        return {command.NATURAL: Planter(name == "ioi")}

    monkeypatch.setattr(command, "planters", planters)
    monkeypatch.setattr(run_verb, "main", lambda arguments: seen["runs"].append(arguments) or 1)
    monkeypatch.setattr(report, "distances", lambda tasks, progress: seen.update(tasks=list(tasks)) or frame())
    monkeypatch.setattr(report, "write", lambda found, records, out: seen.update(out=out) or frame())
    seen["store"] = f"store={tmp_path / 'store'}"
    return seen


def test_the_command_runs_both_boards_on_the_tasks_that_have_a_natural_model(calls):
    assert verb.main(["--report", calls["store"]]) == 1, "a failed cell shows in the exit code"
    planted, natural = calls["runs"]
    assert {"experiment=default", "task=ioi", "seed=0,1,2,3,4", calls["store"]} == set(planted)
    assert set(natural) - set(planted) == {"model.variant=natural", "model.seed=0"}
    assert calls["tasks"] == ["ioi"] and str(calls["out"]) == "leaderboards/natural"


@pytest.mark.parametrize("task, error", (("induction", "make one: bench plant"), ("sva", "no planted models")))
def test_a_task_that_is_named_and_has_no_natural_model_is_an_error(calls, task, error):
    with pytest.raises(CallError, match=error):
        verb.main(["--report", calls["store"], f"task={task}"])
    assert calls["runs"] == []


def test_one_thing_at_a_time():
    with pytest.raises(CallError, match="ask for one of them"):
        verb.main(["--report", "--verify"])
