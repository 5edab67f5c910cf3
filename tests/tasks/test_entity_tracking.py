"""Entity tracking: prompts read by their text alone, the causal model, splits, and what is refused."""

from __future__ import annotations

import os
import re
from collections import Counter
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.task import SPLITS, DataRequest, TaskData, TaskError
from tasks.entity_tracking import EntityTracking
from tasks.entity_tracking.causal import EntityTrackingCausalModel
from tasks.entity_tracking.fillers import LABELS, OBJECTS, PLANTED_LABELS, PLANTED_OBJECTS
from tasks.entity_tracking.scenes import Scene, another, moved
from tasks.entity_tracking.templates import TEMPLATES
from tests.tasks.tokenizers import word_level_of
from tests.tasks.trained import KINDS, trained

CAUSAL = EntityTrackingCausalModel()
SMALL = {"train": 40, "validation": 24, "test": 60}
SPLIT_OBJECT = "necklace"
"""An object that the tokenizers of subwords have not seen, so that it is several tokens."""
MAKERS = trained(
    [re.sub(r"\{\w+\}", "", f"{t.first} {t.rest}, and{t.query}") for t in TEMPLATES.values()],
    [word for word in (*OBJECTS, *LABELS) if word != SPLIT_OBJECT],
)


@cache
def tokenizer(kind: str):
    if kind == "planted":
        return word_level_of([",", ".", "has", "in", *PLANTED_OBJECTS, *PLANTED_LABELS])
    return MAKERS[kind]()


@cache
def data(kind: str, seed: int = 0, full: bool = False, **parameters) -> TaskData:
    task = EntityTracking(**parameters)
    return task.build(tokenizer(kind), DataRequest(seed=seed, sizes=None if full else SMALL))


def rows(found: TaskData) -> list[dict]:
    return [row for split in SPLITS for row in found.split(split)]


def prompts(row: dict) -> list[dict]:
    return [row, *row["counterfactuals"].values()]


def read(prompt: str) -> tuple[dict[str, str], str]:
    """Label to object in order, and the label asked for, from the text alone."""
    told, asked = prompt.rsplit(". ", 1)
    label_first = re.findall(r"Box ([A-Z]) contains the (\w+)", told)
    object_first = re.findall(r"(\w+)(?: is)? in (?:Box )?([A-Z])\b", told)
    boxes = dict(label_first or [(label, word) for word, label in object_first])
    return boxes, re.fullmatch(r"(?:Box )?([A-Z]) (?:contains the|has)", asked)[1]


def objects(prompt: str) -> list[str]:
    return [word for word in re.findall(r"\w+", prompt) if word in OBJECTS]


EVERY = [*KINDS, "planted"]


@pytest.mark.parametrize("kind", EVERY)
@pytest.mark.parametrize("seed", [0, 1])
def test_values_and_answers_agree_with_a_separate_reading_of_every_prompt(kind, seed):
    for row in rows(data(kind, seed)):
        for prompt in prompts(row):
            boxes, asked = read(prompt["prompt"])
            assert len(boxes) == len(objects(prompt["prompt"]))
            place = str([*boxes].index(asked) + 1) if asked in boxes else ""
            assert prompt["answer"] == boxes.get(asked, "")
            assert prompt["values"] == {
                "objects": " ".join(boxes.values()), "labels": " ".join(boxes), "label": asked,
                "detected": place, "position": place, "object": boxes.get(asked, ""),
            }  # fmt: skip
        boxes, asked = read(row["prompt"])
        assert row["wrong"] in boxes.values() and row["wrong"] != row["answer"]


@pytest.mark.parametrize("kind", EVERY)
def test_counterfactuals_change_and_keep_what_they_say(kind):
    for row in rows(data(kind)):
        boxes, asked = read(row["prompt"])
        slot, n = [*boxes].index(asked), len(boxes)
        wrong = [*boxes.values()].index(row["wrong"])
        found = {name: read(other["prompt"]) for name, other in row["counterfactuals"].items()}
        answers = {name: other["answer"] for name, other in row["counterfactuals"].items()}
        assert tuple(found) == EntityTracking.counterfactuals
        assert all(len(others) == n for others, _ in found.values())
        assert all(other["prompt"] != row["prompt"] for other in row["counterfactuals"].values())

        (others, other_asked) = found["all"]
        assert not {*others.values()} & {*boxes.values()} and [*others].index(other_asked) == wrong != slot
        assert other_asked != asked and all(a != b for a, b in zip(others, boxes, strict=True))
        if n > 2:  # three desiderata with three targets
            assert len({boxes[other_asked], row["wrong"], answers["all"], row["answer"]}) == 4

        (others, other_asked) = found["positional"]
        assert (other_asked, [*others.values()]) == (asked, [*boxes.values()]) and {*others} == {*boxes}
        assert all(a != b for a, b in zip(others, boxes, strict=True)) and answers["positional"] == row["wrong"]

        (others, other_asked) = found["object"]
        assert (other_asked, [*others]) == (asked, [*boxes]) and not {*others.values()} & {*boxes.values()}

        assert found["label"] == (boxes, [*boxes][wrong]) and answers["label"] == row["wrong"]
        (others, other_asked) = found["next_box"]
        assert other_asked not in others and row["counterfactuals"]["next_box"]["answer_id"] == -1
        assert other_asked != asked or n == 7  # where eight labels leave no choice
        assert not {*found["random"][0].values()} & {*boxes.values()} and answers["random"]


