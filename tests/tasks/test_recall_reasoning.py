"""Recall and reasoning: every prompt read off its text, causal consistency, matched pairs, shortcuts, errors."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from functools import cache

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from bench.task import SPLITS, DataRequest, TaskError
from tasks.recall_reasoning import RecallReasoning
from tasks.recall_reasoning.causal import RecallReasoningModel
from tasks.recall_reasoning.fillers import (
    CAPITALS,
    COLORS,
    PEOPLE,
    PLANTED_PEOPLE,
    PLANTED_SUBJECTS,
    PLANTED_TEMPLATES,
)
from tasks.recall_reasoning.templates import MODES, TEMPLATES
from tests.tasks.tokenizers import word_level_of

ASKED = {"capital": "recall", "color": "recall"} | dict.fromkeys(("agent", "player", "buyer", "seller"), "reasoning")
"""What the relation word of a question asks for."""


def bare(name: str, mode: str) -> str:
    text, relation = TEMPLATES[name].text(mode)
    return re.sub(r"\{\w+\}", "", text.replace("{R}", relation))


def template_words(names) -> list[str]:
    return sorted({w for n in names for mode in MODES for w in re.findall(r"\w+|[^\w\s]", bare(n, mode))})


@cache
def word_level(without: str = "") -> PreTrainedTokenizerFast:
    """The words of the planted models."""
    subjects = list(PLANTED_SUBJECTS)
    words = [*template_words(PLANTED_TEMPLATES), *subjects, *(CAPITALS[s] for s in subjects), *PLANTED_PEOPLE]
    return word_level_of([word for word in words if word != without])


@cache
def subwords(kind: str) -> PreTrainedTokenizerFast:
    """Tokenizers of subwords that were trained on the task's words: with leading spaces, BOS, or metaspace."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>" if kind == "metaspace" else None))
    if kind == "metaspace":
        parts = [pre_tokenizers.Metaspace(prepend_scheme="always"), pre_tokenizers.Punctuation()]
        tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Sequence(parts), decoders.Metaspace()
        alphabet = []
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder, alphabet = decoders.ByteLevel(), pre_tokenizers.ByteLevel.alphabet()
    colors = kind == "colors"
    facts = COLORS if colors else CAPITALS
    templates = [name for name, t in TEMPLATES.items() if (t.facts == "colors") == colors]
    corpus = [bare(name, mode) for name in templates for mode in MODES]
    corpus += [f"It is {w}, or {w}." for w in (*facts, *facts.values(), *PEOPLE)]
    special = ["<pad>", "<unk>", "<s>"]
    trainer = trainers.BpeTrainer(
        vocab_size=6000, min_frequency=2, special_tokens=special, show_progress=False, initial_alphabet=alphabet
    )
    tokenizer.train_from_iterator(corpus * 3, trainer)
    if kind in ("bos", "metaspace"):
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 2)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", pad_token="<pad>")


KINDS = {"word_level": word_level} | {
    kind: (lambda kind=kind: subwords(kind)) for kind in ("byte_level", "bos", "metaspace", "colors")
}


@cache
def data(kind: str, seed: int = 0):
    return RecallReasoning().build(KINDS[kind](), DataRequest(seed=seed))


def rows(kind: str) -> list[dict]:
    return [row for split in SPLITS for row in data(kind).split(split)]


def prompts(row: dict):
    yield "clean", row
    yield from row["counterfactuals"].items()


def read(prompt: str) -> dict[str, str]:
    """The values of a prompt, from its text alone: sentences joined by who is in them."""
    *told, question = re.split(r"(?<=[.,]) | and ", prompt)
    table = COLORS if "the " in told[1] and "leader" not in prompt and "final" not in prompt else CAPITALS
    ends = {*table.values()}
    person = {word: s for s in told for word in re.findall(r"\w+", s) if word in PEOPLE}
    employed, where = {}, {}
    order = []
    for sentence in told:
        words = re.findall(r"\w+", sentence)
        people, subjects = [w for w in words if w in person], [w for w in words if w in table]
        if subjects and people:
            employed[subjects[0]] = people[0]
            order.append(subjects[0])
        elif people:
            (end,) = [w for w in words if w in ends]
            where[people[0]] = end
    words = re.findall(r"\w+", question)
    (asked,) = [w for w in words if w in table]
    (mode,) = [ASKED[w] for w in words if w in ASKED]
    values = {"mode": mode, "E": asked, "B": employed[asked], "A": where[employed[asked]], "R": table[asked]}
    for i, name in enumerate(order, 1):
        values |= {f"S{i}": name, f"B{i}": employed[name], f"C{i}": where[employed[name]]}
    return values


