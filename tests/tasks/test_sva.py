"""Subject-verb agreement: every prompt against a separate reading of its text, balance, screening, errors."""

from __future__ import annotations

import itertools
import os
import re
from collections import Counter
from functools import cache

import pytest

from bench.task import SPLITS, DataRequest, TaskError
from tasks.sva import SVA
from tasks.sva.causal import NUMBERS, VERBS, SVACausalModel
from tasks.sva.fillers import NOUNS, PEOPLE, THINGS
from tasks.sva.prompts import Words
from tasks.sva.templates import ACROSS, SIMPLE, TENSES, kind
from tests.tasks import support, trained
from tests.tasks.tokenizers import word_level_of

SMALL = {"train": 72, "validation": 72, "test": 144}
CAUSAL = SVACausalModel()
VARIANTS = {
    "simple": {},
    "opposite": {"distractor": True},
    "either": {"distractor": True, "attractor": "either"},
}
CHANGED = {"number": ("N",), "noun": (), "tense": ("T",), "number_tense": ("N", "T"), "attractor": ()}
"""Variables that a counterfactual changes."""
IRREGULAR = {"mice", "men", "women", "children", "people"}
PAST = {"said", "thought", "knew", "hoped", "Then", "Yesterday"}


def _texts() -> list[str]:
    found = []
    for template, number, tense in itertools.product((*SIMPLE, *ACROSS), NUMBERS, TENSES):
        second = {"things": "box/boxes", "people": "boy/boys", None: ""}[kind(template)]
        words = Words(template, "key/keys", number, tense, second, number if second else "")
        found += [f"{words.prompt().text} {verb}" for verb in VERBS.values()]
    return found


FORMS = [form for noun in (*NOUNS, *THINGS, *PEOPLE) for form in noun.split("/")]
TOKENIZERS = trained.trained(_texts(), FORMS)


@cache
def tokenizer(name):
    return TOKENIZERS[name]()


@cache
def data(kind="word_level", variant="simple", seed=0):
    return SVA(**VARIANTS[variant]).build(tokenizer(kind), DataRequest(seed=seed, sizes=SMALL))


def plural(noun: str) -> bool:
    return noun.endswith("s") or noun in IRREGULAR


def read(prompt: str) -> dict[str, str]:
    """The values, off the text: nouns are what follows "the" (and "big"), the first of them is the subject."""
    nouns = re.findall(r"the (?:big )?(\w+)", prompt)
    words = prompt.split("the")[0].replace(",", " ").split()
    # "saw" sets the past in "They saw that ..." alone; later it belongs to a relative clause
    past = bool({*words} & PAST) or words[:2] == ["They", "saw"]
    verb = {(False, False): "is", (True, False): "are", (False, True): "was", (True, True): "were"}
    found = {
        "subject": nouns[0],
        "N": "plural" if plural(nouns[0]) else "singular",
        "T": "past" if past else "present",
        "V": verb[plural(nouns[0]), past],
    }
    if len(nouns) > 1:
        found |= {"attractor": nouns[1], "A": "plural" if plural(nouns[1]) else "singular"}
    return found


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("kind", trained.KINDS)
def test_values_and_answers_agree_with_a_separate_reading_of_every_prompt(kind, variant):
    for row in support.rows(data(kind, variant)):
        for _, prompt in support.prompts(row):
            assert {k: v for k, v in prompt["values"].items() if v} == (found := read(prompt["prompt"]))
            assert prompt["answer"] == found["V"]
        assert row["wrong"] == row["counterfactuals"]["number"]["answer"] != row["answer"]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("kind", trained.KINDS)
def test_counterfactuals_change_what_they_say_and_interchange_gives_their_answers(kind, variant):
    names = set(SVA(**VARIANTS[variant]).counterfactuals)
    assert names == {*CHANGED, "random"} - ({"attractor"} if variant == "simple" else set())
    for row in support.rows(data(kind, variant)):
        assert set(row["counterfactuals"]) == names
        for name, variables in CHANGED.items():
            if name not in names:
                continue
            other, clean = row["counterfactuals"][name], row["values"]
            assert {v for v in ("N", "T") if clean[v] != other["values"][v]} == set(variables)
            found = clean
            for variable in variables:
                found = CAUSAL.interchange(found, other["values"], variable)
            assert found["V"] == other["answer"]
            words, others = row["prompt"].split(), other["prompt"].split()
            assert sum(a != b for a, b in zip(words, others, strict=True)) == max(1, len(variables))
            if name == "attractor":
                assert clean["A"] != other["values"]["A"] and clean["subject"] == other["values"]["subject"]
        assert row["counterfactuals"]["random"]["values"]["subject"] != row["values"]["subject"]


@pytest.mark.parametrize("kind", trained.KINDS)
def test_positions_decode_to_what_they_name(kind):
    for row in support.rows(data(kind, "opposite")):
        read_at = tokenizer(kind).decode
        said = {name: read_at([row["ids"][at]]).strip(" \u2581") for name, at in row["positions"].items()}
        assert (said["SUBJECT"], said["ATTRACTOR"]) == (row["values"]["subject"], row["values"]["attractor"])
        assert said["TENSE"] in row["prompt"].split()[:2] or said["TENSE"] == row["prompt"].split(",")[0]
    for row in support.rows(data(kind)):
        assert row["positions"]["SUBJECT"] == row["positions"]["END"] == len(row["ids"]) - 1