@pytest.mark.parametrize("kind", EVERY)
def test_taking_what_a_counterfactual_changes_gives_its_answer(kind):
    """The desideratum of each name, and its target read off the base's text."""
    for row in rows(data(kind)):
        base, others = row["values"], row["counterfactuals"]
        boxes, _ = read(row["prompt"])
        for name, variable in (("positional", "position"), ("object", "object"), ("label", "label")):
            changed = CAUSAL.interchange(base, others[name]["values"], variable)
            assert changed["answer"] == others[name]["answer"] != row["answer"]
        source = others["all"]["values"]
        source_boxes, asked = read(others["all"]["prompt"])
        at_its_place = [*boxes.values()][[*source_boxes].index(asked)]
        for variable in ("detected", "position"):
            assert CAUSAL.interchange(base, source, variable)["answer"] == at_its_place == row["wrong"]
        assert CAUSAL.interchange(base, source, "object")["answer"] == source_boxes[asked]
        assert CAUSAL.interchange(base, source, "label")["answer"] == boxes.get(asked, "")
        for variable in ("detected", "position", "object"):
            assert CAUSAL.interchange(base, others["next_box"]["values"], variable)["answer"] == ""


@pytest.mark.parametrize("kind", EVERY)
def test_ids_and_positions_decode_to_what_they_name(kind):
    made = tokenizer(kind)
    for row in rows(data(kind)):
        for prompt in prompts(row):
            assert prompt["ids"] == made(prompt["prompt"])["input_ids"] and len(prompt["ids"]) == len(row["ids"])
            if prompt["answer"]:
                whole = made(f"{prompt['prompt']} {prompt['answer']}")["input_ids"]
                assert whole == [*prompt["ids"], prompt["answer_id"]]
        at, ids = row["positions"], row["ids"]
        assert set(at) == {"OBJECT", "WRONG", "LABEL", "QUERY", "END"}
        assert (ids[at["OBJECT"]], ids[at["WRONG"]]) == (row["answer_id"], row["wrong_id"])
        assert made.decode([ids[at["QUERY"]]]).strip(" \u2581") == row["values"]["label"]
        assert ids[at["LABEL"]] == ids[at["QUERY"]] and at["LABEL"] < at["QUERY"] < at["END"] == len(ids) - 1
        assert at["LABEL"] == ids.index(ids[at["QUERY"]])
        beside = {"contains": -3, "short": 2}.get(row["template"])
        if beside:
            assert at["LABEL"] - at["OBJECT"] == beside


@pytest.mark.parametrize("kind", ["word_level", "byte_level", "planted"])
def test_splits_share_no_object_and_no_label_and_the_test_split_has_enough_clusters(kind):
    found = data(kind, full=True)
    texts = {s: [p["prompt"] for row in found.split(s) for p in prompts(row)] for s in SPLITS}
    for used in (
        {s: {word for text in texts[s] for word in objects(text)} for s in SPLITS},
        {s: {label for text in texts[s] for label in (*read(text)[0], read(text)[1])} for s in SPLITS},
    ):
        assert all(not used[a] & used[b] for a in SPLITS for b in SPLITS if a != b)
    assert {split: len(found.split(split)) for split in SPLITS} == dict(EntityTracking.sizes)
    assert len(set(found.split("test")["cluster"])) >= 150


@pytest.mark.parametrize("size", [40, 48, 200])
def test_two_boxes_alone_give_enough_clusters(size):
    """14 objects of a split make 91 pairs, which take turns."""
    found = EntityTracking(boxes=2).build(tokenizer("planted"), DataRequest(sizes={"test": size}))
    assert len(set(found.split("test")["cluster"])) >= min(40, size)


