"""Examples of the user's own: every kind of source, and every mistake with its row and column."""

from __future__ import annotations

import csv
import json

import pytest
from datasets import Dataset, DatasetDict

from bench.task import SPLITS, DataRequest, TaskError
from tasks.ioi import IOI
from tests.tasks import support, tokenizers

NAMES = ("Mary", "John", "Tom", "Sue", "Ben", "Amy")


def rows(n: int = 20) -> list[dict[str, str]]:
    found = []
    for i in range(n):
        io, s = NAMES[i % 6], NAMES[(i + 1 + i // 6 % 5) % 6]
        found.append({
            "prompt": f"When {io} and {s} went to the store, {s} gave a ring to",
            "answer": io,
            "wrong": s,
            "counterfactual.s2_io_flip": f"When {io} and {s} went to the store, {io} gave a ring to",
            "counterfactual.s2_io_flip.answer": s,
        })  # fmt: skip
    return found


def write_csv(path, table, delimiter=","):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(table[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(table)
    return str(path)


def load(source, kind="word_level", **request):
    return IOI().build(support.KINDS[kind](), DataRequest(source=str(source), **request))


def load_rows(tmp_path, table, **request):
    return load(write_csv(tmp_path / "mine.csv", table), **request)


@pytest.mark.parametrize("kind", list(support.KINDS))
def test_a_csv_gives_the_same_columns_as_the_generator(tmp_path, kind):
    found = load(write_csv(tmp_path / "mine.csv", rows()), kind)
    made = support.data(kind).split("test")[0]
    tokenizer = support.KINDS[kind]()
    for row in support.rows(found):
        assert set(row) == set(made)
        flip = row["counterfactuals"]["s2_io_flip"]
        assert row["ids"] == tokenizer(row["prompt"])["input_ids"] and len(flip["ids"]) == len(row["ids"])
        assert [*row["ids"], row["answer_id"]] == tokenizer(f"{row['prompt']} {row['answer']}")["input_ids"]
        assert (flip["answer"], flip["answer_id"]) == (row["wrong"], row["wrong_id"])
        assert row["ids"][row["positions"]["IO"]] == row["answer_id"]
        assert row["ids"][row["positions"]["S2"]] == row["ids"][row["positions"]["S1"]] == row["wrong_id"]


def test_all_sources_give_the_same_examples(tmp_path):
    table = rows()
    expected = support.rows(load_rows(tmp_path, table))
    nested = [
        {**{k: r[k] for k in ("prompt", "answer", "wrong")}, "counterfactual": {
            "s2_io_flip": r["counterfactual.s2_io_flip"]}, "counterfactual.s2_io_flip.answer": r["wrong"]}
        for r in table
    ]  # fmt: skip
    (tmp_path / "flat.jsonl").write_text("\n".join(map(json.dumps, table)))
    (tmp_path / "nested.json").write_text("\n\n".join(map(json.dumps, nested)))
    Dataset.from_list(table).save_to_disk(str(tmp_path / "saved"))
    (tmp_path / "folder").mkdir()
    write_csv(tmp_path / "folder" / "train.csv", table)
    tabs = write_csv(tmp_path / "mine.tsv", table, "\t")
    for source in (tabs, *(tmp_path / name for name in ("flat.jsonl", "nested.json", "saved", "folder"))):
        assert support.rows(load(source)) == expected, source


def test_optional_columns_are_used(tmp_path):
    table = [
        {**row, "position.THING": "ring", "position.S2": f"{row['wrong']}#2", "position.LAST": "-1",
         "value.N": row["answer"], "counterfactual.s2_io_flip.value.N": row["wrong"], "template": "mine",
         "cluster": f"c{i % 10}"}
        for i, row in enumerate(rows())
    ]  # fmt: skip
    for row in support.rows(load_rows(tmp_path, table)):
        assert row["positions"] == {"THING": 12, "S2": 9, "LAST": 13, "END": 13}
        assert row["values"] == {"N": row["answer"]}
        assert row["counterfactuals"]["s2_io_flip"]["values"] == {"N": row["wrong"]}
        assert row["template"] == "mine" and row["cluster"].startswith("c")


def test_clusters_are_dealt_whole_and_sizes_are_upper_bounds(tmp_path):
    table = [{**row, "cluster": f"c{i % 10}"} for i, row in enumerate(rows(40))]
    found = load_rows(tmp_path, table, sizes={"train": 5, "test": 1000})
    clusters = [set(found.split(split)["cluster"]) for split in SPLITS]
    assert sum(map(len, clusters)) == len(set.union(*clusters))
    assert len(found.split("train")) == 5 and len(found.split("test")) == 16
    assert found.kept["rows"] == (5 + 16 + len(found.split("validation"))) / 40


def test_splits_can_be_given_by_column_or_by_data_set(tmp_path):
    parts = {"train": rows()[:8], "validation": rows()[8:12], "test": rows()[12:]}
    DatasetDict({s: Dataset.from_list(part) for s, part in parts.items()}).save_to_disk(str(tmp_path / "saved"))
    table = [{**row, "split": split} for split, part in parts.items() for row in part]
    for found in (load(tmp_path / "saved"), load_rows(tmp_path, table)):
        assert {split: found.split(split)["prompt"][:] for split in SPLITS} == {
            split: [row["prompt"] for row in part] for split, part in parts.items()
        }


def test_a_prompt_with_names_said_otherwise_has_only_its_end_as_position(tmp_path):
    table = rows()
    table[3]["prompt"] = table[3]["prompt"].replace("gave a ring", "gave the ring")
    table[4] |= {"prompt": "When Mary and John went to the store, Tom gave a ring to", "answer": "Sue", "wrong": "Amy"}
    assert all(set(row["positions"]) == {"END"} for row in support.rows(load_rows(tmp_path, table)))


def spoiled(row: int, **cells: str) -> list[dict[str, str]]:
    table = rows()
    for column, value in cells.items():
        table[row - 1][column.replace("cf", "counterfactual.s2_io_flip")] = value
    return table


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (spoiled(7, cf="When Mary and John went to the store"), "row 7, .*s2_io_flip': 8 tokens, its prompt has 14"),
        (spoiled(2, answer=""), "row 2, column 'answer': nothing there"),
        (spoiled(2, answer="Zoe"), "row 2, column 'answer': .*unknown to this tokenizer"),
        (spoiled(2, answer="Mary John"), "row 2, column 'answer': .*is 2 tokens"),
        (spoiled(3, wrong=rows()[2]["answer"]), "row 3, column 'wrong': .*same token"),
        ([{k: v for k, v in r.items() if k != "wrong"} for r in rows()], "no column 'wrong'; the columns are prompt"),
        ([{k: r[k] for k in ("prompt", "answer", "wrong")} for r in rows()], "no column 'counterfactual.NAME'"),
        ([{**r, "counterfactal.abc": "x"} for r in rows()], "'counterfactal.abc' .* did you mean 'counterfactual.'"),
        ([{**r, "position.S2": "Zoe"} for r in rows()], "row 1, column 'position.S2': the prompt says 'Zoe' 0 times"),
        ([{**r, "position.S2": "40"} for r in rows()], "row 1, column 'position.S2': 40 is outside .* 14 tokens"),
        ([{**r, "split": "train"} for r in rows()], "no rows for validation, test"),
        ([{**r, "split": "dev"} for r in rows()], "row 1, column 'split': 'dev' is none of train, validation, test"),
        ([{**r, "cluster": "one", "split": SPLITS[i % 3]} for i, r in enumerate(rows())], "row 2, .*'one' is in more"),
        (rows(2), "2 clusters cannot be dealt to 3 splits"),
    ],
)  # fmt: skip
def test_mistakes_are_named_by_row_and_column(tmp_path, table, message):
    with pytest.raises(TaskError, match=message):
        load_rows(tmp_path, table)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("mine.csv", "prompt,answer,wrong,prompt\n", "column 'prompt' is there twice"),
        ("mine.csv", "prompt,answer\na,b,c\n", "row 1 has 3 cells, the header has 2"),
        ("mine.csv", "prompt,answer,wrong\n", "holds no examples"),
        ("mine.jsonl", '{"prompt": "a"}\n[1]\n', "row 2 is no JSON object but list"),
        ("mine.jsonl", "{'prompt'", "row 1 is no JSON"),
        ("mine.txt", "words", "none of .csv"),
    ],
)
def test_files_that_cannot_be_read_say_where(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(TaskError, match=message):
        load(tmp_path / name)


def test_missing_sources_are_errors(tmp_path):
    with pytest.raises(TaskError, match="no file .*gone.csv"):
        load(tmp_path / "gone.csv")
    with pytest.raises(TaskError, match="neither a file .* nor a directory nor a hub name"):
        load(tmp_path / "gone")
    (tmp_path / "bytes.csv").write_bytes(b"prompt\n\xff\xfe")
    with pytest.raises(TaskError, match="'bytes.csv' cannot be read as UTF-8"):
        load(tmp_path / "bytes.csv")


def test_a_prompt_that_ends_with_whitespace_is_refused_where_it_changes_the_tokens(tmp_path):
    table = rows()
    table[0]["prompt"] += " "
    with pytest.raises(TaskError, match="row 1, column 'answer': .* ends with whitespace"):
        load(write_csv(tmp_path / "mine.csv", table), "byte_level")


def test_tokenizers_for_the_tests_are_what_they_claim():
    assert tokenizers.byte_level()(" Mary")["input_ids"] != tokenizers.byte_level()("Mary")["input_ids"]
    assert tokenizers.metaspace().tokenize("Mary") == ["\u2581Mary"]
    assert tokenizers.byte_level(bos=True)("Mary")["input_ids"][0] == 2
