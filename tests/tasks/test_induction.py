"""Induction: every prompt against a separate reading of its text, balance, screening, errors."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from functools import cache

import pytest

from bench.task import SPLITS, DataRequest, TaskError
from tasks.induction import Induction
from tasks.induction.causal import InductionCausalModel
from tasks.induction.prompts import COUNTERFACTUALS, LONGEST, Bigrams
from tasks.induction.words import PLANTED_TRIGGERS, PLANTED_WORDS, TRIGGERS, WORDS
from tests.tasks import support, trained
from tests.tasks.tokenizers import word_level_of

SMALL = {"train": 24, "validation": 24, "test": 60}
CAUSAL = InductionCausalModel()
KINDS = (*trained.KINDS, "planted")
TOKENIZERS = trained.trained([], [*TRIGGERS, *WORDS])
CHANGED = {"bigrams": ("T", "P", "N"), "output": (), "trigger": ("T",), "order": ("P",), "first": ("P",)}
"""Variables of the mechanism, the answer aside, that a counterfactual changes."""
CLEAN = Bigrams((1, 5), ("king", "moon"), ("bird", "rope"), "moon", ("cat", "hill", "salt", "milk"))


@cache
def tokenizer(kind):
    return word_level_of([*PLANTED_TRIGGERS, *PLANTED_WORDS]) if kind == "planted" else TOKENIZERS[kind]()


@cache
def data(kind="planted", seed=0, full=False):
    return Induction().build(tokenizer(kind), DataRequest(seed=seed, sizes=None if full else SMALL))


def read(text: str) -> dict[str, str]:
    """The values, off the text: what stands behind the first mention of the last word; triggers are words of a list."""
    words = text.split()
    last, before = words[-1], words[:-1]
    places = [i for i, word in enumerate(before) if word in TRIGGERS]
    assert len(places) == 2 and len(set(before)) == len(before) and places[0] > 0
    found = [before[i + 1] for i in places if before[i] == last]
    outputs = [before[i + 1] for i in places]
    assert not set(outputs) & set(TRIGGERS)
    triggers = " ".join(before[i] for i in places)
    return {"T": last, "P": triggers, "O1": outputs[0], "O2": outputs[1], "N": found[0] if found else ""}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [0, 1])
def test_values_and_answers_agree_with_a_separate_reading_of_every_prompt(kind, seed):
    for row in support.rows(data(kind, seed)):
        for _, prompt in support.prompts(row):
            assert prompt["values"] == (found := read(prompt["prompt"]))
            assert prompt["answer"] == found["N"]
        outputs = {row["values"]["O1"], row["values"]["O2"]}
        assert {row["answer"], row["wrong"]} == outputs and row["answer"] != row["wrong"]


@pytest.mark.parametrize("kind", KINDS)
def test_counterfactuals_change_what_they_say_and_interchange_gives_their_answers(kind):
    for row in support.rows(data(kind)):
        assert set(row["counterfactuals"]) == set(Induction.counterfactuals)
        for name, variables in CHANGED.items():
            other = row["counterfactuals"][name]
            assert {v for v in ("T", "P") if row["values"][v] != other["values"][v]} == set(variables) - {"N"}
            if name != "bigrams":
                assert other["answer"] == ("" if name == "first" else row["wrong"])
            found = row["values"]
            for variable in variables or ("N",):
                found = CAUSAL.interchange(found, other["values"], variable)
            assert found["answer"] == other["answer"]
        assert not parts(row) & parts(row["counterfactuals"]["random"])
        bigrams, words = row["counterfactuals"]["bigrams"], row["prompt"].split()
        assert not parts(row) & parts(bigrams)
        assert [a == b for a, b in zip(words, bigrams["prompt"].split(), strict=True)] == [
            word not in parts(row) for word in words
        ]


def parts(prompt):
    """Triggers and outputs."""
    return {prompt["values"][v] for v in ("O1", "O2")} | set(prompt["values"]["P"].split())


@pytest.mark.parametrize("kind", KINDS)
def test_ids_and_positions_decode_to_what_they_name(kind):
    tok = tokenizer(kind)
    for row in support.rows(data(kind)):
        at, values = row["positions"], row["values"]
        words = {name: tok.decode([row["ids"][place]]).strip(" \u2581") for name, place in at.items()}
        first, second = values["P"].split()
        assert [words[name] for name in ("T1", "O1", "T2", "O2")] == [first, values["O1"], second, values["O2"]]
        assert (words["END"], words["TRIGGER"], words["ANSWER"]) == (values["T"], values["T"], row["answer"])
        assert at["ANSWER"] == at["TRIGGER"] + 1 and at["END"] == len(row["ids"]) - 1
        assert row["ids"][at["ANSWER"]] == row["answer_id"] and row["ids"][at["TRIGGER"]] == row["ids"][at["END"]]
        for _, prompt in support.prompts(row):
            assert prompt["ids"] == tok(prompt["prompt"])["input_ids"] and len(prompt["ids"]) == len(row["ids"])


def test_counterfactuals_by_hand():
    assert CLEAN.prompt().text == "cat king bird hill salt moon rope milk moon" and CLEAN.prompt().answer == "rope"
    by_hand = {
        "output": ("cat king rope hill salt moon bird milk moon", "bird"),
        "trigger": ("cat king bird hill salt moon rope milk king", "bird"),
        "order": ("cat moon bird hill salt king rope milk moon", "bird"),
    }
    for name, expected in by_hand.items():
        prompt = COUNTERFACTUALS[name](CLEAN, {}, None).prompt()
        assert (prompt.text, prompt.answer) == expected


def test_interchange_by_hand():
    base = CAUSAL.values("moon", ("king", "moon"), ("bird", "rope"))
    source = CAUSAL.values("king", ("moon", "king"), ("fish", "hill"))
    assert base["N"] == "rope" and source["N"] == "hill"
    assert CAUSAL.interchange(base, source, "T")["answer"] == "bird"
    assert CAUSAL.interchange(base, source, "P")["answer"] == "bird"
    assert CAUSAL.interchange(base, source, "N")["answer"] == "hill"
    assert CAUSAL.interchange(CAUSAL.interchange(base, source, "T"), source, "P")["answer"] == "rope"
    assert CAUSAL.interchange(base, CAUSAL.values("sun", ("sun", "door"), ("fish", "hill")), "T")["answer"] == ""
    assert CAUSAL.values("moon", ("moon", "moon"), ("bird", "rope"))["N"] == ""
    with pytest.raises(KeyError, match="T, P, N"):
        CAUSAL.interchange(base, source, "S")


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("seed", [0, 1])
def test_no_place_and_no_habit_finds_the_answer(split, seed):
    """The first and the last output are right for half of the prompts, in each length; so is the commoner word."""
    rows = list(data(seed=seed, full=True).split(split))
    cells = Counter((row["template"], row["answer"] == row["values"]["O1"]) for row in rows)
    assert len(cells) == 6 and max(cells.values()) - min(cells.values()) <= 1
    often = Counter(word for row in rows for word in (row["answer"], row["wrong"]))
    more = [(often[row["answer"]] > often[row["wrong"]], often[row["answer"]] == often[row["wrong"]]) for row in rows]
    assert abs(sum(above + same / 2 for above, same in more) / len(rows) - 0.5) < 0.15


@pytest.mark.parametrize("kind", ["planted", "byte_level"])
def test_splits_share_no_word_and_the_test_split_has_enough_clusters(kind):
    found = data(kind, full=True)
    prompts = {split: [p for row in found.split(split) for _, p in support.prompts(row)] for split in SPLITS}
    used = {split: {word for p in part for word in p["prompt"].split()} for split, part in prompts.items()}
    for a, b in itertools.combinations(SPLITS, 2):
        assert not used[a] & used[b]
    assert len(set(found.split("test")["cluster"])) >= 40
    assert all(len(set(TRIGGERS) & words) >= 5 for words in used.values())
    assert {split: len(found.split(split)) for split in SPLITS} == dict(Induction.sizes)


def test_bigrams_stand_everywhere_behind_the_first_word():
    rows = support.rows(data("byte_level", full=True))
    for length in (12, 14, 16):
        places = {row["positions"][t] for row in rows if len(row["ids"]) == length for t in ("T1", "T2")}
        assert places == set(range(1, length - 2))


def test_lists_are_free_of_repeats_and_disjoint():
    assert len({*TRIGGERS, *WORDS}) == len(TRIGGERS) + len(WORDS)


def test_triggers_and_lengths_that_a_model_gets_wrong_are_dropped():
    tok = tokenizer("word_level")
    bad = "king", "wolf"

    def choose(prompts, candidates):
        texts = [tok.decode(ids).split() for ids in prompts]
        return [pair[text[-1] in bad or len(text) == 14] for text, pair in zip(texts, candidates, strict=True)]

    found = Induction().build(tok, DataRequest(sizes=SMALL, choose=choose))
    assert not {row["values"]["T"] for row in support.rows(found)} & set(bad)
    assert {row["template"] for row in support.rows(found)} == {"12 words", "16 words"}
    assert found.kept["triggers_screened"] == 1 - 2 / len(TRIGGERS) and found.kept["lengths_screened"] == 2 / 3


def test_words_of_several_tokens_are_left_out():
    split = trained.byte_level([f"{w} {w}" for w in (*TRIGGERS, *WORDS) if w != "guitar"] * 3)
    found = Induction().build(split, DataRequest(sizes=SMALL))
    assert not any("guitar" in row["prompt"] for row in support.rows(found))
    assert found.kept["words"] == (len(WORDS) - 1) / len(WORDS)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"triggers": TRIGGERS[:14]}, r"15 triggers of one known token are needed \(5 for train.*\), 14 are there"),
        ({"words": WORDS[:47]}, "48 words of one known token are needed .* 47 are there"),
        ({"lengths": [6]}, "task.lengths has 6; prompts have 7 to 17 words"),
        ({"lengths": [LONGEST + 1]}, "task.lengths has 18"),
        ({"triggers": ["bird"]}, "'bird' is among task.triggers and among task.words"),
    ],
)
def test_wrong_parameters_are_errors_that_say_what_to_do(parameters, message):
    with pytest.raises(TaskError, match=message):
        Induction(**parameters).build(tokenizer("word_level"), DataRequest(sizes=SMALL))


@pytest.mark.parametrize("length", [7, LONGEST])
def test_the_shortest_and_the_longest_prompts_work_with_the_fewest_words(length):
    task = Induction(triggers=TRIGGERS[:15], words=WORDS[:48], lengths=[length])
    rows = support.rows(task.build(tokenizer("word_level"), DataRequest(sizes=SMALL)))
    assert {len(row["prompt"].split()) for row in rows} == {length}


def test_a_tokenizer_that_knows_nothing_is_refused():
    with pytest.raises(TaskError, match="15 triggers of one known token are needed .*, 0 are there"):
        Induction().build(word_level_of(["something", "else"]), DataRequest())


@pytest.mark.skipif("INTERPASSAY_MODEL" not in os.environ, reason="set INTERPASSAY_MODEL to a model's directory")
def test_a_small_pretrained_model_is_gated():
    from tests.tasks.test_ioi_screening import Pretrained

    model = Pretrained()
    accuracy = model.accuracy(Induction().build(model.tokenizer, DataRequest(choose=model.choose)))
    assert accuracy < Induction.gate
