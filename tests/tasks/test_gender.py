"""Gender pronouns: every prompt against a separate reading of its text, balance, screening, errors."""

from __future__ import annotations

import csv
import itertools
import os
import re
from collections import Counter
from functools import cache

import pytest

from bench.task import SPLITS, DataRequest, TaskError
from tasks.gender import Gender
from tasks.gender.causal import GenderCausalModel
from tasks.gender.fillers import FEMALE, MALE, PLACES
from tasks.gender.templates import CASES, TEMPLATES, ending, text
from tests.tasks import support, trained
from tests.tasks.tokenizers import word_level_of

SMALL = {"train": 52, "validation": 52, "test": 104}
CAUSAL = GenderCausalModel()
BY_HAND = {
    "One day, Mary went to the park because": "she",
    "One day, Mary went to the park with": "her",
    "One day, John went to the park because": "he",
    "One day, John went to the park with": "his",
}
CHANGED = {"gender": ("G",), "name": (), "case": ("C",), "gender_case": ("G", "C")}
"""Variables that a counterfactual changes."""


def _texts() -> list[str]:
    filled = [text(t).format(N="Mary", PLACE="park", E=ending(t, case)) for t in TEMPLATES for case in CASES]
    return [f"{prompt} {pronoun}" for prompt in filled for pronoun in ("she", "he", "her", "his")]


TOKENIZERS = trained.trained(_texts(), [*FEMALE, *MALE, *PLACES])


@cache
def tokenizer(kind):
    return TOKENIZERS[kind]()


@cache
def data(kind="word_level", seed=0):
    return Gender().build(tokenizer(kind), DataRequest(seed=seed, sizes=SMALL))


def read(prompt: str) -> dict[str, str]:
    """The values, off the text: who is named after the first word, and which word comes last."""
    (name,) = [word for word in re.findall(r"\w+", prompt)[1:] if word[0].isupper()]
    gender = {True: "female", False: "male"}[name in FEMALE]
    assert (name in MALE) is (gender == "male")
    case = "subject" if prompt.split()[-1] in ("because", "that") else "possessive"
    pronoun = {"female": {"subject": "she", "possessive": "her"}, "male": {"subject": "he", "possessive": "his"}}
    return {"name": name, "G": gender, "C": case, "P": pronoun[gender][case]}


@pytest.mark.parametrize("kind", trained.KINDS)
def test_values_and_answers_agree_with_a_separate_reading_of_every_prompt(kind):
    for row in support.rows(data(kind)):
        for _, prompt in support.prompts(row):
            assert prompt["values"] == (found := read(prompt["prompt"]))
            assert prompt["answer"] == found["P"]
        assert row["wrong"] == row["counterfactuals"]["gender"]["answer"] != row["answer"]


@pytest.mark.parametrize("kind", trained.KINDS)
def test_counterfactuals_change_what_they_say_and_interchange_gives_their_answers(kind):
    for row in support.rows(data(kind)):
        for name, variables in CHANGED.items():
            other = row["counterfactuals"][name]
            differ = {v for v in ("G", "C") if row["values"][v] != other["values"][v]}
            assert differ == set(variables)
            found = row["values"]
            for variable in variables:
                found = CAUSAL.interchange(found, other["values"], variable)
            assert found["P"] == other["answer"]
            words, others = row["prompt"].split(), other["prompt"].split()
            assert sum(a != b for a, b in zip(words, others, strict=True)) == max(1, len(variables))
        assert row["counterfactuals"]["random"]["values"]["name"] != row["values"]["name"]


@pytest.mark.parametrize("kind", trained.KINDS)
def test_the_position_of_the_name_decodes_to_it(kind):
    for row in support.rows(data(kind)):
        token = row["ids"][row["positions"]["NAME"]]
        assert tokenizer(kind).decode([token]).strip(" \u2581") == row["values"]["name"]
        assert row["positions"]["END"] == len(row["ids"]) - 1


def test_interchange_by_hand():
    mary, john = CAUSAL.values("Mary", "female", "subject"), CAUSAL.values("John", "male", "possessive")
    assert CAUSAL.interchange(mary, john, "G")["answer"] == "he"
    assert CAUSAL.interchange(mary, john, "C")["answer"] == "her"
    assert CAUSAL.interchange(mary, john, "P")["answer"] == "his"
    with pytest.raises(KeyError, match="G, C, P"):
        CAUSAL.interchange(mary, john, "N")


def test_prompts_by_hand():
    prompts = {}
    for gender, name in (("female", "Mary"), ("male", "John")):
        for case in CASES:
            values = CAUSAL.values(name, gender, case)
            prompts[text("went").format(N=name, PLACE="park", E=ending("went", case))] = values["P"]
    assert prompts == BY_HAND


@pytest.mark.parametrize("split", SPLITS)
def test_genders_and_cases_are_balanced_so_that_no_fixed_preference_beats_chance(split):
    rows = list(data().split(split))
    cells = Counter((row["template"], row["answer"]) for row in rows)
    assert len(cells) == 4 * len(TEMPLATES) and len(set(cells.values())) == 1
    for ranking in itertools.permutations(("she", "he", "her", "his")):
        assert sum(ranking.index(row["answer"]) < ranking.index(row["wrong"]) for row in rows) == len(rows) / 2