@pytest.mark.parametrize("kind", KINDS)
def test_every_prompt_says_what_its_values_and_answer_say(kind):
    for row in rows(kind):
        for _, prompt in prompts(row):
            found = read(prompt["prompt"])
            assert prompt["values"] == found
            assert prompt["answer"] == found["R" if found["mode"] == "recall" else "A"]
        found = read(row["prompt"])
        other = "2" if found["E"] == found["S1"] else "1"
        table = COLORS if found["E"] in COLORS else CAPITALS
        assert row["wrong"] == (table[found["S" + other]] if found["mode"] == "recall" else found["C" + other])


@pytest.mark.parametrize("kind", KINDS)
def test_interchange_of_what_changed_gives_the_answer_of_each_counterfactual(kind):
    causal = RecallReasoningModel()
    changes = {"subject": ("E",), "bridge": ("B",), "facts": ("A",), "mode": ("mode",), "exchange": ("E",)}
    for row in rows(kind):
        base = row["values"]
        assert set(row["counterfactuals"]) == {*changes, "random"}
        for name, variables in changes.items():
            other, result = row["counterfactuals"][name], dict(base)
            for variable in variables:
                result = causal.interchange(result, other["values"], variable)
            assert result["answer"] == other["answer"]
            assert {v: result[v] for v in causal.variables} == {v: other["values"][v] for v in causal.variables}
        random = row["counterfactuals"]["random"]
        for variable, answer in (("R", "recall"), ("A", "reasoning")):
            result = causal.interchange(base, random["values"], variable)
            assert result["answer"] == (random["values"][variable] if base["mode"] == answer else row["answer"])
        assert causal.interchange(base, random["values"], "B")["A"] == ""


def test_interchange_by_hand():
    """France has Anna, who is in Cairo; Japan has Tom, who is in Oslo."""
    causal = RecallReasoningModel()
    base = causal.values("reasoning", "France", ("France", "Japan"), ("Anna", "Tom"), ("Cairo", "Oslo"))
    source = causal.values("recall", "Japan", ("Japan", "Italy"), ("Tom", "Mary"), ("Vienna", "Lima"))
    said = {variable: causal.interchange(base, source, variable)["answer"] for variable in causal.variables}
    assert said == {"mode": "Paris", "E": "Oslo", "B": "Oslo", "A": "Vienna", "R": "Cairo"}
    said = {variable: causal.interchange(source, base, variable)["answer"] for variable in causal.variables}
    assert said == {"mode": "Vienna", "E": "Paris", "B": "Tokyo", "A": "Tokyo", "R": "Paris"}
    assert causal.interchange(causal.interchange(source, base, "mode"), base, "E")["answer"] == ""
    with pytest.raises(KeyError, match="no variable 'X'"):
        causal.interchange(base, source, "X")


@pytest.mark.parametrize("kind", KINDS)
def test_counterfactuals_are_as_long_and_differ_from_the_clean_prompt(kind):
    for row in rows(kind):
        for name, other in row["counterfactuals"].items():
            assert len(other["ids"]) == len(row["ids"])
            assert other["prompt"] != row["prompt"]
            same = {"bridge": "recall", "facts": "recall"}.get(name) == row["values"]["mode"]
            assert (other["answer"] == row["answer"]) == same
        clean, exchanged = (read(p) for p in (row["prompt"], row["counterfactuals"]["exchange"]["prompt"]))
        assert all(clean[v] != exchanged[v] for v in clean if v != "mode")
        assert row["counterfactuals"]["exchange"]["answer"] == row["wrong"]
        fresh = read(row["counterfactuals"]["random"]["prompt"])
        assert not {*clean.values()} & {v for k, v in fresh.items() if k != "mode"}


