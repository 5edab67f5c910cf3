"""Training on the task alone: seeded, resumable, stopping by its own checks; and what is written."""

import json
from pathlib import Path

import pytest
import torch

from bench.planting.evidence.planting import Planting
from bench.planting.natural import stored, training
from bench.planting.natural.planting import NaturalPlanting
from bench.planting.natural.training import Schedule, train
from tests.planting import toy

SHORT = Schedule(steps=6, every=2, pairs=4, checks=2, enough=0.0, hold=3)


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))


@pytest.mark.parametrize("arch", toy.SHAPES)
def test_a_killed_training_goes_on_to_the_same_weights(arch, tmp_path, monkeypatch):
    spec = toy.spec(arch)
    through, steps = train(spec, 0, tmp_path / "a.pt", SHORT)
    assert steps == 6
    step = training._step

    def killed(*arguments):
        if arguments[4] == 5:
            raise KeyboardInterrupt
        return step(*arguments)

    monkeypatch.setattr(training, "_step", killed)
    with pytest.raises(KeyboardInterrupt):
        train(spec, 0, tmp_path / "b.pt", SHORT)
    taken = []
    monkeypatch.setattr(training, "_step", lambda *a: (taken.append(a[4]), step(*a))[1])
    again, _ = train(spec, 0, tmp_path / "b.pt", SHORT)
    assert taken == [4, 5], "the two steps after the last checkpoint"
    assert same(through, again)


def test_another_seed_or_another_schedule_starts_anew(tmp_path):
    spec, path = toy.spec(), tmp_path / "c.pt"
    first, _ = train(spec, 0, path, SHORT)
    other, _ = train(spec, 1, path, SHORT)
    assert not same(first, other)
    slower, _ = train(spec, 1, path, Schedule(steps=6, every=2, pairs=4, checks=2, enough=0.0, hold=3, lr=1e-3))
    assert not same(other, slower)


def test_nothing_planted_is_looked_at():
    """Lanes and roles change the first weights of a planted model, and not of a natural one."""
    spec = toy.spec()
    bare = type(spec)("toy", spec.shape, {}, (), (), (), toy.sample)
    assert same(training.first(spec, 0), training.first(bare, 0))


def test_it_stops_when_checks_in_a_row_are_good_enough(tmp_path, monkeypatch):
    found = iter([0.995, 0.5, 0.99, 0.992, 0.991, 1.0])
    monkeypatch.setattr(training, "_check", lambda *_: next(found))
    _, steps = train(toy.spec(), 0, tmp_path / "d.pt", Schedule(steps=20, every=2, pairs=4))
    assert steps == 10


def test_easier_prompts_come_first_and_each_stage_has_to_be_learnt(tmp_path, monkeypatch):
    def easy(rng, n):
        return toy.sample(rng, n, {"name": 1.0})

    spec, used = toy.spec(), []
    found = iter([1.0, 0.5, 1.0, 1.0, 1.0, 0.2, 1.0, 1.0])
    step = training._step
    monkeypatch.setattr(training, "_check", lambda *_: next(found))
    monkeypatch.setattr(training, "_step", lambda *a: (used.append(a[2]), step(*a))[1])
    plan = Schedule(steps=30, every=2, pairs=4, hold=2)
    _, steps = train(spec, 0, tmp_path / "h.pt", plan, curriculum=(easy,))
    assert steps == 16 and used == [easy] * 8 + [spec.sample] * 8


def test_a_killed_training_goes_on_in_its_stage(tmp_path, monkeypatch):
    plan = Schedule(steps=4, every=2, pairs=4, checks=1, enough=0.0, hold=1)
    with pytest.raises(RuntimeError):
        train(toy.spec(), 0, tmp_path / "i.pt", plan, curriculum=(toy.sample,) * 2)
    used, step = [], training._step
    monkeypatch.setattr(training, "_step", lambda *a: (used.append(a[4]), step(*a))[1])
    state = torch.load(tmp_path / "i.pt", weights_only=True)["state"]
    assert state == {"step": 4, "stage": 2, "streak": 0}
    with pytest.raises(RuntimeError):
        train(toy.spec(), 0, tmp_path / "i.pt", plan, curriculum=(toy.sample,) * 2)
    assert used == []


def test_too_few_steps_are_an_error(tmp_path):
    with pytest.raises(RuntimeError, match="after 4 steps, not 0.99 3 times in a row"):
        train(toy.spec(), 0, tmp_path / "e.pt", Schedule(steps=4, every=2, pairs=4, checks=1))


def test_checks_are_prompts_of_their_own():
    """The share of right answers over both prompts of the pairs, sources without an answer aside."""
    model = training.first(toy.spec(), 0)
    drawn = []

    def sample(rng, n):
        drawn.append(toy.sample(rng, n))
        return drawn[-1]

    share = training._check(model, sample, 0, 2, Schedule(pairs=8, checks=3))
    hits = []
    for pairs in drawn:
        for ids, labels in ((pairs.base, pairs.answer), (pairs.source, pairs.source_answer)):
            hits += [int(x) for x in (model(ids).logits.argmax(-1) == labels)]
    assert len(hits) == 48 and share == pytest.approx(sum(hits) / 48)
    training._step(model, torch.optim.Adam(model.parameters()), sample, 0, 2, Schedule(pairs=8))
    assert not any(torch.equal(drawn[-1].base, p.base) for p in drawn[:-1])


def test_the_callers_random_state_and_threads_are_left(tmp_path):
    torch.manual_seed(5)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    train(toy.spec(), 0, tmp_path / "f.pt", SHORT)
    assert torch.equal(before, torch.get_rng_state()) and torch.get_num_threads() == threads


@pytest.mark.slow
def test_a_small_model_learns_the_toy_and_is_written_whole(tmp_path):
    task = Planting(lambda _: toy.spec(), lambda: toy.VOCABULARY, toy.fresh, Path(toy.__file__).parent, ("toy",))
    natural = NaturalPlanting(task, schedule=Schedule(steps=4000, lr=3e-3, pairs=64), n=200)
    natural.plant(0, tmp_path / "seed0")
    assert [p.name for p in tmp_path.iterdir()] == ["seed0"]
    names = {p.name for p in (tmp_path / "seed0").iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "circuit.json", stored.NAME} <= names
    claim = json.loads((tmp_path / "seed0" / "circuit.json").read_text())
    assert (claim["schema"], claim["variant"], claim["evidence"]["truth"]) == (1, "natural", "ablation")
    assert natural.verify(tmp_path / "seed0")["failed"] == []
    assert "## toy, seed 0" in natural.table([tmp_path / "seed0"])
    assert any(node["role"] == "required" for node in claim["nodes"].values())
