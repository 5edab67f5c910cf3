"""What the fleet of planted models promises as a whole: which tasks, variants, seeds and architectures there are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import tasks
from bench.planting.evidence.circuit import Circuit
from bench.planting.evidence.shipped import shipped
from bench.planting.export import load

HERE = Path(tasks.__file__).parent
MISSION = ("ioi", "entity_tracking", "recall_reasoning", "hallucination")
NATURAL = MISSION
OTHERS = ("induction", "arithmetic", "identity_rules", "path_finding")
ALL = sorted(HERE.glob("*/planted/**/config.json"))


def name_of(config: Path) -> str:
    return "-".join(config.parent.relative_to(HERE).parts).replace("-planted", "")


@pytest.mark.parametrize("task", MISSION)
def test_a_task_of_the_mission_has_five_seeds(task: str) -> None:
    assert list(shipped(HERE / task)) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("task", NATURAL)
def test_a_model_trained_on_the_task_alone_is_there(task: str) -> None:
    assert list(shipped(HERE / task, "natural")) == [0]


@pytest.mark.parametrize("task", OTHERS)
def test_every_other_planted_task_has_a_model(task: str) -> None:
    assert 0 in shipped(HERE / task)


def test_entity_tracking_has_a_base_model_of_every_tuned_one() -> None:
    assert list(shipped(HERE / "entity_tracking", "base")) == list(shipped(HERE / "entity_tracking"))


def test_one_model_is_written_by_hand() -> None:
    assert 0 in shipped(HERE / "induction", "written")


def test_the_architectures_differ() -> None:
    configs = [json.loads(path.read_text(encoding="utf-8")) for path in ALL]
    assert {config["model_type"] for config in configs} == {"gpt2", "llama", "gpt_neox"}
    llamas = [config for config in configs if config["model_type"] == "llama"]
    assert any(config["num_key_value_heads"] < config["num_attention_heads"] for config in llamas)
    assert all(config["use_parallel_residual"] for config in configs if config["model_type"] == "gpt_neox")


@pytest.mark.parametrize("config", ALL, ids=name_of)
def test_no_model_falls_short_or_is_large(config: Path) -> None:
    circuit = Circuit.read(config.parent / "circuit.json")
    assert config.parent.name == f"seed{circuit.seed}"
    assert circuit.evidence["failed"] == []
    assert sum(p.numel() for p in load(config.parent).parameters()) <= 500_000
    assert (config.parent / "model.safetensors").stat().st_size <= 4 * 2**20


@pytest.mark.parametrize("task", [*MISSION, *OTHERS])
def test_the_evidence_is_written_down(task: str) -> None:
    text = (HERE / task / "planted" / "EVIDENCE.md").read_text(encoding="utf-8")
    for config in (HERE / task / "planted").glob("**/config.json"):
        circuit = Circuit.read(config.parent / "circuit.json")
        assert f"seed{circuit.seed}" in text