@pytest.mark.parametrize("kind", KINDS)
def test_examples_are_matched_pairs_of_one_length_on_the_same_facts(kind):
    for split in SPLITS:
        found = list(data(kind).split(split))
        for first, second in zip(found[::2], found[1::2], strict=True):
            assert first["counterfactuals"]["mode"]["prompt"] == second["prompt"]
            assert {first["values"]["mode"], second["values"]["mode"]} == set(MODES)
            assert (first["cluster"], len(first["ids"])) == (second["cluster"], len(second["ids"]))
            assert first["positions"] == second["positions"]
            assert {k: v for k, v in first["values"].items() if k != "mode"} == {
                k: v for k, v in second["values"].items() if k != "mode"
            }


@pytest.mark.parametrize("kind", KINDS)
def test_ids_and_positions_decode_to_what_they_name(kind):
    tokenizer = KINDS[kind]()
    for row in rows(kind):
        found, at = read(row["prompt"]), row["positions"]

        def word(name: str, at=at, ids=row["ids"]) -> str:
            return tokenizer.decode([ids[at[name]]]).strip(" \u2581")

        mine, other = ("1", "2") if found["E"] == found["S1"] else ("2", "1")
        for before, chain in (("", mine), ("X", other)):
            assert word(f"{before}S") == found[f"S{chain}"]
            assert word(f"{before}B1") == word(f"{before}B2") == found[f"B{chain}"]
            assert word(f"{before}C") == found[f"C{chain}"]
            assert abs(at[f"{before}B2"] - at[f"{before}C"]) < abs(at[f"{before}B1"] - at[f"{before}C"])
        assert (word("E"), ASKED[word("MODE")]) == (found["E"], found["mode"])
        assert at["E"] > max(at[n] for n in ("S", "XS", "B1", "XB1", "B2", "XB2", "C", "XC"))
        assert at["END"] == len(row["ids"]) - 1
        whole = tokenizer(f"{row['prompt']} {row['answer']}")["input_ids"]
        assert whole == [*row["ids"], row["answer_id"]]


@pytest.mark.parametrize("kind", KINDS)
def test_no_place_in_the_prompt_gives_the_answer_away(kind):
    """First and last city, the city after the bridge's own sentence, the first subject: all right half of the time."""
    found = [row for row in rows(kind) if row["values"]["mode"] == "reasoning"]
    shortcuts = Counter()
    for row in found:
        at = row["positions"]
        shortcuts["first end"] += at["C"] < at["XC"]
        shortcuts["first subject"] += at["S"] < at["XS"]
        shortcuts["nearest end"] += abs(at["C"] - at["S"]) < abs(at["XC"] - at["S"])
        shortcuts["same order"] += (at["C"] < at["XC"]) == (at["S"] < at["XS"])
    for name, n in shortcuts.items():
        assert 0.4 < n / len(found) < 0.6, name


@pytest.mark.parametrize("kind", KINDS)
def test_recall_cannot_copy_and_no_answer_is_frequent(kind):
    found = rows(kind)
    for row in found:
        words = re.findall(r"\w+", row["prompt"])
        assert (row["answer"] in words) == (row["wrong"] in words) == (row["values"]["mode"] == "reasoning")
    test = list(data(kind).split("test"))
    for mode in MODES:
        asked = [row for row in test if row["values"]["mode"] == mode]
        assert len(asked) == len(test) / 2
        best = Counter(row["answer"] for row in asked).most_common(1)[0][0]
        right = [row["answer"] == best for row in asked if best in (row["answer"], row["wrong"])]
        assert sum(right) / len(asked) < 0.35


@pytest.mark.parametrize("kind", KINDS)
def test_splits_share_no_subject_and_no_person(kind):
    found = data(kind)
    colors = kind == "colors"
    used = {}
    for split in SPLITS:
        said = {w for row in found.split(split) for _, p in prompts(row) for w in re.findall(r"\w+", p["prompt"])}
        fillers = {*PEOPLE, *COLORS} if colors else {*PEOPLE, *CAPITALS, *CAPITALS.values()}
        used[split] = said & fillers
    assert all(not used[a] & used[b] for a in SPLITS for b in SPLITS if a != b)
    assert {split: len(found.split(split)) for split in SPLITS} == dict(RecallReasoning.sizes)
    assert len(set(found.split("test")["cluster"])) >= 40


