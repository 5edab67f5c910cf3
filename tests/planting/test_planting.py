"""A task's planted models as directories: variants, permuted heads, several circuits, tables."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from bench.planting.evidence.circuit import Circuit
from bench.planting.evidence.planting import Planting
from bench.planting.export import load
from bench.planting.permute import renaming
from bench.planting.train import code_hash
from tests.planting import toy

SEED = next(seed for seed in range(20) if renaming(toy.SHAPES["gpt2"], seed)("a1.h0") != "a1.h0")


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A task's folder with the base variant of one seed, small as it is."""
    path = tmp_path_factory.mktemp("task")
    (path / "toy.py").write_text("a module of the task's\n")
    toy.planting(path).plant(SEED, path / "planted" / f"seed{SEED}", pairs=40)
    yield path


@pytest.fixture(scope="module")
def task(here: Path) -> Planting:
    return toy.planting(here)


@pytest.fixture(scope="module")
def circuit(task: Planting) -> Circuit:
    return Circuit.read(task.shipped()[SEED] / "circuit.json")


def test_roles_sit_in_the_seeds_own_heads(circuit: Circuit) -> None:
    rename = renaming(toy.SHAPES["gpt2"], SEED)
    roles = toy.spec().roles
    assert {name for name in circuit.nodes if circuit.nodes[name]["role"] == "required"} == {*map(rename, roles)}
    assert circuit.variables["I"]["nodes"] == [rename("a1.h0")]
    declared = {*circuit.edges["in"], *circuit.edges["undetermined"]}
    asked = toy.spec()
    assert declared == {rename(edge) for edge in (*asked.required_edges, *asked.other_edges)}


def test_a_model_of_two_circuits_says_which_nodes_are_whose(circuit: Circuit) -> None:
    rename = renaming(toy.SHAPES["gpt2"], SEED)
    assert circuit.groups == {"repeat": [rename("a0.h0"), rename("a1.h0"), "m1"], "name": ["m1"], "shared": ["m1"]}
    costs = circuit.evidence["node_costs_by_kind"]
    assert costs["repeat"][rename("a1.h0")] > 0.5 > costs["name"][rename("a1.h0")]
    own = circuit.evidence["own_nodes_cut_accuracy_by_kind"]
    assert set(own["repeat"]) == {"repeat", "name"}
    # of `name` nothing is its own, so that cutting it cuts nothing
    assert own["repeat"]["name"] == pytest.approx(own["repeat"]["repeat"] + costs["repeat"][rename("a1.h0")], abs=0.3)


def test_a_nodes_cost_is_its_largest_over_the_settings(circuit: Circuit) -> None:
    again = toy.planting(Path("nowhere"))
    by_kind = circuit.evidence["node_costs_by_kind"]
    assert set(circuit.evidence["resample"]["node_costs"]) == set(by_kind["repeat"])
    assert again.spec_of(SEED).checks.settings == {"repeating": {"repeat": 1.0}, "naming": {"name": 1.0}}
    for node, cost in circuit.evidence["resample"]["node_costs"].items():
        # the same kinds on other prompts: near, and never only the smaller of the two
        assert cost == pytest.approx(max(by_kind["repeat"][node], by_kind["name"][node]), abs=0.3)


def test_the_stored_evidence_comes_out_again(task: Planting, circuit: Circuit) -> None:
    assert task.verify(task.shipped()[SEED], pairs=40) == circuit.evidence


def test_bounds_are_asked_for(circuit: Circuit) -> None:
    found = circuit.evidence["bounds"]
    assert set(found) == {"repeats", "names"}
    short = {name for name in found if f"accuracy, {name}" in circuit.evidence["failed"]}
    bad = {"repeats": found["repeats"] < 0.9, "names": found["names"] > 0.5}
    assert short == {name for name in bad if bad[name]}


def test_tables_name_heads_as_the_task_does(task: Planting, circuit: Circuit) -> None:
    text = task.details({task.shipped()[SEED]: circuit.evidence})
    rename = renaming(toy.SHAPES["gpt2"], SEED)
    assert f"| `a1.h0` | {rename('a1.h0')} |" in text
    cost = circuit.evidence["resample"]["node_costs"][rename("a1.h0")]
    assert f"| `a1.h0` |  | {cost:.3f} |" in text
    assert "# Evidence of the planted models: toy, base" in text
    assert "Nodes of repeat in the first model: a0.h0, a1.h0, m1." in text


def test_a_variant_goes_on_from_its_base(task: Planting, here: Path, tmp_path: Path) -> None:
    task.plant(SEED, tmp_path / "tuned" / "seed", variant="tuned", pairs=8)
    base, tuned = load(task.shipped()[SEED]), load(tmp_path / "tuned" / "seed")
    gap = max(float((a - b).detach().abs().max()) for a, b in zip(base.parameters(), tuned.parameters(), strict=True))
    assert 0 < gap < 0.01, "three steps at the start of the warm-up move little"
    assert json.loads((tmp_path / "tuned" / "seed" / "circuit.json").read_text())["variant"] == "tuned"
    task.plant(SEED, tmp_path / "again", variant="tuned", start=task.shipped()[SEED], pairs=8)
    again = load(tmp_path / "again")
    assert all(torch.equal(a, b) for a, b in zip(tuned.parameters(), again.parameters(), strict=True))


def test_a_variant_without_its_base_says_what_to_do(task: Planting, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="seed 77 is not shipped: plant that one first"):
        task.plant(77, tmp_path / "x", variant="tuned")
    with pytest.raises(ValueError, match=r"no planted variant 'other' \(there are: base, tuned\)"):
        task.plant(0, tmp_path / "x", variant="other")


def test_the_default_variant_lies_beside_the_others(task: Planting, here: Path) -> None:
    assert task.shipped() == task.shipped("base") == {SEED: here / "planted" / f"seed{SEED}"}
    assert task.shipped("tuned") == {}


def test_the_hash_covers_the_trainer_and_the_tasks_modules_and_nothing_else(
    task: Planting, here: Path, circuit: Circuit
) -> None:
    names = {path.name for path in task.code_files()}
    assert {"toy.py", "model.py", "gpt2.py", "llama.py", "neox.py", "losses.py", "spec.py", "train.py"} <= names
    assert not names & {"figures.py", "checks.py", "table.py", "planting.py"}
    assert circuit.code == code_hash(task.code_files())
    (here / "toy.py").write_text("changed\n")
    assert circuit.code != code_hash(task.code_files())
    (here / "toy.py").write_text("a module of the task's\n")
