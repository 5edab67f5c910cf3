"""Path-finding: the trees are read again from the prompts' text alone, on four kinds of tokenizers."""

from __future__ import annotations

import json
import re
from collections import Counter
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from bench.task import SPLITS, DataRequest, TaskData, TaskError
from tasks.path_finding import PathFinding
from tasks.path_finding.fillers import CAPITALS, LETTERS, NUMBERS, PLANTED_NAMES, PLANTED_TEMPLATES
from tasks.path_finding.task import find_positions
from tasks.path_finding.templates import TEMPLATES, glued
from tasks.path_finding.trees import grow
from tests.tasks.tokenizers import word_level_of

SIZES = {"train": 24, "validation": 24, "test": 60}
ROOMS = ["Rooms", "leads", "To", "get", "from", "to", "first", "go"]


def trained(parts: list[Any], decoder: Any, bos: bool, names: tuple[str, ...]) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(parts)
    tokenizer.decoder = decoder
    special, alphabet = ["<pad>", "<unk>", "<s>"], pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=3000, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    lines = "".join(f"{name}>{name},{name}|{name}:{name}>\n" for name in names)
    rooms = "".join(f"Rooms: {name} leads to {name}. To get from {name} to {name}, first go to " for name in names)
    tokenizer.train_from_iterator([lines, rooms] * 3, trainer)
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 2)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", pad_token="<pad>")


