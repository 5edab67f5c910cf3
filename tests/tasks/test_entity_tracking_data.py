"""Entity tracking on examples of the user's own: in the paper's format, and in the common one."""

from __future__ import annotations

import csv
import json
import re

import pytest

from bench.task import SPLITS, DataRequest, TaskData, TaskError
from tasks.entity_tracking import EntityTracking
from tasks.entity_tracking.causal import EntityTrackingCausalModel
from tasks.entity_tracking.fillers import LABELS, OBJECTS
from tasks.entity_tracking.reading import named_spans, parse
from tests.tasks.tokenizers import word_level_of

CAUSAL = EntityTrackingCausalModel()
WORDS = ["The", "the", "is", "in", "Box", "contains", "contained", "has", "holds", "put", "We", "and", ",", "."]
KNOWN = [*WORDS, *OBJECTS[:60], *LABELS, *"0123456789"]
TOLD = ("The {o} is in Box {l}", "the {o} is contained in Box {l}", "Box {l} has the {o}", "Box {l} holds the {o}")


def context(number: int, boxes: int, wording: int = 0) -> list[tuple[str, str]]:
    """Objects and labels of one context; contexts share no object with the next two."""
    return [(OBJECTS[(boxes * number + i) % 60], LABELS[(number + 3 * i) % len(LABELS)]) for i in range(boxes)]


def lines(contexts: int = 12, boxes: int = 3, told: tuple[str, ...] = TOLD[:1]) -> list[dict]:
    """Rows in the paper's format, a row for each box of each context, as its files have them."""
    found = []
    for number in range(contexts):
        pairs = context(number, boxes)
        parts = [told[i % len(told)].format(o=o, l=label) for i, (o, label) in enumerate(pairs)]
        text = ", ".join([parts[0], *(part.replace("The ", "the ") for part in parts[1:])])
        for held, label in pairs:
            found.append({
                "sentence": f"{text}. Box {label} contains the {held}.",
                "sentence_masked": f"{text}. Box {label} contains <extra_id_0> .",
                "masked_content": f"<extra_id_0> the {held}",
                "sample_id": number,
                "numops": 0,
                "numops_by_op": {"move": 0, "remove": 0, "put": 0},
            })  # fmt: skip
    return found


def load(tmp_path, table: list[dict], **request) -> TaskData:
    path = tmp_path / "papers.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in table), encoding="utf-8")
    return EntityTracking().build(word_level_of(KNOWN), DataRequest(source=str(path), **request))


def rows(found: TaskData) -> list[dict]:
    return [row for split in SPLITS for row in found.split(split)]


def read(prompt: str) -> tuple[dict[str, str], str]:
    """Label to object in order, and the label asked for, from the text alone."""
    told, asked = prompt.rsplit(". ", 1)
    found = re.findall(r"the (\w+) is (?:contained )?in Box (\w)|Box (\w) (?:has|holds) the (\w+)", told, re.IGNORECASE)
    return {a[1] or a[2]: a[0] or a[3] for a in found}, re.fullmatch(r"Box (\w) contains the", asked)[1]


@pytest.mark.parametrize(("boxes", "told"), [(2, TOLD[:1]), (3, TOLD[:1]), (7, TOLD[:1]), (4, TOLD)])
def test_the_papers_rows_become_ours(tmp_path, boxes, told):
    table = lines(20, boxes, told)
    found = load(tmp_path, table)
    assert found.kept == {"rows": 1.0} and len(rows(found)) == len(table)
    sentences = {f"{row['prompt']} {row['answer']}." for row in rows(found)}
    assert sentences == {row["sentence"] for row in table}
    for split in SPLITS:
        here = {row["prompt"].rsplit(". ", 1)[0] for row in found.split(split)}
        for row in found.split(split):
            boxes_, asked = read(row["prompt"])
            base, others = row["values"], row["counterfactuals"]
            assert tuple(others) == EntityTracking.counterfactuals
            assert (base["object"], base["labels"].split()) == (row["answer"], [*boxes_])
            for name, other in others.items():
                held, label = read(other["prompt"])
                assert other["answer"] == held.get(label, "") and len(other["ids"]) == len(row["ids"])
                assert name not in ("all", "next_box", "random") or other["prompt"].rsplit(". ", 1)[0] in here
            assert others["all"]["values"]["position"] != base["position"]
            assert others["next_box"]["answer_id"] == -1
            for name, variable in (("positional", "position"), ("object", "object"), ("label", "label")):
                changed = CAUSAL.interchange(base, others[name]["values"], variable)
                assert changed["answer"] == others[name]["answer"] != row["answer"]
            assert row["ids"][row["positions"]["OBJECT"]] == row["answer_id"]
            assert row["ids"][row["positions"]["LABEL"]] == row["ids"][row["positions"]["QUERY"]]


def test_contexts_stay_together_and_sizes_are_kept_to(tmp_path):
    found = load(tmp_path, lines(30), sizes={"train": 9, "validation": 4, "test": 5})
    assert {split: len(found.split(split)) for split in SPLITS} == {"train": 9, "validation": 4, "test": 5}
    used = {split: set(found.split(split)["cluster"]) for split in SPLITS}
    assert all(not used[a] & used[b] for a in SPLITS for b in SPLITS if a != b)


