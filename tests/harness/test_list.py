"""`bench list`: what it says of tasks, their examples, and which of them fit a model."""

from __future__ import annotations

import re

import pytest
import torch
from transformers import AutoModelForCausalLM

from bench.cli.main import main
from bench.cli.plain import PlainTokenizer
from bench.registry import discover
from bench.task import SPLITS, DataRequest

REGISTRIES = discover()


def said(capsys, *words: str) -> tuple[int, str]:
    """The exit code, and what was printed."""
    code = main(["list", *words])
    return code, capsys.readouterr().out


def test_tasks_are_listed_with_source_chance_gate_counterfactuals_and_planted_seeds(capsys, plugin):
    code, text = said(capsys, "tasks")
    assert code == 0
    blocks = {block.split()[0]: block for block in re.split(r"\n(?=\S)", text)}
    assert set(blocks) == set(discover().tasks.names())
    ioi = REGISTRIES.tasks.load("ioi")()
    for word in ("Indirect-object", ioi.source, ioi.chance, "gate: accuracy 0.75", "s2_io_flip (default), abc"):
        assert word in blocks["ioi"]
    assert f"model.seed={','.join(map(str, ioi.planted()))}" in blocks["ioi"]
    assert "planted: none shipped" in blocks["gender"]
    assert "(toyplug)" in blocks["toy"] and any("BROKEN" in block for block in blocks.values())


@pytest.mark.parametrize("words", [["--examples", "ioi"], ["tasks", "--examples", "ioi"]])
def test_examples_of_a_task_with_its_planted_tokenizer(capsys, words):
    code, text = said(capsys, *words)
    ioi = REGISTRIES.tasks.load("ioi")
    assert code == 0 and text.startswith("ioi, read by the tokenizer of its planted model, seed 0")
    assert all(text.count(f"   {name} ") == 5 for name in ("clean", *ioi.counterfactuals, "positions"))
    assert len(re.findall(r"^\d[.] ", text, re.MULTILINE)) == 5


def test_examples_without_a_planted_model_are_read_word_by_word(capsys):
    code, text = said(capsys, "--examples", "gender", "task.templates=[went]", "data.seed=3")
    assert code == 0 and text.startswith("gender[templates=['went']], read word by word")
    assert text.count("One day, ") == 5 * 6
    assert text != said(capsys, "--examples", "gender", "task.templates=[went]", "data.seed=4")[1]


def test_line_breaks_in_prompts_are_shown_as_such(capsys):
    _, text = said(capsys, "--examples", "mcqa")
    assert r"?\nA. " in text and text.count("\n   clean ") == 5


def test_examples_of_every_task(capsys):
    code, text = said(capsys, "tasks", "--examples", *(f"task.sizes.{split}=6" for split in SPLITS))
    heads = re.findall(r"^(\w+)\[sizes.*\], read ", text, re.MULTILINE)
    assert code == 0 and heads == REGISTRIES.tasks.names()


def test_examples_that_cannot_be_made_are_an_error_where_they_were_asked_for_by_name(capsys, tiny_gpt2):
    model = ["model=hf", f"model.id={tiny_gpt2}"]
    code, text = said(capsys, "--examples", "gender", *model)
    assert code == 1 and text.startswith("gender: no template of gender can be read")
    code, text = said(capsys, "--examples", "task=gender", *model)
    assert code == 0 and text.startswith("gender: no template of gender can be read")


def test_which_tasks_fit_a_tokenizer_and_why_others_do_not(capsys, plugin, tiny_gpt2):
    code, text = said(capsys, "tasks", "model=hf", f"model.id={tiny_gpt2}", "task=toy,gender,sva")
    head, *lines = text.splitlines()
    assert code == 0 and head == "tasks on tiny:"
    assert re.match(r"toy +fits +6 train, 4 validation, 10 test examples; test: \d+ clusters, 3 to 5 tokens", lines[0])
    assert re.match(r"gender +no +no template of gender can be read by this tokenizer", lines[1])
    assert re.match(r"sva +no +no template of sva can be read by this tokenizer", lines[2])