def test_the_number_of_the_second_noun_is_the_one_asked_for():
    opposite = [row["values"] for row in support.rows(data(variant="opposite"))]
    assert all(values["N"] != values["A"] for values in opposite)
    for split in SPLITS:
        either = [row["values"] for row in data(variant="either").split(split)]
        assert abs(sum(values["N"] == values["A"] for values in either) - len(either) / 2) <= 4


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("split", SPLITS)
def test_numbers_and_tenses_are_balanced_so_that_no_fixed_preference_beats_chance(split, variant):
    rows = list(data(variant=variant).split(split))
    cells = Counter((row["template"], row["answer"]) for row in rows)
    assert max(cells.values()) - min(cells.values()) <= 1
    for ranking in itertools.permutations(VERBS.values()):
        assert sum(ranking.index(row["answer"]) < ranking.index(row["wrong"]) for row in rows) == len(rows) / 2


@pytest.mark.parametrize("variant", VARIANTS)
def test_splits_share_no_noun(variant):
    found = {}
    for split in SPLITS:
        prompts = [p["values"] for row in data(variant=variant).split(split) for _, p in support.prompts(row)]
        nouns = [noun for values in prompts for noun in (values["subject"], values.get("attractor"))]
        found[split] = {re.sub("s$", "", noun) for noun in nouns if noun}
    assert not any(found[a] & found[b] for a, b in itertools.combinations(SPLITS, 2))


def test_interchange_by_hand():
    keys = CAUSAL.values("keys", "plural", "present", "cabinet", "singular")
    dog = CAUSAL.values("dog", "singular", "past", "boys", "plural")
    assert [CAUSAL.interchange(keys, dog, v)["answer"] for v in "NTV"] == ["is", "were", "was"]
    assert CAUSAL.interchange(CAUSAL.interchange(keys, dog, "N"), dog, "T")["answer"] == "was"
    with pytest.raises(KeyError, match="N, T, V"):
        CAUSAL.interchange(keys, dog, "A")


def test_a_prompt_by_hand():
    words = Words("now_near", "key/keys", "plural", "present", "cabinet/cabinets", "singular")
    assert (words.prompt().text, words.prompt().answer) == ("Now the keys near the cabinet", "are")


def test_every_noun_is_spelt_in_both_numbers_and_in_one_list():
    for noun in (*NOUNS, *THINGS, *PEOPLE):
        singular, many = noun.split("/")
        assert plural(many) and not plural(singular)
    words = [form for noun in (*NOUNS, *THINGS, *PEOPLE) for form in noun.split("/")]
    assert len(set(words)) == len(words)


def test_what_a_model_gets_wrong_is_dropped():
    model = tokenizer("word_level")

    def choose(prompts, candidates):
        said = [support.words(model.decode(ids)) for ids in prompts]
        return [pair["keys" in words or "Mom" in words] for words, pair in zip(said, candidates, strict=True)]

    found = SVA().build(model, DataRequest(sizes=SMALL, choose=choose))
    used = {word for row in support.rows(found) for _, p in support.prompts(row) for word in support.words(p["prompt"])}
    assert "keys" not in used and "Mom" not in used
    assert found.kept["templates_screened"] == 1 - 1 / len(SIMPLE)
    assert found.kept["nouns_screened"] == 1 - 1 / len(NOUNS)


def test_templates_with_unknown_words_are_left_out_and_the_rest_is_built():
    words = {w for text in _texts() for w in re.findall(r"\w+|[^\w\s]", text)} - {"Mom", "hopes", "Yesterday"}
    found = SVA().build(word_level_of([*sorted(words | {*FORMS})]), DataRequest(sizes=SMALL))
    assert {row["template"] for row in support.rows(found)} == {*SIMPLE} - {"mom", "hope", "today"}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"templates": ["gone"]}, "no template 'gone' with distractor: false; it has mom"),
        ({"templates": ["now_near"]}, "no template 'now_near' with distractor: false"),
        ({"nouns": NOUNS[:12]}, r"14 nouns .*needed \(4 for train.*\), 12 are there"),
        ({"nouns": ["keys"]}, "task.nouns: 'keys' is no noun as singular/plural"),
        ({"distractor": True, "things": THINGS[:5]}, "6 things .*5 are there"),
        ({"distractor": True, "people": PEOPLE[:5]}, "6 people .*5 are there"),
    ],
)
def test_wrong_parameters_are_errors_that_say_what_to_do(parameters, message):
    with pytest.raises(TaskError, match=message):
        SVA(**parameters).build(tokenizer("word_level"), DataRequest(sizes=SMALL))


def test_second_nouns_are_only_needed_where_a_template_has_them():
    few = {"things": THINGS[:5], "people": PEOPLE[:6], "distractor": True, "templates": ["now_saw", "know_liked"]}
    assert SVA(**few).build(tokenizer("word_level"), DataRequest(sizes={"train": 8, "validation": 8, "test": 48}))
    with pytest.raises(ValueError, match="attractor=same: use opposite or either"):
        SVA(attractor="same")


def test_a_tokenizer_that_knows_nothing_is_refused():
    with pytest.raises(TaskError, match="no template of sva can be read"):
        SVA().build(word_level_of(["something", "else"]), DataRequest())


@pytest.mark.skipif("INTERPASSAY_MODEL" not in os.environ, reason="set INTERPASSAY_MODEL to a model's directory")
def test_a_pretrained_model_passes_the_gate_without_a_distractor():
    from tests.tasks.test_ioi_screening import Pretrained

    model = Pretrained()
    request = DataRequest(choose=model.choose)
    assert model.accuracy(SVA().build(model.tokenizer, request)) >= SVA.gate