def test_a_split_that_the_rows_name_is_used(tmp_path):
    table = lines(9)
    for i, row in enumerate(table):
        row["split"] = SPLITS[i // 9]
    found = load(tmp_path, table)
    assert [len(found.split(split)) for split in SPLITS] == [9, 9, 9]
    assert {f"{row['prompt']} {row['answer']}." for row in found.split("train")} == {r["sentence"] for r in table[:9]}


def test_rows_that_the_tokenizer_cannot_be_asked_about_are_left_out(tmp_path):
    """Of 36 rows three have an object that is unknown, and one of them as the answer."""
    table = json.loads(json.dumps(lines(12)).replace(f"the {OBJECTS[4]}", "the xylophone"))
    found = load(tmp_path, table)
    assert found.kept["rows"] < 1 and "xylophone" not in {row["answer"] for row in rows(found)}
    unknown = json.loads(re.sub(r"the (\w+) is", r"the x\1 is", json.dumps(lines(12)), flags=re.IGNORECASE))
    unknown = json.loads(re.sub(r"contains the |<extra_id_0> the ", r"\g<0>x", json.dumps(unknown)))
    with pytest.raises(TaskError, match="no row for train can be used with this tokenizer; row .*unknown"):
        load(tmp_path, unknown)


def test_one_context_in_a_split_is_too_few(tmp_path):
    with pytest.raises(TaskError, match="no row for .*; row [0-9], field 'sentence': its split has no row with 3"):
        load(tmp_path, lines(3))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("sentence", None, "row 5, column 'sentence': nothing there"),
        ("masked_content", None, "row 5, column 'masked_content': nothing there"),
        ("sentence_masked", "no mask", "row 5, field 'sentence_masked': no <extra_id_0>"),
        ("masked_content", "the cup", "row 5, field 'masked_content': 'the cup' does not begin with <extra_id_0>"),
        ("masked_content", "<extra_id_0> the xx", "row 5, field 'masked_content': put into .* does not give"),
        ("numops", 2, "row 5, field 'numops': 2; only contexts without moves"),
    ],
)
def test_a_wrong_field_is_named_with_its_row(tmp_path, field, value, message):
    table = lines()
    table[4][field] = value
    with pytest.raises(TaskError, match=message):
        load(tmp_path, table)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (" is in Box ", " is not in Box ", "row 5, field 'sentence': 'The .* is not in Box .' tells of no box"),
        ("contains the", "hides the", "row 5, field 'sentence': 'Box . hides the' is no query"),
        ("The ", "The red car and the ", "row 5, field 'sentence': 'The red car' tells of no box"),
    ],
)
def test_a_sentence_that_cannot_be_read_is_named_with_its_row(tmp_path, old, new, message):
    table = lines()
    for field in ("sentence", "sentence_masked"):
        table[4][field] = table[4][field].replace(old, new)
    if "hides" in new:
        table[4]["sentence_masked"] = table[4]["sentence_masked"].replace("contains <", "hides <")
    with pytest.raises(TaskError, match=message):
        load(tmp_path, table)


def test_a_sentence_that_ends_with_another_object_is_an_error(tmp_path):
    table = lines()
    for field in ("sentence", "masked_content"):
        table[0][field] = re.sub(r"the \w+(\.?)$", rf"the {OBJECTS[1]}\1", table[0][field])
    with pytest.raises(TaskError, match=f"row 1, .* ends with {OBJECTS[1]!r}, but Box . holds {OBJECTS[0]!r}"):
        load(tmp_path, table)


@pytest.mark.parametrize(
    "prompt",
    [
        "The apple is in Box A, the ball is in Box B. Box B contains the",
        "We put the apple in Box A, the ball in Box B, and the cup in Box C. Box C contains the",
        "Box 0 contains the apple and Box 1 contains the ball. Box 0 contains the",
        "apple in A, ball in B. B has",
        "Box X holds the apple, the ball is contained in Box B. Box B holds the",
    ],
)
def test_prompts_are_taken_apart_and_put_together_again(prompt):
    scene = parse(prompt)
    assert scene.prompt().text == prompt and scene.objects[:2] == ("apple", "ball")
    spans = named_spans(prompt, scene.answer, scene.objects[1 if scene.slot != 1 else 0])
    cut = {name: prompt[start:end] for name, (start, end) in spans.items()}
    assert cut["OBJECT"] == scene.answer and cut["LABEL"] == cut["QUERY"] == scene.query
    assert spans["LABEL"][0] < spans["QUERY"][0]


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("The apple is in Box A. Box A contains the", "tells of one box"),
        ("The apple is in Box A, the ball is in Box A. Box A contains the", "label 'A' is there twice"),
        ("The apple is in Box A, the apple is in Box B. Box A contains the", "object 'apple' is there twice"),
        ("Once upon a time", "is no query"),
        ("Box A is empty, the ball is in Box B. Box B contains the", "'Box A is empty' tells of no box"),
    ],
)
def test_what_cannot_be_read_says_why(prompt, message):
    with pytest.raises(ValueError, match=message):
        parse(prompt)
    assert named_spans(prompt, "apple", "ball") is None


def test_the_common_format_is_read_and_its_positions_are_found(tmp_path):
    path, table = tmp_path / "mine.csv", []
    for i in range(20):
        a, b = OBJECTS[2 * i], OBJECTS[2 * i + 1]
        told = f"The {a} is in Box A, the {b} is in Box B."
        table.append({
            "prompt": f"{told} Box B contains the", "answer": b, "wrong": a,
            "counterfactual.label": f"{told} Box A contains the", "counterfactual.label.answer": a,
        })  # fmt: skip
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(table[0]))
        writer.writeheader()
        writer.writerows(table)
    for row in rows(EntityTracking().build(word_level_of(KNOWN), DataRequest(source=str(path)))):
        at = row["positions"]
        assert [at[name] for name in ("WRONG", "OBJECT", "LABEL", "QUERY", "END")] == [1, 8, 12, 15, 17]
