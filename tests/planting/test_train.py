"""Training: an interrupted run goes on to the same weights; a directory is written whole or not at all."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import bench.planting.train as training
from bench.planting.spec import PlantSpec
from tasks.ioi import plant as ioi


class Stop(Exception):
    """Stands for a kill."""


def small() -> PlantSpec:
    return replace(ioi.spec(), pairs=8, groups=4)


def test_a_killed_training_goes_on_to_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "SAVE_EVERY", 6)
    whole = training.train(small(), 3, tmp_path / "a.pt", steps=20)

    def stop(done: int, total: int, message: str) -> None:
        raise Stop

    with pytest.raises(Stop):
        training.train(small(), 3, tmp_path / "b.pt", stop, steps=20)
    assert torch.load(tmp_path / "b.pt", weights_only=True)["stamp"]["step"] == 6
    seen: list[int] = []
    resumed = training.train(small(), 3, tmp_path / "b.pt", lambda done, *_: seen.append(done), steps=20)
    assert seen[-1] == 20
    assert torch.load(tmp_path / "b.pt", weights_only=True)["stamp"]["step"] == 20
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_checkpoint_of_another_call_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "SAVE_EVERY", 2)
    first = training.train(small(), 0, tmp_path / "c.pt", steps=4)
    other = training.train(small(), 1, tmp_path / "c.pt", steps=4)
    assert not torch.equal(first.wte, other.wte)


def test_training_leaves_the_callers_random_state_and_threads(tmp_path: Path) -> None:
    torch.manual_seed(5)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    training.train(small(), 0, tmp_path / "d.pt", steps=2)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.get_num_threads() == threads


def test_the_weights_do_not_depend_on_the_callers_threads(tmp_path: Path) -> None:
    one = training.train(small(), 1, tmp_path / "one.pt", steps=3)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        two = training.train(small(), 1, tmp_path / "two.pt", steps=3)
    finally:
        torch.set_num_threads(threads)
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(a, b)


def test_plant_writes_a_whole_directory(tmp_path: Path) -> None:
    ticks: list[tuple[int, int]] = []
    progress = lambda done, total, _: ticks.append((done, total))  # noqa: E731
    ioi.planting.plant(0, tmp_path / "seed0", progress, steps=3, pairs=8)
    assert ticks[-1] == (3, 3)
    assert [p.name for p in tmp_path.iterdir()] == ["seed0"]
    names = {p.name for p in (tmp_path / "seed0").iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "circuit.json"} <= names
    circuit = json.loads((tmp_path / "seed0" / "circuit.json").read_text())
    assert circuit["schema"] == 1
    assert circuit["evidence"]["failed"], "an untrained model must not pass"