@pytest.mark.parametrize("kind", ["word_level", "planted"])
def test_no_shortcut_beats_chance(kind):
    """Boxes of each number, and the places in each, are asked for equally often; a fixed place wins no more than it."""
    for split in ("train", "test"):
        found = data(kind, full=True).split(split)
        reads = [(read(row["prompt"]), row) for row in found]
        for cells in (
            Counter((row["template"], len(boxes)) for (boxes, _), row in reads),
            *(Counter([*b].index(asked) for (b, asked), _ in reads if len(b) == n) for n in range(2, 8)),
        ):
            assert max(cells.values()) - min(cells.values()) <= 3, cells
        earlier = np.mean([[*b.values()].index(row["wrong"]) < [*b].index(a) for (b, a), row in reads])
        assert earlier == pytest.approx(0.5, abs=0.12)
        by_chance = np.mean([1 / len(b) for (b, _), _ in reads])
        for place in (0, -1):
            hits = np.mean([[*boxes.values()][place] == row["answer"] for (boxes, _), row in reads])
            assert hits == pytest.approx(by_chance, abs=0.08)


def test_a_popular_object_is_no_better_guess():
    """Preferring the object that answers most often in train gives about .5 on train itself."""
    found = data("planted", full=True).split("train")
    often = Counter(found["answer"])
    gaps = [often[a] - often[w] for a, w in zip(found["answer"], found["wrong"], strict=True)]
    assert np.mean([0.5 + 0.5 * np.sign(gap) for gap in gaps]) == pytest.approx(0.5, abs=0.2)


def test_templates_read_as_written_by_hand():
    scene = Scene(TEMPLATES["in"].pattern(2), ("apple", "ball"), ("A", "B"), "A")
    assert scene.prompt().text == "The apple is in Box A, the ball is in Box B. Box A contains the"
    scene = Scene(TEMPLATES["put"].pattern(3), ("apple", "ball", "cup"), ("C", "A", "D"), "D")
    text = "We put the apple in Box C, the ball in Box A, and the cup in Box D. Box D contains the"
    assert (scene.prompt().text, scene.answer, scene.slot) == (text, "cup", 2)
    scene = Scene(TEMPLATES["contains"].pattern(2), ("apple", "ball"), ("A", "B"), "B")
    assert scene.prompt().text == "Box A contains the apple and Box B contains the ball. Box B contains the"
    scene = Scene(TEMPLATES["short"].pattern(2), ("apple", "ball"), ("A", "B"), "B")
    assert scene.prompt().text == "apple in A, ball in B. B has"


def test_planted_prompts_have_four_tokens_a_box_and_two_more():
    for row in rows(data("planted")):
        assert len(row["ids"]) == 4 * len(read(row["prompt"])[0]) + 2 <= 30
        assert row["template"] == "short"


def test_the_last_resort_is_read_only_where_nothing_else_is_or_it_is_named():
    assert {row["template"] for row in rows(data("word_level"))} == {"in", "put", "contains"}
    assert {row["template"] for row in rows(data("word_level", templates=("in", "short")))} == {"in", "short"}
    assert data("word_level").kept["templates"] == 0.75


@pytest.mark.parametrize("kind", ["byte_level", "byte_level_bos", "metaspace"])
def test_objects_of_several_tokens_are_left_out(kind):
    used = {word for row in rows(data(kind, full=True)) for p in prompts(row) for word in objects(p["prompt"])}
    assert used and SPLIT_OBJECT not in used


def test_byte_level_tokenizers_lose_the_template_that_begins_with_an_object():
    with pytest.raises(TaskError, match="no template of entity_tracking can be read"):
        EntityTracking(templates=["short"]).build(tokenizer("byte_level"), DataRequest())
    assert {row["template"] for row in rows(data("metaspace", templates=("short",)))} == {"short"}


def test_the_seed_alone_decides():
    one, two = (EntityTracking().build(tokenizer("planted"), DataRequest(seed=3, sizes=SMALL)) for _ in range(2))
    assert rows(one) == rows(two)
    assert rows(one) != rows(data("planted"))


def test_the_number_of_boxes_is_a_parameter():
    for boxes in (3, (3,)):
        assert {len(read(row["prompt"])[0]) for row in rows(data("planted", boxes=boxes))} == {3}
    assert {len(read(row["prompt"])[0]) for row in rows(data("planted"))} == {2, 3, 4, 5, 6, 7}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"templates": ["gone"]}, "no template 'gone'; it has in"),
        ({"boxes": [1, 2]}, r"task.boxes is \[1, 2\]; numbers from 2 to 7"),
        ({"boxes": 8}, r"task.boxes is \[8\]; numbers from 2 to 7"),
        ({"boxes": []}, r"task.boxes is \[\]"),
        ({"objects": OBJECTS[:41]}, r"42 objects .* needed for 7 boxes.*; 41 are there; .*fewer boxes \(task.boxes\)"),
        ({"labels": LABELS[:23]}, r"24 labels .* needed for 7 boxes.*; 23 are there"),
        ({"objects": OBJECTS[:29], "boxes": [2, 3]}, r"30 objects .* needed for 3 boxes.*; 29 are there"),
    ],
)
def test_wrong_parameters_are_errors_that_say_what_to_do(parameters, message):
    with pytest.raises(TaskError, match=message):
        EntityTracking(**parameters).build(tokenizer("word_level"), DataRequest())


