"""What every data set of ioi keeps, whatever the tokenizer."""

from __future__ import annotations

from collections import Counter

import pytest

from bench.preview import preview
from bench.task import SPLITS, DataRequest, TaskError
from tasks.ioi import IOI
from tasks.ioi.fillers import NAMES, PLANTED_TEMPLATES
from tests.tasks import support, tokenizers

KINDS = list(support.KINDS)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [0, 1])
def test_values_and_answers_agree_with_a_separate_reading_of_every_prompt(kind, seed):
    for row in support.rows(support.data(kind, seed)):
        for _, prompt in support.prompts(row):
            assert prompt["values"] == (read := support.read(prompt["prompt"]))
            assert prompt["answer"] == read["N"]
        assert row["wrong"] == support.read(row["prompt"])["S"]


@pytest.mark.parametrize("kind", KINDS)
def test_counterfactuals_change_and_keep_what_they_say(kind):
    for row in support.rows(support.data(kind)):
        clean, s = row["values"], row["wrong"]
        found = {name: prompt["values"] for name, prompt in row["counterfactuals"].items()}
        assert (found["s2_io_flip"]["D"] != clean["D"], found["s2_io_flip"]["N"]) == (True, s)
        assert (found["s1_io_flip"]["D"] != clean["D"], found["s1_io_flip"]["N"]) == (True, clean["N"])
        both = found["s1_io_flip_s2_io_flip"]
        assert (both["D"], both["N"]) == (clean["D"], s)
        assert found["random_names"]["D"] == clean["D"]
        assert (found["abc"]["D"], row["counterfactuals"]["abc"]["answer_id"]) == ("none", -1)
        for name in ("abc", "random_names", "random"):
            assert not {found[name][slot] for slot in "ABS"} & {clean["A"], clean["B"]}
        assert set(found) == set(IOI.counterfactuals)


@pytest.mark.parametrize("kind", KINDS)
def test_ids_and_positions_decode_to_what_they_name(kind):
    tokenizer = support.KINDS[kind]()

    def word(token: int) -> str:
        return tokenizer.decode([token]).strip(" \u2581")

    for row in support.rows(support.data(kind)):
        ids, at = row["ids"], row["positions"]
        for _, prompt in support.prompts(row):
            assert prompt["ids"] == tokenizer(prompt["prompt"])["input_ids"]
            assert len(prompt["ids"]) == len(ids)
            if prompt["answer"]:
                whole = tokenizer(f"{prompt['prompt']} {prompt['answer']}")["input_ids"]
                assert whole == [*prompt["ids"], prompt["answer_id"]]
        assert (word(ids[at["IO"]]), word(ids[at["S1"]]), word(ids[at["S2"]])) == (
            row["answer"],
            row["wrong"],
            row["wrong"],
        )
        assert (ids[at["IO"]], ids[at["S1"]], ids[at["S2"]]) == (row["answer_id"], row["wrong_id"], row["wrong_id"])
        assert (word(ids[at["A"]]), word(ids[at["B"]])) == (row["values"]["A"], row["values"]["B"])
        assert (at["S1+1"], at["S2+1"], at["END"]) == (at["S1"] + 1, at["S2"] + 1, len(ids) - 1)
        assert {"first": at["A"], "second": at["B"]}[row["values"]["D"]] == at["S1"] < at["S2"] < at["END"]
        assert word(ids[at["END"]]) == "to"


@pytest.mark.parametrize("kind", ["word_level", "byte_level"])
def test_splits_share_no_filler_and_the_test_split_has_enough_clusters(kind):
    found = support.data(kind, full=True)
    for read in (support.names, support.places, support.things):
        used = {
            s: {w for row in found.split(s) for _, p in support.prompts(row) for w in read(p["prompt"])} for s in SPLITS
        }
        assert all(not used[a] & used[b] for a in SPLITS for b in SPLITS if a != b)
    assert {split: len(found.split(split)) for split in SPLITS} == dict(IOI.sizes)
    assert len(set(found.split("test")["cluster"])) >= 40
    assert len(set(found.split("test")["cluster"])) == len(found.split("test")), "clusters are spread, not repeated"


@pytest.mark.parametrize("kind", KINDS)
def test_splits_are_balanced_and_repeat_nothing(kind):
    for split in SPLITS:
        rows = support.data(kind).split(split)
        assert len(set(rows["prompt"])) == len(rows)
        cells = Counter((row["template"], row["values"]["D"]) for row in rows)
        assert max(cells.values()) - min(cells.values()) <= 1


