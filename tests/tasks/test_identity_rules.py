"""Identity rules: the prompts are read again from their text alone, on four kinds of tokenizers."""

from __future__ import annotations

import json
import re
from collections import Counter
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from bench.task import SPLITS, DataRequest, TaskData, TaskError
from tasks.identity_rules import IdentityRules
from tasks.identity_rules.fillers import LETTERS, PLANTED_TEMPLATES, PLANTED_WORDS, WORDS
from tasks.identity_rules.task import find_positions
from tasks.identity_rules.templates import TEMPLATES, glued
from tests.tasks.tokenizers import metaspace as metaspace_of_ioi
from tests.tasks.tokenizers import word_level_of

SIZES = {"train": 24, "validation": 24, "test": 60}
SIGNS = ["^", ",", ";", ".", ":", "Sets", "Say"]


def trained(parts: list[Any], decoder: Any, bos: bool) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(parts)
    tokenizer.decoder = decoder
    special = ["<pad>", "<unk>", "<s>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=3000, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    words = [word for word in WORDS if word != "plum"]
    corpus = [f"{word}^{word}\nSets: {word}, {word}; Say {word}." for word in words]
    tokenizer.train_from_iterator(corpus * 3, trainer)
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 2)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", pad_token="<pad>")


@cache
def tokenizer_of(kind: str) -> PreTrainedTokenizerFast:
    if kind == "word_level":
        return word_level_of([*SIGNS, *WORDS])
    if kind == "planted":
        return word_level_of(["^", *PLANTED_WORDS])
    if kind == "metaspace":
        parts = [pre_tokenizers.Metaspace(prepend_scheme="always"), pre_tokenizers.Punctuation()]
        return trained(parts, decoders.Metaspace(), bos=True)
    return trained([pre_tokenizers.ByteLevel(add_prefix_space=False)], decoders.ByteLevel(), kind.endswith("bos"))


KINDS = ("word_level", "planted", "byte_level", "byte_level_bos", "metaspace")


@cache
def data(kind: str, shots: int = 2) -> TaskData:
    return IdentityRules(shots=shots).build(tokenizer_of(kind), DataRequest(sizes=SIZES))


def rows(found: TaskData) -> list[dict[str, Any]]:
    return [row for split in SPLITS for row in found.split(split)]


def read(prompt: str) -> tuple[str, list[tuple[str, ...]], tuple[str, str], str]:
    """From the text: the rule, the items, the query, and what the rule says."""
    said = [word for word in re.findall(r"\w+", prompt) if word not in ("Sets", "Say")]
    items, query = [tuple(said[i : i + 3]) for i in range(0, len(said) - 2, 3)], (said[-2], said[-1])
    rules = {"ABA" if c == a else "ABB" if c == b else "?" for a, b, c in items}
    assert len(rules) == 1
    rule = rules.pop()
    return rule, items, query, query[0] if rule == "ABA" else query[1]


@pytest.mark.parametrize(("kind", "shots"), [*((kind, 2) for kind in KINDS), ("word_level", 1), ("byte_level", 4)])
def test_answers_follow_from_the_text(kind: str, shots: int) -> None:
    for row in rows(data(kind, shots)):
        for name, prompt in [("clean", row), *row["counterfactuals"].items()]:
            rule, items, query, answer = read(prompt["prompt"])
            assert len(items) == shots
            assert len({word for item in items for word in item} | set(query)) == 2 * (shots + 1)
            assert prompt["answer"] == answer
            expected = {"A": query[0], "B": query[1], "rule": rule, "answer": answer}
            assert prompt["values"] == {**expected, "slot": "first" if rule == "ABA" else "second"}
            assert len(prompt["ids"]) == len(row["ids"])
            assert (prompt["prompt"] == row["prompt"]) == (name == "clean")
        assert {row["answer"], row["wrong"]} == set(read(row["prompt"])[2])


@pytest.mark.parametrize("kind", KINDS)
def test_ids_are_those_of_the_words(kind: str) -> None:
    """A word is one token wherever it stands: the answer's id is the one at its place in the query."""
    for row in rows(data(kind)):
        at = row["positions"]
        same = {"A1": "C1"} if row["values"]["rule"] == "ABA" else {"B1": "C1"}
        for one, other in same.items():
            assert row["ids"][at[one]] == row["ids"][at[other]]
        assert row["answer_id"] == row["ids"][at["A" if row["values"]["slot"] == "first" else "B"]]
        assert row["wrong_id"] == row["ids"][at["B" if row["values"]["slot"] == "first" else "A"]]
        assert at["END"] == len(row["ids"]) - 1
        assert at["THIRD"] == at["C2"]
        slots = ("A1", "B1", "C1", "A2", "B2", "C2", "A", "B")
        assert sorted(slots, key=lambda name: at[name]) == list(slots)