@cache
def tokenizer_of(kind: str) -> PreTrainedTokenizerFast:
    if kind == "word_level":
        return word_level_of([*">,|:.", *ROOMS, *NUMBERS])
    if kind == "planted":
        return word_level_of([*">:", *PLANTED_NAMES])
    if kind == "metaspace":
        parts = [pre_tokenizers.Metaspace(prepend_scheme="always"), pre_tokenizers.Punctuation()]
        return trained(parts, decoders.Metaspace(), True, NUMBERS)
    if kind == "digits":
        parts = [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        return trained(parts, decoders.ByteLevel(), False, CAPITALS)
    # as GPT-2: a text splits into words and signs first, so that a line's end goes with no name
    return trained([pre_tokenizers.ByteLevel(add_prefix_space=False)], decoders.ByteLevel(), kind == "bos", NUMBERS)


KINDS = ("word_level", "planted", "byte_level", "bos", "digits", "metaspace")


@cache
def data(kind: str, nodes: int = 8, depth: int = 3) -> TaskData:
    return PathFinding(nodes=nodes, depth=depth).build(tokenizer_of(kind), DataRequest(sizes=SIZES))


def rows(found: TaskData) -> list[dict[str, Any]]:
    return [row for split in SPLITS for row in found.split(split)]


def read(prompt: str) -> tuple[dict[str, str], str, str]:
    """From the text: each node's parent, the root and the goal."""
    if prompt.startswith("Rooms"):
        edges = re.findall(r"(\w+) leads to (\w+)", prompt)
        asked = re.search(r"from (\w+) to (\w+), first go to$", prompt)
        assert asked is not None
        root, goal = asked.groups()
    else:
        *pairs, query = re.split(r"[\n,|]", prompt)
        edges = [tuple(pair.split(">")) for pair in pairs]
        goal, root, rest = re.split(r"[:>]", query)
        assert rest == ""
    parents = {child: parent for parent, child in edges}
    assert len(parents) == len(edges)
    return parents, root, goal


def way(parents: dict[str, str], root: str, goal: str) -> list[str]:
    """The nodes from the root (left out) to the goal, searched from the root down."""
    for child in [c for c, p in parents.items() if p == root]:
        if child == goal:
            return [child]
        if rest := way(parents, child, goal):
            return [child, *rest]
    return []


@pytest.mark.parametrize(
    ("kind", "nodes", "depth"), [*((kind, 8, 3) for kind in KINDS), ("word_level", 8, 4), ("byte_level", 5, 2)]
)
def test_answers_follow_from_the_text(kind: str, nodes: int, depth: int) -> None:
    for row in rows(data(kind, nodes, depth)):
        for name, prompt in [("clean", row), *row["counterfactuals"].items()]:
            parents, root, goal = read(prompt["prompt"])
            path = way(parents, root, goal)
            assert len({root, *parents}) == nodes
            assert root not in parents and goal not in parents.values()
            assert 2 <= len(path) <= depth
            assert max(len(way(parents, root, node)) for node in parents) <= depth
            assert prompt["answer"] == path[0]
            steps = [*path[-2::-1], *[""] * depth][: depth - 1]
            for i, step in enumerate(steps, 1):
                assert prompt["values"][f"A{i}"] == step
            assert (prompt["values"]["root"], prompt["values"]["goal"]) == (root, goal)
            assert dict(e.split(">")[::-1] for e in prompt["values"]["tree"].split()) == parents
            assert len(prompt["ids"]) == len(row["ids"])
            assert (prompt["prompt"] == row["prompt"]) == (name == "clean")
        parents, root, _ = read(row["prompt"])
        assert parents[row["wrong"]] == root and row["wrong"] != row["answer"]
        assert row["wrong"] in parents.values(), "the wrong branch goes on, too"


@pytest.mark.parametrize("kind", KINDS)
def test_ids_and_positions_are_those_of_the_nodes(kind: str) -> None:
    for row in rows(data(kind)):
        at, ids = row["positions"], row["ids"]
        assert ids[at["ANSWER"]] == row["answer_id"]
        assert ids[at["WRONG"]] == row["wrong_id"]
        assert ids[at["LEAF"]] == ids[at["GOAL"]] and at["LEAF"] < at["GOAL"]
        assert at["END"] == len(ids) - 1
        edges = [edge.split(">") for edge in row["values"]["tree"].split()]
        children = [child for _, child in edges]
        order = sorted(("ANSWER", "WRONG", "LEAF"), key=lambda name: at[name])
        named = {"ANSWER": row["answer"], "WRONG": row["wrong"], "LEAF": row["values"]["goal"]}
        assert order == sorted(named, key=lambda name: children.index(named[name]))


def test_counterfactuals_are_what_they_are_called() -> None:
    shared = 0
    for row in rows(data("word_level")):
        parents, root, goal = read(row["prompt"])
        seen = {name: read(c["prompt"]) for name, c in row["counterfactuals"].items()}
        assert seen["goal"][:2] == (parents, root)
        assert row["counterfactuals"]["goal"]["answer"] == row["counterfactuals"]["swap"]["answer"] == row["wrong"]
        changed, *same = seen["swap"]
        assert same == [root, goal]
        moved = [child for child in parents if parents[child] != changed[child]]
        assert len(moved) == 2 and [changed[m] for m in moved] == [parents[m] for m in moved[::-1]]
        levels = [way(parents, root, node) for node in moved]
        assert len(levels[0]) == len(levels[1]) >= 2
        names = {root: seen["relabel"][1], **dict(zip(parents, seen["relabel"][0], strict=True))}
        assert all(name != new for name, new in names.items())
        assert set(names) == set(names.values())
        assert {names[c]: names[p] for c, p in parents.items()} == seen["relabel"][0]
        shared += bool({root, *parents} & {seen["random"][1], *seen["random"][0]})
    assert shared == 0, "there are names enough for others"


def test_interchanging_what_a_counterfactual_changes_gives_its_answer() -> None:
    model = PathFinding.causal_model
    defined = Counter()
    for row in rows(data("planted")):
        base = row["values"]
        for name, other in row["counterfactuals"].items():
            source = other["values"]
            assert model.interchange(base, source, "answer") == {**base, "answer": other["answer"]}
            parents, root, _ = read(row["prompt"])
            for step in ("A1", "A2"):
                got = model.interchange(base, source, step)
                node = source[step]
                path = way(parents, root, node) if node and base[step] else []
                in_reach = 0 < len(path) <= {"A1": 2, "A2": 1}[step]
                assert got["answer"] == (path[0] if in_reach else "")
                assert got[step] == node
                assert step == "A1" or got["A1"] == base["A1"]
                if name in ("goal", "swap") and base[step] and base[step] != node:
                    assert got["answer"] == other["answer"] == row["wrong"]
                    defined[name, step] += 1
    assert min(defined[name, step] for name in ("goal", "swap") for step in ("A1", "A2")) > 20
    with pytest.raises(KeyError, match="no variable 'A3'"):
        model.interchange({}, {}, "A3")


def test_a_case_by_hand() -> None:
    """1>2, 2>3, 3>4 and 1>5, 5>6, 6>7, 1>8; from 4 and from 7."""
    tree = "1>2 2>3 3>4 1>5 5>6 6>7 1>8"
    base = {"root": "1", "goal": "4", "tree": tree, "A1": "3", "A2": "2", "answer": "2"}
    source = {"root": "1", "goal": "7", "tree": tree, "A1": "6", "A2": "5", "answer": "5"}
    model = PathFinding().causal_model
    assert model.interchange(base, source, "A1") == {**base, "A1": "6", "A2": "5", "answer": "5"}
    assert model.interchange(base, source, "A2") == {**base, "A2": "5", "answer": "5"}
    above = {**source, "A1": "8", "A2": "", "answer": "8"}
    assert model.interchange(base, above, "A1") == {**base, "A1": "8", "A2": "", "answer": "8"}
    assert model.interchange(base, above, "A2")["answer"] == ""
    assert model.interchange(base, {**source, "A1": "1"}, "A1")["answer"] == ""
    assert model.interchange(base, {**source, "A1": "7"}, "A1")["answer"] == "", "two steps from 7 miss the root"


def test_no_shortcut_beats_chance() -> None:
    """Neither the place of an edge, nor how much is below a child, nor how often it is said tells the answer."""
    found = PathFinding(templates=["lines"], screen_prompts=0)
    wins = Counter[str]()
    drawn = found.build(tokenizer_of("word_level"), DataRequest(sizes={"test": 1000})).split("test")
    for row in drawn:
        parents, root, goal = read(row["prompt"])
        order, pair = list(parents), (row["answer"], row["wrong"])
        below = {c: sum(c in way(parents, root, node) for node in parents) for c in pair}
        wins["first"] += order.index(pair[0]) < order.index(pair[1])
        wins["bigger"] += below[pair[0]] > below[pair[1]] or (below[pair[0]] == below[pair[1]]) / 2
        said = {c: row["prompt"].count(c) for c in pair}
        wins["said"] += said[pair[0]] > said[pair[1]] or (said[pair[0]] == said[pair[1]]) / 2
        ends = {c: max(order.index(n) for n in parents if c in way(parents, root, n)) for c in pair}
        wins["last"] += ends[pair[0]] > ends[pair[1]]
        near = {c: abs(order.index(c) - order.index(goal)) for c in pair}
        wins["near"] += near[pair[0]] < near[pair[1]] or (near[pair[0]] == near[pair[1]]) / 2
    for name, count in wins.items():
        assert abs(count / 1000 - 0.5) < 0.06, name


def test_goals_are_of_every_depth_alike() -> None:
    for nodes, depth, by_two in ((8, 3, 30), (7, 2, 60)):
        depths = Counter(len(way(*read(p))) for p in data("planted", nodes, depth).split("test")["prompt"])
        assert depths[2] == by_two
    deep = [grow(np.random.default_rng(i), list("abcdefgh"), 4, 4) for i in range(40)]
    assert Counter(len(way(p.parents, p.root, p.goal)) for p in deep).keys() == {3, 4}


@pytest.mark.parametrize("kind", KINDS)
def test_splits_share_no_names_and_test_has_clusters(kind: str) -> None:
    found, said = data(kind), dict[str, set[str]]()
    for split in SPLITS:
        values = [p["values"] for r in found.split(split) for p in [r, *r["counterfactuals"].values()]]
        said[split] = {name for v in values for name in re.findall(r"\w+", v["tree"])}
    assert not any(said[a] & said[b] for a, b in combinations(SPLITS, 2))
    assert len(set(found.split("test")["cluster"])) >= 40
    for row in found.split("test"):
        _, root, goal = read(row["prompt"])
        assert row["cluster"] == f"{root}>{goal}"


def test_what_each_tokenizer_keeps() -> None:
    """With ``prepend_scheme="always"`` a name behind ``>`` has no space, but one at the start of a text does."""
    kept = {kind: {row["template"] for row in rows(data(kind))} for kind in KINDS}
    assert kept["word_level"] == kept["byte_level"] == kept["bos"] == kept["digits"] == set(TEMPLATES)
    assert kept["planted"] == set(PLANTED_TEMPLATES)
    assert kept["metaspace"] == {"rooms"}
    names = {name for row in rows(data("digits")) for name in re.findall(r"\w+", row["values"]["tree"])}
    assert names == set(CAPITALS)


def test_small_letters_stand_beside_capitals_where_these_do_not_suffice() -> None:
    found = PathFinding(nodes=10).build(word_level_of([*">:", *LETTERS]), DataRequest(sizes=SIZES))
    assert {row["answer"].islower() for row in rows(found)} == {True, False}


def test_errors_say_what_is_missing() -> None:
    def build(task: PathFinding, words: list[str]) -> TaskData:
        return task.build(word_level_of(words), DataRequest(sizes=SIZES))

    with pytest.raises(TaskError, match=r"26 names of one known token are needed .*, 25 are there"):
        build(PathFinding(), [*">:", *NUMBERS[:25]])
    build(PathFinding(), [*">:", *NUMBERS[:26]])
    with pytest.raises(TaskError, match="does not know the words or signs of any template"):
        build(PathFinding(), [">", *NUMBERS])
    with pytest.raises(TaskError, match="no template 'line'"):
        build(PathFinding(templates=["line"]), [*">:", *NUMBERS])
    with pytest.raises(TaskError, match=r"task.nodes is 5; .* 3 \(task.depth\) and 2 edges deep, need 6"):
        PathFinding(nodes=5)
    with pytest.raises(TaskError, match="task.depth is 1"):
        PathFinding(depth=1)


def test_screening_drops_what_the_model_gets_wrong() -> None:
    tokenizer = tokenizer_of("word_level")
    rooms, ten = tokenizer("Rooms")["input_ids"][0], tokenizer("10")["input_ids"][0]

    def choose(prompts: list[list[int]], candidates: list[list[int]]) -> list[int]:
        right = [rooms in ids and ten not in pair for ids, pair in zip(prompts, candidates, strict=True)]
        return [pair[0 if good else 1] for good, pair in zip(right, candidates, strict=True)]

    found = PathFinding().build(tokenizer, DataRequest(sizes=SIZES, choose=choose))
    assert {row["template"] for row in rows(found)} == {"rooms"}
    assert "10" not in {name for row in rows(found) for name in re.findall(r"\d+", row["prompt"])}
    assert found.kept["names_screened"] == pytest.approx(89 / 90)


def test_positions_are_found_in_the_users_own_prompts() -> None:
    assert find_positions("1>2,1>3,2>4|4:1>", "2", "3") == {"GOAL": (12, 13), "ROOT": (14, 15)}
    assert find_positions("1>2;1>3", "2", "3") is None


@pytest.mark.parametrize("kind", KINDS)
def test_the_tasks_own_examples_are_read_alike_as_the_users(kind: str, tmp_path: Path) -> None:
    lines = [
        {"prompt": row["prompt"], "answer": row["answer"], "wrong": row["wrong"], "split": split}
        | {"cluster": f"{split}{i}", "counterfactual": {"own": row["counterfactuals"]["goal"]["prompt"]}}
        | {"counterfactual.own.answer": row["counterfactuals"]["goal"]["answer"]}
        for split in SPLITS
        for i, row in enumerate(data(kind).split(split))
    ]
    (tmp_path / "own.jsonl").write_text("\n".join(map(json.dumps, lines)))
    found = PathFinding().build(tokenizer_of(kind), DataRequest(source=str(tmp_path / "own.jsonl")))
    for row, read_again in zip(rows(data(kind)), rows(found), strict=True):
        for name in ("prompt", "ids", "answer_id", "wrong_id"):
            assert read_again[name] == row[name]
        own = read_again["counterfactuals"]["own"]
        assert own["answer_id"] == row["counterfactuals"]["goal"]["answer_id"]
        assert read_again["positions"] == {name: row["positions"][name] for name in ("GOAL", "ROOT", "END")}


def test_answers_follow_without_a_space_where_the_sign_does() -> None:
    assert all(map(glued, ("1>2,1>3|3:1>", "10>23\n23:10>")))
    assert not any(map(glued, ("1 > 2, 3 : 1 >", "first go to", ">")))