def test_the_seed_alone_decides():
    request = DataRequest(seed=3, sizes=support.SMALL)
    one, two = (IOI().build(tokenizers.word_level(), request) for _ in range(2))
    assert support.rows(one) == support.rows(two)
    assert support.rows(one) != support.rows(support.data("word_level", 0))


def test_one_split_does_not_depend_on_the_size_of_another():
    sizes = {**support.SMALL, "train": 7}
    found = IOI().build(tokenizers.word_level(), DataRequest(sizes=sizes))
    assert found.split("test")["prompt"] == support.data("word_level").split("test")["prompt"]


def test_templates_with_unknown_words_are_left_out():
    found = support.data("word_level")
    assert {row["template"] for row in support.rows(found)} == set(PLANTED_TEMPLATES)
    assert found.kept["names"] == 40 / len(NAMES)


def test_a_name_is_the_same_token_wherever_it_stands():
    """So byte-level tokenizers lose the templates that begin with a name; a tokenizer that adds a space keeps them."""
    for kind, begins in (("byte_level", False), ("byte_level_bos", False), ("metaspace", True)):
        templates = {row["template"] for row in support.rows(support.data(kind))}
        assert ({"found", "playing"} <= templates) is begins


@pytest.mark.parametrize("kind", ["byte_level", "metaspace"])
def test_names_of_several_tokens_are_left_out(kind):
    used = {name for row in support.rows(support.data(kind, full=True)) for name in support.names(row["prompt"])}
    assert used and not used & set(tokenizers.SPLIT_NAMES)
    assert support.data(kind).kept["names"] == (len(NAMES) - len(tokenizers.SPLIT_NAMES)) / len(NAMES)


def test_bos_is_counted_in_positions():
    plain, bos = support.data("byte_level").split("train")[0], support.data("byte_level_bos").split("train")[0]
    assert bos["prompt"] == plain["prompt"] and bos["ids"][1:] == plain["ids"]
    assert bos["positions"] == {name: at + 1 for name, at in plain["positions"].items()}


def test_the_preview_shows_every_counterfactual():
    text = preview(support.data("word_level").split("test"), 2)
    assert text.count("\n\n") == 1 and all(text.count(f"   {name} ") == 2 for name in IOI.counterfactuals)


def test_planted_models_are_found_by_seed():
    for seed, path in IOI().planted().items():
        assert path.name == f"seed{seed}" and (path / "config.json").is_file()


def test_too_few_names_say_how_many_are_needed_and_there():
    with pytest.raises(TaskError, match=r"15 names .* needed \(5 for train.*\), 8 are there; .*task.data"):
        IOI(names=NAMES[:8]).build(tokenizers.word_level(), DataRequest())


def test_a_tokenizer_that_knows_nothing_is_refused():
    with pytest.raises(TaskError, match="no template of ioi can be read"):
        IOI().build(tokenizers.word_level_of(["something", "else"]), DataRequest())


def test_fewer_templates_need_more_names():
    """One template needs 10 test names for 40 clusters: 45 pairs."""
    with pytest.raises(TaskError, match="20 names .*10 for test.*19 are there"):
        IOI(names=NAMES[:19], templates=["went"]).build(tokenizers.word_level(), DataRequest())
    found = IOI(names=NAMES[:20], templates=["went"]).build(tokenizers.word_level(), DataRequest(sizes={"test": 60}))
    assert len(set(found.split("test")["cluster"])) >= 40


@pytest.mark.parametrize(
    ("parameters", "sizes", "message"),
    [
        ({"templates": ["gone"]}, None, "no template 'gone'; it has went"),
        ({}, {"tset": 3}, "no split 'tset'"),
        ({}, {"test": 0}, "task.sizes.test is 0"),
        ({"names": NAMES[:15]}, {"validation": 5000}, "5000 different examples .*task.sizes"),
        ({"places": ["store", "park"]}, None, "3 places .* 2 are there"),
    ],
)
def test_wrong_parameters_are_errors_that_say_what_to_do(parameters, sizes, message):
    with pytest.raises(TaskError, match=message):
        IOI(**parameters).build(tokenizers.word_level(), DataRequest(sizes=sizes))
