"""Screening with models whose faults are known."""

from __future__ import annotations

import os

import pytest
import torch

from bench.task import SPLITS, DataRequest
from tasks._common import keep, rates
from tasks.ioi import IOI
from tests.tasks import support, tokenizers

SIZES = support.SMALL


class Faulty:
    """Says the first candidate, the answer, but the second one where a bad word stands in the prompt."""

    def __init__(self, tokenizer, *bad: str) -> None:
        self.tokenizer, self.bad, self.seen = tokenizer, bad, []

    def choose(self, prompts, candidates):
        texts = [self.tokenizer.decode(ids) for ids in prompts]
        self.seen.extend(texts)
        return [c[any(word in support.words(t) for word in self.bad)] for t, c in zip(texts, candidates, strict=True)]


def build(*bad: str, seed: int = 0):
    model = Faulty(tokenizers.word_level(), *bad)
    return IOI().build(model.tokenizer, DataRequest(seed=seed, sizes=SIZES, choose=model.choose)), model


def names_of(found, split):
    return {n for row in found.split(split) for _, p in support.prompts(row) for n in support.names(p["prompt"])}


def test_a_perfect_model_keeps_everything_and_the_same_examples():
    found, _ = build()
    assert found.kept["templates_screened"] == found.kept["names_screened"] == 1
    assert support.rows(found) == support.rows(support.data("word_level"))


def test_a_template_that_the_model_gets_wrong_is_dropped():
    found, _ = build("lunch")
    assert {row["template"] for row in support.rows(found)} == {"went", "found", "playing"}
    assert found.kept["templates_screened"] == 0.75


@pytest.mark.parametrize("seed", range(3))
def test_names_that_the_model_gets_wrong_are_dropped_from_every_split(seed):
    bad = {names[0] for names in (sorted(names_of(support.data("word_level", seed), s)) for s in SPLITS)}
    found, _ = build(*bad, seed=seed)
    assert len(bad) == 3 and not any(names_of(found, split) & bad for split in SPLITS)
    assert found.kept["names_screened"] == 37 / 40


@pytest.mark.parametrize("seed", range(3))
def test_screening_sees_no_pair_of_test_names_and_no_test_place_or_object(seed):
    found, model = build(seed=seed)
    held_out = [row for split in ("validation", "test") for row in found.split(split)]
    prompts = [p["prompt"] for row in held_out for _, p in support.prompts(row)]
    fillers = {word for prompt in prompts for word in (*support.places(prompt), *support.things(prompt))}
    for split in ("validation", "test"):
        names = names_of(found, split)
        assert any(set(support.names(text)) & names for text in model.seen)
        assert all(len(set(support.names(text)) & names) < 2 for text in model.seen)
    assert not any({*support.places(text), *support.things(text)} & fillers for text in model.seen)


def test_every_name_is_screened_in_all_roles():
    _, model = build()
    read = [support.read(text) for text in model.seen]
    roles = {(prompt[slot], slot, prompt[slot] == prompt["S"]) for prompt in read for slot in "AB"}
    assert len(roles) == 40 * 2 * 2


def test_a_model_that_is_always_wrong_keeps_what_the_task_needs_for_the_gate_to_speak():
    found, _ = build("to")
    assert len({row["template"] for row in support.rows(found)}) == 2
    assert len(set(found.split("test")["cluster"])) >= 40


def test_without_a_preference_the_likeliest_token_has_to_be_the_answer():
    found = IOI().build(tokenizers.word_level(), DataRequest(sizes=SIZES, predict=lambda prompts: [0] * len(prompts)))
    assert found.kept["templates_screened"] == 0.5


def test_no_screening_on_request():
    model = Faulty(tokenizers.word_level(), "lunch")
    found = IOI(screen_prompts=0).build(model.tokenizer, DataRequest(sizes=SIZES, choose=model.choose))
    assert not model.seen and found.kept["templates_screened"] == 1


def test_rates_and_what_is_kept_by_hand():
    share = rates([True, False, True], [["a", "b"], ["a"], ["c"]])
    assert share == {"a": 0.5, "b": 1.0, "c": 1.0}
    assert keep("abc", share, 0.75, 0) == ["b", "c"]
    assert keep("abc", share, 2, 2) == ["b", "c"]
    assert keep("abcd", share, 0.5, 4) == ["a", "b", "c", "d"]


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Pretrained:
    """The model in INTERPASSAY_MODEL, without the engine."""

    def __init__(self) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        path = os.environ["INTERPASSAY_MODEL"]
        self.tokenizer = AutoTokenizer.from_pretrained(path)
        self.model = AutoModelForCausalLM.from_pretrained(path).eval()

    @torch.no_grad()
    def choose(self, prompts, candidates, size=64):
        found = []
        for start in range(0, len(prompts), size):
            part, few = prompts[start : start + size], torch.tensor(candidates[start : start + size])
            width = max(map(len, part))
            ids = torch.tensor([[*p, *[0] * (width - len(p))] for p in part])
            last = torch.tensor([len(p) - 1 for p in part])
            states = self.model.base_model(ids).last_hidden_state[torch.arange(len(part)), last]
            best = self.model.get_output_embeddings()(states).gather(1, few).argmax(dim=1, keepdim=True)
            found += few.gather(1, best)[:, 0].tolist()
        return found

    def accuracy(self, found):
        test = found.split("test")
        pairs = [list(pair) for pair in zip(test["answer_id"], test["wrong_id"], strict=True)]
        chosen = self.choose(list(test["ids"]), pairs)
        return sum(c == answer for c, (answer, _) in zip(chosen, pairs, strict=True)) / len(test)


@pytest.mark.skipif("INTERPASSAY_MODEL" not in os.environ, reason="set INTERPASSAY_MODEL to a model's directory")
def test_a_pretrained_model_passes_the_gate_after_screening_and_does_better_than_before(one_thread):
    model = Pretrained()
    screened = IOI().build(model.tokenizer, DataRequest(choose=model.choose))
    assert model.accuracy(screened) >= IOI().gate
    assert model.accuracy(screened) > model.accuracy(IOI().build(model.tokenizer, DataRequest()))
    assert screened.kept["templates_screened"] < 1 and screened.kept["names_screened"] < 1
    assert len(set(screened.split("test")["cluster"])) >= 40
