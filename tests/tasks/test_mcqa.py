"""Multiple choice: every prompt against a separate reading of its text, balance, mutations, errors."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from functools import cache

import pytest

from bench.task import SPLITS, DataRequest, TaskError
from tasks.mcqa import MCQA
from tasks.mcqa.causal import MCQACausalModel
from tasks.mcqa.fillers import COLORS, THINGS
from tasks.mcqa.templates import ALPHABET, LABELS, LAYOUTS, SEPARATORS, TEMPLATES, Style
from tests.tasks import support, trained
from tests.tasks.tokenizers import word_level_of

SMALL = {"train": 48, "validation": 48, "test": 96}
CAUSAL = MCQACausalModel()
VARIANTS = {
    "letters": {},
    "random": {"labels": "random_letters", "separator": ")", "layout": "inline"},
    "numbers": {"labels": "numbers", "options": 3, "separator": ":"},
}
CHANGED = {"color": "C", "slot": "S", "label": "L", "random_letters": "L", "thing": None}
"""The variable that a counterfactual changes, and with it those behind it."""


def _texts() -> list[str]:
    found = []
    for separator, layout in itertools.product(SEPARATORS, LAYOUTS):
        style = Style("letters", 4, separator, layout)
        slots = {f"{kind}{i}": {"L": "B", "O": "red"}[kind] for i in range(1, 5) for kind in "LO"}
        found += [style.text(t).format(T="box", C="red", **slots) for t in TEMPLATES]
    return found


LABEL_WORDS = [*ALPHABET, *"123456789"]
ANSWERS = [f"Answer: {label}" for label in LABEL_WORDS]
TOKENIZERS = trained.trained([*_texts(), *ANSWERS], [*THINGS, *COLORS])
CASES = [(variant, kind) for variant in VARIANTS for kind in trained.KINDS]


@cache
def tokenizer(kind):
    return TOKENIZERS[kind]()


@cache
def data(variant="letters", kind="word_level", seed=0):
    return MCQA(**VARIANTS[variant]).build(tokenizer(kind), DataRequest(seed=seed, sizes=SMALL))


def read(prompt: str) -> dict[str, str]:
    """The values, off the text: the color before the question is looked for among the options."""
    statement, rest = re.split(r"[.] What", prompt, maxsplit=1)
    (color,) = [word for word in re.findall(r"\w+", statement) if word in COLORS]
    (thing,) = {word for word in re.findall(r"\w+", statement) if word in THINGS}
    assert thing in rest.split("?")[0]
    found = re.findall(r"([A-Z]|\d)[.):] (\w+)", rest.split("?")[1])
    slots = [i for i, (_, option) in enumerate(found) if option == color]
    assert len(slots) == 1
    return {
        "thing": thing,
        "C": color,
        "S": str(slots[0] + 1),
        "L": found[slots[0]][0],
        "options": " ".join(option for _, option in found),
        "labels": " ".join(label for label, _ in found),
    }


@pytest.mark.parametrize(("variant", "kind"), CASES)
def test_values_and_answers_agree_with_a_separate_reading_of_every_prompt(variant, kind):
    for row in support.rows(data(variant, kind)):
        for _, prompt in support.prompts(row):
            assert prompt["values"] == (found := read(prompt["prompt"]))
            assert prompt["answer"] == found["L"]
            assert len(set(found["labels"].split())) == len(found["options"].split()) == len(found["labels"].split())
        assert row["wrong"] in row["values"]["labels"].split() and row["wrong"] != row["answer"]


@pytest.mark.parametrize(("variant", "kind"), CASES)
def test_counterfactuals_change_what_they_say_and_interchange_gives_their_answers(variant, kind):
    for row in support.rows(data(variant, kind)):
        clean, others = row["values"], row["counterfactuals"]
        assert set(others) == set(MCQA.counterfactuals)
        for name, variable in CHANGED.items():
            values = others[name]["values"]
            found = CAUSAL.interchange(clean, values, variable) if variable else dict(clean)
            assert found["L"] == values["L"] == others[name]["answer"]
            same = {"C": "", "S": "C", "L": "CS", None: "CSL"}[variable]
            assert all(values[v] == clean[v] for v in same)
            assert all(values[v] != clean[v] for v in (variable or ""))
        assert others["color"]["answer"] == others["slot"]["answer"] == others["label"]["answer"] == row["wrong"]
        assert others["slot_label"]["answer"] == row["answer"]
        assert others["slot_label"]["values"]["S"] != clean["S"]
        assert not {*others["random_letters"]["values"]["labels"].split()} & {*clean["labels"].split()}
        assert others["random"]["values"]["thing"] != clean["thing"]


@pytest.mark.parametrize(("variant", "kind"), CASES)
def test_positions_and_answers_decode_to_what_they_name(variant, kind):
    reader = tokenizer(kind)

    def word(token: int) -> str:
        return reader.decode([token]).strip(" \n\u2581")

    for row in support.rows(data(variant, kind)):
        said = {name: word(row["ids"][at]) for name, at in row["positions"].items()}
        values = row["values"]
        assert (said["THING"], said["COLOR"], said["OPTION"]) == (values["thing"], values["C"], values["C"])
        assert said["LABEL"] == row["answer"] == word(row["answer_id"]) and word(row["wrong_id"]) == row["wrong"]
        for i, (label, option) in enumerate(zip(values["labels"].split(), values["options"].split(), strict=True), 1):
            assert (said[f"LABEL{i}"], said[f"OPTION{i}"]) == (label, option)
        assert said["END"] == ":" and row["positions"]["END"] == len(row["ids"]) - 1


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("split", SPLITS)
def test_slots_are_balanced_so_that_no_slot_or_label_wins(variant, split):
    rows = list(data(variant).split(split))
    slots = Counter(row["values"]["S"] for row in rows)
    assert max(slots.values()) == min(slots.values()) and len(slots) == len(rows[0]["values"]["options"].split())
    if variant == "random":
        assert len({row["answer"] for row in rows}) > 12
        return
    labels = sorted({row["answer"] for row in rows})
    for label in labels:  # always that label where it is one of the two, else whichever
        asked = [row["answer"] == label for row in rows if label in (row["answer"], row["wrong"])]
        assert abs(sum(asked) / len(asked) - 0.5) < 0.2
    for label in labels:
        assert sum(row["answer"] == label for row in rows) == len(rows) / len(labels)


def test_splits_share_no_thing_and_no_color():
    for variant in VARIANTS:
        found = {
            split: {w for row in data(variant).split(split) for _, p in support.prompts(row) for w in read(p["prompt"])}
            for split in SPLITS
        }
        for split in SPLITS:
            values = [p["values"] for row in data(variant).split(split) for _, p in support.prompts(row)]
            found[split] = {w for v in values for w in (v["thing"], *v["options"].split())}
        assert not any(found[a] & found[b] for a, b in itertools.combinations(SPLITS, 2))


@pytest.mark.parametrize("options", [2, 6])
@pytest.mark.parametrize("labels", LABELS)
def test_any_number_of_options_under_any_labels(options, labels):
    found = MCQA(options=options, labels=labels).build(tokenizer("word_level"), DataRequest(sizes=SMALL))
    for row in support.rows(found):
        assert len(read(row["prompt"])["options"].split()) == options
        assert read(row["prompt"])["L"] == row["answer"]
        if labels != "random_letters":
            assert row["values"]["labels"].split() == {"letters": [*"ABCDEF"], "numbers": [*"123456"]}[labels][:options]


def test_prompts_by_hand():
    slots = {"T": "box", "C": "brown", "L1": "A", "L2": "B", "O1": "gray", "O2": "brown"}
    lines = Style("letters", 2, ".", "lines").text("copy").format(**slots)
    assert lines == "A box is brown. What color is the box?\nA. gray\nB. brown\nAnswer:"
    inline = Style("letters", 2, ")", "inline").text("copy").format(**slots)
    assert inline == "A box is brown. What color is the box? A) gray B) brown. Answer:"


def test_interchange_by_hand():
    base = CAUSAL.values("box", "brown", ["gray", "brown", "green"], "ABC")
    source = CAUSAL.values("hat", "green", ["green", "red", "gray"], "XYZ")
    assert (base["S"], base["L"], source["S"], source["L"]) == ("2", "B", "1", "X")
    assert [CAUSAL.interchange(base, source, v)["answer"] for v in "CSL"] == ["C", "A", "X"]
    assert CAUSAL.interchange(CAUSAL.interchange(base, source, "C"), base, "S")["answer"] == "B"
    nothing = CAUSAL.interchange(base, CAUSAL.values("hat", "blue", ["blue", "red"], "AB"), "C")
    assert (nothing["S"], nothing["answer"]) == ("none", "")
    with pytest.raises(KeyError, match="C, S, L"):
        CAUSAL.interchange(base, base, "D")


def test_fillers_fit_their_articles_and_do_not_overlap():
    assert not any(thing[0] in "aeiou" for thing in THINGS) and not {*THINGS} & {*COLORS}
    assert len({*THINGS}) == len(THINGS) and len({*COLORS}) == len(COLORS)


def test_what_a_model_gets_wrong_is_dropped():
    model = tokenizer("word_level")

    def choose(prompts, candidates):
        said = [support.words(model.decode(ids)) for ids in prompts]
        return [pair["hat" in words or "new" in words] for words, pair in zip(said, candidates, strict=True)]

    found = MCQA().build(model, DataRequest(sizes=SMALL, choose=choose))
    used = {word for row in support.rows(found) for _, p in support.prompts(row) for word in support.words(p["prompt"])}
    assert not used & {"hat", "new"}
    assert found.kept["templates_screened"] == 1 - 1 / len(TEMPLATES)
    assert found.kept["things_screened"] == 1 - 1 / len(THINGS)


def test_labels_that_a_tokenizer_lacks():
    words = sorted({w for text in _texts() for w in re.findall(r"\w+|[^\w\s]", text)} - {"B"} | {*THINGS, *COLORS})
    few = word_level_of([*words, *"CDEFGHJK"])
    with pytest.raises(TaskError, match="the label 'B' is not one known token after 'Answer:'; try others"):
        MCQA().build(few, DataRequest(sizes=SMALL))
    with pytest.raises(TaskError, match="the label '1' is not one known token"):
        MCQA(labels="numbers").build(few, DataRequest(sizes=SMALL))
    found = MCQA(labels="random_letters").build(few, DataRequest(sizes=SMALL))
    assert {row["answer"] for row in support.rows(found)} <= {*"ACDEFGHJK"}
    with pytest.raises(TaskError, match="8 letters are needed .* 4 are there"):
        MCQA(labels="random_letters").build(word_level_of([*words, *"CDE"]), DataRequest(sizes=SMALL))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"templates": ["gone"]}, "no template 'gone'; it has copy"),
        ({"colors": COLORS[:11]}, r"12 colors .*needed \(4 for train.*\), 11 are there"),
        ({"things": THINGS[:11]}, "12 things .*11 are there"),
    ],
)
def test_wrong_parameters_are_errors_that_say_what_to_do(parameters, message):
    with pytest.raises(TaskError, match=message):
        MCQA(**parameters).build(tokenizer("word_level"), DataRequest(sizes=SMALL))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"labels": "romans"}, "labels=romans: use letters, random_letters, numbers"),
        ({"separator": "-"}, "separator=-: use"),
        ({"layout": "table"}, "layout=table: use lines, inline"),
        ({"options": 1}, "options=1: use 2 to 6"),
        ({"options": 7}, "options=7: use 2 to 6"),
    ],
)
def test_mutations_are_checked(parameters, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        MCQA(**parameters)


def test_a_tokenizer_that_knows_nothing_is_refused():
    with pytest.raises(TaskError, match="no template of mcqa can be read"):
        MCQA().build(word_level_of(["something", "else"]), DataRequest())