@pytest.mark.parametrize(
    "parameters", [{"objects": OBJECTS[:42]}, {"labels": LABELS[:24]}, {"objects": OBJECTS[:30], "boxes": [2, 3]}]
)
def test_as_many_words_as_are_asked_for_suffice(parameters):
    assert rows(EntityTracking(**parameters).build(tokenizer("word_level"), DataRequest(sizes=SMALL)))


def test_a_tokenizer_that_knows_nothing_is_refused():
    with pytest.raises(TaskError, match="no template of entity_tracking can be read by this tokenizer"):
        EntityTracking().build(word_level_of(["something", "else"]), DataRequest())


def test_screening_drops_objects_and_templates_that_a_model_gets_wrong():
    """A model that is right but for two objects, and for one template."""
    made = tokenizer("word_level")
    bad, opening = {"ball", "pear"}, made("We put")["input_ids"]

    def choose(asked: list[list[int]], pairs: list[list[int]]) -> list[int]:
        found = []
        for ids, (answer, wrong) in zip(asked, pairs, strict=True):
            fails = ids[: len(opening)] == opening or bad & {*made.convert_ids_to_tokens([answer, wrong])}
            found.append(wrong if fails else answer)
        return found

    built = EntityTracking().build(made, DataRequest(sizes=SMALL, choose=choose))
    used = {word for row in rows(built) for p in prompts(row) for word in objects(p["prompt"])}
    assert not used & bad and {row["template"] for row in rows(built)} == {"in", "contains"}
    readable = len(OBJECTS) - 1  # SPLIT_OBJECT is unknown
    assert built.kept["objects_screened"] == pytest.approx((readable - 2) / readable)
    assert built.kept["templates_screened"] == pytest.approx(2 / 3)


SCENES = st.integers(2, 7).flatmap(
    lambda n: st.tuples(
        st.lists(st.sampled_from(OBJECTS), min_size=n, max_size=n, unique=True),
        st.permutations(LABELS[:n]),
        st.sampled_from(LABELS[: n + 1]),
    )
)


@given(SCENES, SCENES)
def test_the_causal_model_against_a_lookup(base, source):
    """Each interchange against a dictionary from labels to objects and a list by place."""
    (held, borne, asked), (_, other_borne, other_asked) = base, source
    values, others = CAUSAL.values(*base), CAUSAL.values(*source)
    slot = {label: i for i, label in enumerate(other_borne)}.get(other_asked)
    at_place = held[slot] if slot is not None and slot < len(held) else ""
    lookup = dict(zip(borne, held, strict=True))
    assert values["object"] == lookup.get(asked, "")
    assert CAUSAL.interchange(values, others, "label")["answer"] == lookup.get(other_asked, "")
    assert CAUSAL.interchange(values, others, "detected")["answer"] == at_place
    assert CAUSAL.interchange(values, others, "position")["answer"] == at_place
    assert CAUSAL.interchange(values, others, "object")["answer"] == others["object"]
    detected = CAUSAL.interchange(values, others, "detected")
    restored = CAUSAL.interchange(detected, values, "position")
    assert (restored["detected"], restored["answer"]) == (others["detected"], values["object"])
    with pytest.raises(KeyError, match="label, detected, position, object"):
        CAUSAL.interchange(values, others, "slot")


@pytest.mark.parametrize("n", range(2, 8))
def test_labels_that_move_leave_no_box_with_its_own(n):
    rng = np.random.default_rng(n)
    for to in range(1, n):
        scene = Scene(TEMPLATES["in"].pattern(n), OBJECTS[:n], LABELS[:n], LABELS[0])
        dealt = moved(scene, to, rng)
        assert sorted(dealt) == sorted(scene.labels) and dealt[to] == LABELS[0]
        assert all(a != b for a, b in zip(dealt, scene.labels, strict=True))


def test_another_scene_needs_objects_that_are_not_used():
    scene = Scene(TEMPLATES["in"].pattern(3), OBJECTS[:3], LABELS[:3], "A")
    rng = np.random.default_rng(0)
    assert another(scene, 1, OBJECTS[:5], LABELS, rng) is None
    assert another(scene, 1, OBJECTS[:6], LABELS, rng) is not None


@pytest.mark.skipif("INTERPASSAY_MODEL" not in os.environ, reason="set INTERPASSAY_MODEL to a model's directory")
def test_a_small_pretrained_model_is_gated():
    """It is at chance on boxes; without screening, which could only help it, for the sake of time."""
    from tests.tasks.test_ioi_screening import Pretrained

    model = Pretrained()
    accuracy = model.accuracy(EntityTracking(screen_prompts=0).build(model.tokenizer, DataRequest()))
    assert 0.3 < accuracy < EntityTracking.gate