def test_counterfactuals_are_what_they_are_called() -> None:
    for row in rows(data("word_level")):
        rule, items, query, answer = read(row["prompt"])
        seen = {name: read(c["prompt"]) for name, c in row["counterfactuals"].items()}
        for name in ("abstract", "abstract_query"):
            assert seen[name][0] != rule
            assert [item[2] for item in seen[name][1]] == [item[2] for item in items]
            assert [item[:2] for item in seen[name][1]] == [item[1::-1] for item in items]
        assert (seen["abstract"][2], seen["abstract"][3]) == (query, row["wrong"])
        assert (seen["abstract_query"][2], seen["abstract_query"][3]) == (query[::-1], answer)
        assert seen["query"] == (rule, items, query[::-1], row["wrong"])
        assert seen["token"][0] == rule
        words = {word for item in items for word in item} | set(query)
        for name in ("token", "random"):
            assert not words & {word for item in seen[name][1] for word in item} | words & set(seen[name][2])
    assert len({read(row["counterfactuals"]["random"]["prompt"])[0] for row in rows(data("word_level"))}) == 2


CHANGES = {"abstract": "rule", "abstract_query": None, "token": "answer", "query": "answer", "random": "answer"}


def test_interchanging_what_a_counterfactual_changes_gives_its_answer() -> None:
    model = IdentityRules.causal_model
    for row in rows(data("byte_level")):
        for name, other in row["counterfactuals"].items():
            _, _, query, _ = read(row["prompt"])
            by_rule = query[0] if read(other["prompt"])[0] == "ABA" else query[1]
            for variable in ("rule", "slot"):
                assert model.interchange(row["values"], other["values"], variable)["answer"] == by_rule
            changed = model.interchange(row["values"], other["values"], "answer")
            assert changed["answer"] == other["answer"]
            assert changed["rule"] == row["values"]["rule"]
            variable = CHANGES[name]
            if variable is not None:
                assert model.interchange(row["values"], other["values"], variable)["answer"] == other["answer"]
    with pytest.raises(KeyError, match="no variable 'D'"):
        model.interchange({}, {}, "D")


def test_no_shortcut_beats_chance() -> None:
    """Rules, and so the slots to repeat, are balanced in each template; so is each word said second or first."""
    found = IdentityRules().build(tokenizer_of("word_level"), DataRequest())
    for template in TEMPLATES:
        rules = Counter(r["values"]["rule"] for r in found.split("test") if r["template"] == template)
        assert abs(rules["ABA"] - rules["ABB"]) <= 1
    assert max(Counter(found.split("test")["answer"]).values()) < 0.1 * len(found.split("test"))


def test_the_share_of_a_rule_can_be_set() -> None:
    found = IdentityRules(aba=0.25).build(tokenizer_of("planted"), DataRequest(sizes=SIZES))
    assert Counter(v["rule"] for v in found.split("test")["values"]) == {"ABA": 15, "ABB": 45}


@pytest.mark.parametrize("kind", KINDS)
def test_splits_share_no_words_and_test_has_clusters(kind: str) -> None:
    found = data(kind)
    said: dict[str, set[str]] = {}
    for split in SPLITS:
        prompts = [p["prompt"] for r in found.split(split) for p in [r, *r["counterfactuals"].values()]]
        said[split] = {word for prompt in prompts for word in re.findall(r"\w+", prompt)} - {"Sets", "Say"}
    assert not any(said[a] & said[b] for a, b in combinations(SPLITS, 2))
    assert len(set(found.split("test")["cluster"])) >= 40
    for row in found.split("test"):
        assert row["cluster"] == "|".join(sorted(read(row["prompt"])[2]))


def test_what_each_tokenizer_keeps() -> None:
    """``caret`` is out where a word at the start of a text is another token, or more, than behind a ``^``."""
    kept = {kind: {row["template"] for row in rows(data(kind))} for kind in KINDS}
    assert kept["word_level"] == kept["byte_level"] == set(TEMPLATES)
    assert kept["planted"] == set(PLANTED_TEMPLATES)
    assert kept["metaspace"] == {"comma", "say"}
    assert data("byte_level").kept["words"] == pytest.approx(119 / 120)


