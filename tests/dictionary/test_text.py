"""Reading and packing text."""

import json
from types import SimpleNamespace

import pytest
import torch

from bench.dictionary.text import TextError, pack, read_texts, split


class Letters:
    """A token per character."""

    def __init__(self, bos=None, eos=None):
        self.bos_token_id, self.eos_token_id = bos, eos

    def __call__(self, text, add_special_tokens):
        assert add_special_tokens is False
        return {"input_ids": [ord(letter) - 96 for letter in text]}


def test_documents_are_packed_end_to_end_with_what_stands_between_them():
    assert pack(Letters(), ["abc", "de", "fgh"], 4).tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]
    assert pack(Letters(eos=0), ["abc", "de"], 3).tolist() == [[1, 2, 3], [0, 4, 5]]
    assert pack(Letters(bos=99, eos=0), ["abc", "de"], 3).tolist() == [[99, 1, 2], [99, 3, 0], [99, 4, 5]]
    assert pack(Letters(bos=99), ["ab", "cd"], 3, most=1).tolist() == [[99, 1, 2]]


def test_reading_stops_where_there_is_enough():
    def endless():
        while True:
            yield "abcdef"

    assert pack(Letters(), endless(), 5, most=7).shape == (7, 5)


def test_text_that_is_too_short_says_how_short():
    with pytest.raises(TextError, match="has 5 tokens, fewer than one context of 8"):
        pack(Letters(), ["abc", "de"], 8)
    with pytest.raises(TextError, match="fills 1 context; 2 are needed"):
        split(pack(Letters(), ["abcdefgh"], 8))
    with pytest.raises(TextError, match="contexts of 1 tokens"):
        pack(Letters(), ["abc"], 1)


def test_every_tenth_context_is_held_out_wherever_the_text_ends():
    both = split(torch.arange(40).view(20, 2), 0.1)
    assert len(both.train) == 18 and both.held_out.tolist() == [[18, 19], [38, 39]]
    whole = split(torch.arange(1883)[:, None])
    assert len(whole.held_out) == 188 and len(whole.train) == 1883 - 188
    for n, share in ((1000, 0.1), (457, 0.1), (1883, 0.05)):
        part = split(torch.arange(n)[:, None], share).held_out
        assert set(part.flatten().tolist()) <= set(whole.held_out.flatten().tolist()), (n, share)
        assert len(part) == int(n * share + 1e-9)
    assert split(torch.arange(3)[:, None]).held_out.tolist() == [[2]]
    assert len(split(torch.zeros(2, 4), 0.9).train) == 1


def test_sources_of_every_kind(tmp_path):
    import datasets

    rows = [{"text": "one", "other": "x"}, {"text": "two", "other": "y"}]
    (tmp_path / "a.txt").write_text("one two")
    (tmp_path / "a.json").write_text(json.dumps(["one", "two"]))
    (tmp_path / "b.json").write_text(json.dumps(rows))
    (tmp_path / "c.jsonl").write_text("\n".join(map(json.dumps, rows)))
    datasets.Dataset.from_list(rows).save_to_disk(str(tmp_path / "saved"))
    assert list(read_texts(str(tmp_path / "a.txt"))) == ["one two"]
    for name in ("a.json", "b.json", "c.jsonl", "saved"):
        assert list(read_texts(str(tmp_path / name))) == ["one", "two"], name
    assert list(read_texts(f"{tmp_path / 'b.json'}:other")) == ["x", "y"]


def test_sources_that_cannot_be_read_are_clear_errors(tmp_path):
    (tmp_path / "a.json").write_text("{}")
    (tmp_path / "b.json").write_text("[")
    (tmp_path / "c.json").write_text('[{"story": "x"}]')
    for name, message in (
        ("a.json", "holds a dict"), ("b.json", "is no JSON"), ("c.json", r"no text in 'text' \(it has: story\)"),
        ("none.txt", "no such text"),
    ):  # fmt: skip
        with pytest.raises(TextError, match=message):
            list(read_texts(str(tmp_path / name)))


def test_a_hub_name_is_streamed_with_its_split_and_column(monkeypatch):
    asked = []

    def load_dataset(name, **options):
        asked.append((name, options))
        return [{"story": "one"}]

    monkeypatch.setitem(__import__("sys").modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    assert list(read_texts("someone/stories@validation:story")) == ["one"]
    assert asked == [("someone/stories", {"split": "validation", "streaming": True})]