def test_a_broken_task_is_said_to_have_failed_and_takes_no_other_with_it(capsys, plugin, tiny_gpt2):
    code, text = said(capsys, "tasks", "model=hf", f"model.id={tiny_gpt2}", "task=glob(toy*)")
    verdicts = {line.split()[0]: line.split()[1] for line in text.splitlines()[1:]}
    broken = [name for name, verdict in verdicts.items() if verdict == "failed"]
    assert code == 1 and verdicts["toy"] == "fits" and broken
    assert set(verdicts) == {name for name in discover().tasks.names() if name.startswith("toy")}


def test_tasks_without_weights_fit_too(capsys, plugin, tiny_gpt2, tmp_path):
    """Weights are not needed, so they are not read."""
    for file in tiny_gpt2.iterdir():
        if "safetensors" not in file.name:
            (tmp_path / file.name).write_bytes(file.read_bytes())
    code, text = said(capsys, "tasks", "model=hf", f"model.id={tmp_path}", "task=toy")
    assert code == 0 and " fits " in text
    assert main(["list", "tasks", "--measure", "model=hf", f"model.id={tmp_path}", "task=toy"]) == 2
    assert "it has no weights" in capsys.readouterr().err


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_measuring_holds_the_accuracy_against_the_gate(capsys, plugin, tiny_gpt2, seed):
    call = ["tasks", "--measure", "model=hf", f"model.id={tiny_gpt2}", "task=toy", "threads=1", f"data.seed={seed}"]
    accuracy = f"accuracy {_accuracy(tiny_gpt2, seed):.3f} on 10 test examples"
    code, text = said(capsys, *call, "task.gate=-0.1")
    assert code == 0 and f" passes   {accuracy}, gate -0.1; screening kept numbers 100%" in text
    code, text = said(capsys, *call, "task.gate=1.1")
    assert code == 0 and f" gated    {accuracy}, gate 1.1" in text


def test_measuring_a_narrow_model_takes_one_thread_unless_more_are_asked_for(capsys, plugin, tiny_gpt2):
    call = ["tasks", "--measure", "model=hf", f"model.id={tiny_gpt2}", "task=toy", "task.gate=-0.1"]
    before, found = torch.get_num_threads(), []
    try:
        for words in (["threads=2"], []):
            assert said(capsys, *call, *words)[0] == 0
            found.append(torch.get_num_threads())
    finally:
        torch.set_num_threads(before)
    assert found == [2, 1]


def test_measuring_says_which_task_does_not_fit(capsys, tiny_gpt2):
    code, text = said(capsys, "tasks", "--measure", "model=hf", f"model.id={tiny_gpt2}", "task=gender", "threads=1")
    assert code == 0 and re.search(r"^gender +no +no template of gender can be read by this tokenizer", text, re.M)


def _accuracy(model, seed: int) -> float:
    """The toy task's, from transformers alone."""
    network = AutoModelForCausalLM.from_pretrained(model).eval()
    rows = discover().tasks.load("toy")().build(None, DataRequest(seed=seed)).split("test")
    right = 0
    for row in rows:
        with torch.no_grad():
            logits = network(torch.tensor([row["ids"]])).logits[0, -1]
        right += bool(logits[row["answer_id"]] > logits[row["wrong_id"]])
    return right / len(rows)


def test_the_planted_models_are_measured_where_no_model_is_named(capsys):
    code, text = said(capsys, "tasks", "--measure", "task=ioi,gender", "seed=0,12345")
    first, second = text.split("tasks on the planted models, seed 12345:")
    assert code == 0 and re.search(r"ioi +passes +accuracy 1[.]000 on 200 test examples, gate 0.75", first + second)
    assert "no planted model of ioi with seed 12345" in first + second
    assert "gender has no planted models" in first + second


def test_the_plain_tokenizer_reads_words_numbers_and_marks():
    plain = PlainTokenizer()
    ids = plain("The year 1732, to 17")["input_ids"]
    assert plain.decode(ids) == "The year 17 32 , to 17"
    assert plain(["to 17", "1732"])["input_ids"] == [ids[-2:], ids[2:4]]
    assert plain("cat^dog^\ncat 123 5")["input_ids"][0] == plain("cat")["input_ids"][0]
    assert plain.decode(plain("a>b\n12345")["input_ids"]) == "a > b 12345"
    assert (plain.convert_tokens_to_ids("year"), plain.convert_tokens_to_ids("gone")) == (ids[1], None)
    assert len(plain) == len({*plain.decode(range(len(plain))).split()})