def test_letters_stand_for_words_that_are_not_read() -> None:
    found = IdentityRules().build(word_level_of(["^", *LETTERS]), DataRequest(sizes=SIZES))
    assert set(found.split("test")["answer"]) <= set(LETTERS)


def test_errors_say_what_is_missing() -> None:
    short = word_level_of(["^", *PLANTED_WORDS[:39]])
    with pytest.raises(TaskError, match=r"40 words of one known token are needed .*, 39 are there"):
        IdentityRules().build(short, DataRequest(sizes=SIZES))
    IdentityRules().build(word_level_of(["^", *PLANTED_WORDS[:40]]), DataRequest(sizes=SIZES))
    with pytest.raises(TaskError, match="does not know the words or signs of any template"):
        IdentityRules().build(word_level_of(list(WORDS)), DataRequest())
    with pytest.raises(TaskError, match="no template 'caert'"):
        IdentityRules(templates=["caert"]).build(short, DataRequest())
    with pytest.raises(TaskError, match="task.sizes has no split 'dev'"):
        IdentityRules().build(short, DataRequest(sizes={"dev": 3}))
    with pytest.raises(TaskError, match="40 words .* are there"):
        IdentityRules().build(metaspace_of_ioi(), DataRequest())
    with pytest.raises(TaskError, match="at least 1 item"):
        IdentityRules(shots=0)
    with pytest.raises(TaskError, match="task.aba is 50"):
        IdentityRules(aba=50)


def test_screening_drops_what_the_model_gets_wrong() -> None:
    """A model that is right in ``say`` alone, and never on ``cat``."""
    tokenizer = tokenizer_of("word_level")
    say, cat = tokenizer("Say")["input_ids"][0], tokenizer("cat")["input_ids"][0]

    def choose(prompts: list[list[int]], candidates: list[list[int]]) -> list[int]:
        good = [say in ids and cat not in ids[-4:] for ids in prompts]
        return [pair[0 if right else 1] for right, pair in zip(good, candidates, strict=True)]

    found = IdentityRules().build(tokenizer, DataRequest(sizes=SIZES, choose=choose))
    assert {row["template"] for row in rows(found)} == {"say"}
    assert "cat" not in {word for row in rows(found) for word in re.findall(r"\w+", row["prompt"])}
    assert found.kept["templates_screened"] == pytest.approx(1 / 3)
    assert found.kept["words_screened"] == pytest.approx(119 / 120)


def test_positions_are_found_in_the_users_own_prompts() -> None:
    spans = find_positions("cat^dog^cat\npen^cup^", "pen", "cup")
    assert spans == {"A1": (0, 3), "B1": (4, 7), "C1": (8, 11), "A": (12, 15), "B": (16, 19), "THIRD": (8, 11)}
    assert find_positions("cat dog cat", "cat", "dog") is None


@pytest.mark.parametrize("kind", KINDS)
def test_the_tasks_own_examples_are_read_alike_as_the_users(kind: str, tmp_path: Path) -> None:
    lines = [
        {"prompt": row["prompt"], "answer": row["answer"], "wrong": row["wrong"], "split": split}
        | {"cluster": f"{split}{i}", "counterfactual": {"own": row["counterfactuals"]["query"]["prompt"]}}
        | {"counterfactual.own.answer": row["counterfactuals"]["query"]["answer"]}
        for split in SPLITS
        for i, row in enumerate(data(kind).split(split))
    ]
    (tmp_path / "own.jsonl").write_text("\n".join(map(json.dumps, lines)))
    found = IdentityRules().build(tokenizer_of(kind), DataRequest(source=str(tmp_path / "own.jsonl")))
    for row, read_again in zip(rows(data(kind)), rows(found), strict=True):
        for name in ("prompt", "ids", "answer_id", "wrong_id"):
            assert read_again[name] == row[name]
        own = read_again["counterfactuals"]["own"]
        assert own["answer_id"] == row["counterfactuals"]["query"]["answer_id"]
        assert read_again["positions"] == row["positions"]


def test_answers_follow_without_a_space_where_the_sign_does() -> None:
    assert all(map(glued, ("cat^dog^", "cat^dog^cat\npen^cup^")))
    assert not any(map(glued, ("cat ^ dog ^", "Say cat, dog,", "^")))