def test_each_tokenizer_reads_the_facts_that_it_knows():
    for kind, facts in (("word_level", CAPITALS), ("byte_level", CAPITALS), ("colors", COLORS)):
        assert {row["values"]["E"] for row in rows(kind)} <= set(facts)
    assert {row["template"] for row in rows("byte_level")} == {n for n, t in TEMPLATES.items() if t.facts == "capitals"}
    assert {row["template"] for row in rows("word_level")} == set(PLANTED_TEMPLATES)
    assert max(len(row["ids"]) for row in rows("word_level")) <= 22


@pytest.mark.parametrize("mode", MODES)
def test_one_mode_alone_asks_nothing_else(mode):
    found = RecallReasoning(mode=mode).build(word_level(), DataRequest(sizes={"test": 50}))
    assert {row["values"]["mode"] for split in SPLITS for row in found.split(split)} == {mode}
    assert len(set(found.split("test")["cluster"])) >= 40


def test_the_seed_changes_the_examples_and_nothing_else_does():
    again = RecallReasoning().build(word_level(), DataRequest(seed=0))
    assert list(again.split("test")) == list(data("word_level").split("test"))
    assert list(data("word_level", 1).split("test")) != list(data("word_level").split("test"))


@pytest.mark.parametrize(
    ("task", "tokenizer", "message"),
    [
        (RecallReasoning(mode="guess"), word_level, r"task.mode is 'guess'; it can be both, recall, reasoning"),
        (RecallReasoning(facts="rivers"), word_level, r"task.facts is 'rivers'; it can be capitals, colors"),
        (RecallReasoning(templates=["then"]), word_level, "no template 'then'; it has now"),
        (RecallReasoning(subjects=["Mars"]), word_level, "no subject 'Mars'; it has France"),
        (RecallReasoning(people=PLANTED_PEOPLE[:11]), word_level, r"capitals: 11 of 12 people; colors: 0 of 1 templ"),
        (RecallReasoning(facts="colors"), word_level, r"colors: 0 of 1 templates, 0 of 26 subjects"),
        (RecallReasoning(subjects=PLANTED_SUBJECTS[:25]), word_level, r"capitals: 25 of 26 subjects"),
        (RecallReasoning(), lambda: word_level("Oslo"), r"capitals: 25 of 26 subjects"),
        (RecallReasoning(), lambda: word_level("agent"), r"capitals: 0 of 1 templates"),
    ],
)  # fmt: skip
def test_what_cannot_be_built_is_said(task, tokenizer, message):
    with pytest.raises(TaskError, match=message):
        task.build(tokenizer(), DataRequest())


def test_screening_drops_the_subjects_that_a_model_gets_wrong():
    """A model that does not know three countries' capitals: they go where a split can do without them."""
    tokenizer = subwords("byte_level")
    bad = {tokenizer(f"x {name}")["input_ids"][-1] for name in ("Norway", "Qatar", "Chile")}

    def choose(prompts, candidates):
        return [c[1] if bad & set(p) else c[0] for p, c in zip(prompts, candidates, strict=True)]

    found = RecallReasoning().build(tokenizer, DataRequest(choose=choose))
    said = {row["values"][name] for split in SPLITS for row in found.split(split) for name in ("S1", "S2")}
    assert not said & {"Norway", "Qatar", "Chile"}
    assert 0.85 < found.kept["subjects_screened"] <= 1 - 3 / len(CAPITALS)
    assert found.kept["templates_screened"] == 1


def test_own_examples_are_taken(tmp_path):
    said = "Now France employs {}. France has its {} in"
    lines = [
        {"prompt": said.format("Anna", w), "answer": "Rome", "wrong": "Oslo", "cluster": str(i)}
        | {"counterfactual.subject": said.format("Tom", w)}
        for i, w in enumerate(("capital", "agent", "capital"))
    ]
    file = tmp_path / "own.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)))
    found = RecallReasoning().build(word_level(), DataRequest(source=str(file)))
    assert sum(len(found.split(split)) for split in SPLITS) == 3


@pytest.mark.skipif("INTERPASSAY_MODEL" not in os.environ, reason="set INTERPASSAY_MODEL to a model's directory")
def test_a_small_pretrained_model_is_near_chance_and_so_under_the_gate():
    from tests.tasks.test_ioi_screening import Pretrained

    model = Pretrained()
    found = RecallReasoning().build(model.tokenizer, DataRequest(choose=model.choose))
    assert 0.4 < model.accuracy(found) < 0.7 < RecallReasoning.gate