def test_splits_share_no_name_and_no_place():
    found = {
        split: {w for row in data().split(split) for _, p in support.prompts(row) for w in support.words(p["prompt"])}
        for split in SPLITS
    }
    for a, b in itertools.combinations(SPLITS, 2):
        assert not found[a] & found[b] & {*FEMALE, *MALE, *PLACES}


def test_no_name_is_given_to_both_and_every_list_is_free_of_repeats():
    assert not {*FEMALE} & {*MALE}
    assert all(len(set(words)) == len(words) for words in (FEMALE, MALE, PLACES))
    shared = {"Sam", "Alex", "Charlie", "Kim", "Kelly", "Jordan", "Robin", "Taylor", "Chris", "Jamie", "Lee", "Max"}
    assert not {*FEMALE, *MALE} & shared


def test_what_a_model_gets_wrong_is_dropped():
    model = tokenizer("word_level")
    bad = ("Mary", "Tom", "party")

    def choose(prompts, candidates):
        said = [support.words(model.decode(ids)) for ids in prompts]
        return [pair[any(word in words for word in bad)] for words, pair in zip(said, candidates, strict=True)]

    found = Gender().build(model, DataRequest(sizes=SMALL, choose=choose))
    used = {word for row in support.rows(found) for _, p in support.prompts(row) for word in support.words(p["prompt"])}
    assert not used & {*bad}
    assert found.kept["templates_screened"] == 1 - 1 / len(TEMPLATES)
    assert found.kept["female_screened"] == 1 - 1 / len(FEMALE) and found.kept["male_screened"] == 1 - 1 / len(MALE)


def test_templates_with_unknown_words_or_unequal_endings_are_left_out():
    words = [w for w in _words() if w not in ("party", "cake")]
    found = Gender().build(word_level_of([*words, *FEMALE, *MALE, *PLACES]), DataRequest(sizes=SMALL))
    assert {row["template"] for row in support.rows(found)} == set(TEMPLATES) - {"shared"}
    corpus = [t for t in _texts() if " because" not in t] + [f"{w} {w}" for w in (*FEMALE, *MALE, *PLACES)]
    split = trained.byte_level(corpus * 3)
    assert len(split.tokenize("went because")) > 2
    with pytest.raises(TaskError, match="no template of gender"):
        Gender(templates=["went", "was"]).build(split, DataRequest(sizes=SMALL))


def _words() -> list[str]:
    return sorted({w for t in _texts() for w in re.findall(r"\w+|[^\w\s]", t)} - {"Mary", "park"})


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"templates": ["gone"]}, "no template 'gone'; it has went"),
        ({"female": FEMALE[:10]}, r"12 female of one known token are needed \(4 for train.*\), 10 are there"),
        ({"female": ["Mary"], "male": ["Mary", "Tom"]}, "'Mary' is in task.female and in task.male"),
        ({"places": PLACES[:5]}, "6 places .* 5 are there"),
        ({"templates": ["went"], "female": FEMALE[:12], "male": MALE[:12]}, "clusters, 40 are needed"),
    ],
)
def test_wrong_parameters_are_errors_that_say_what_to_do(parameters, message):
    with pytest.raises(TaskError, match=message):
        sizes = {"train": 8, "validation": 8, "test": 60}
        Gender(**parameters).build(tokenizer("word_level"), DataRequest(sizes=sizes))


def test_a_tokenizer_that_knows_nothing_is_refused():
    with pytest.raises(TaskError, match="no template of gender can be read"):
        Gender().build(word_level_of(["something", "else"]), DataRequest())


@pytest.mark.skipif("INTERPASSAY_MODEL" not in os.environ, reason="set INTERPASSAY_MODEL to a model's directory")
def test_a_pretrained_model_passes_the_gate():
    from tests.tasks.test_ioi_screening import Pretrained

    model = Pretrained()
    assert model.accuracy(Gender().build(model.tokenizer, DataRequest(choose=model.choose))) >= Gender.gate


def test_examples_of_the_users_own_are_read_and_the_name_is_found(tmp_path):
    file, prompt = tmp_path / "own.csv", "Yesterday, {} was happy because"
    with file.open("w") as handle:
        writer = csv.writer(handle)
        writer.writerow(["prompt", "answer", "wrong", "counterfactual.gender", "cluster"])
        for i, (name, other, *pronouns) in enumerate([("Mary", "John", "she", "he"), ("Tom", "Anna", "he", "she")] * 3):
            writer.writerow([prompt.format(name), *pronouns, prompt.format(other), f"c{i}"])
    found = Gender().build(tokenizer("byte_level"), DataRequest(source=str(file)))
    for row in support.rows(found):
        name = tokenizer("byte_level").decode([row["ids"][row["positions"]["NAME"]]]).strip()
        assert name in ("Mary", "Tom") and name in row["prompt"]
