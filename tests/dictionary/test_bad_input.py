"""What a user gets for dictionaries, texts, models and targets that cannot be: an error that says what to do, or a row.

Each is tried on the methods as they are called; then `bench run` turns some of them into rows and an exit code.
"""

import json
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bench.cli.main import main
from bench.data import batches
from bench.dictionary.dictionary import Dictionary, DictionaryError
from bench.dictionary.files import save
from bench.dictionary.text import TextError, read_texts
from bench.dictionary.training.errors import TrainingError
from bench.engine import Engine
from bench.method import Skip
from methods.dictionaries.dictionary_file import DictionaryFile
from methods.dictionaries.sae_relu import SaeRelu
from methods.dictionaries.sae_topk import SaeTopK
from tests.engine.tiny import tiny
from tests.methods.linear import job
from tests.methods.test_dictionaries import rows

torch.set_num_threads(1)
SMALL = {"steps": 30, "batch_size": 64, "expansion": 1.0, "l0": 4.0}


class Letters:
    """A tokenizer of one token per letter."""

    bos_token_id, eos_token_id = None, 0

    def __call__(self, text, add_special_tokens=False):
        return {"input_ids": [3 + ord(letter) % 20 for letter in text]}


def made(engine):
    return replace(job(engine, rows(24)), batches=lambda split: batches(rows(24), "other", 4))


@pytest.fixture(scope="module")
def here():
    engine = Engine(tiny("gpt2"), check=False)
    engine.tokenizer = Letters()
    return made(engine)


def saved(folder: Path, d: int, site: str = "stream1") -> str:
    eye = torch.eye(d)
    save(Dictionary("relu", site, {"W_enc": eye, "W_dec": eye, "b_enc": eye[0] * 0, "b_dec": eye[0] * 0}), folder)
    return str(folder)


def test_shapes_that_do_not_fit_the_site(here, tmp_path):
    with pytest.raises(DictionaryError, match="has 8 dimensions at stream1, where the model has 32"):
        DictionaryFile(path=saved(tmp_path / "narrow", 8)).explain(here)
    with pytest.raises(DictionaryError, match="has 32 dimensions at n1, where the model has"):
        DictionaryFile(path=saved(tmp_path / "neurons", 32, "n1")).explain(here)
    with pytest.raises(DictionaryError, match="the model has no stream9"):
        DictionaryFile(path=saved(tmp_path / "deep", 32, "stream9")).explain(here)


def test_a_pickle_and_the_way_out(here, tmp_path):
    (tmp_path / "ae.pt").write_bytes(pickle.dumps({"W_enc": 1}))
    with pytest.raises(DictionaryError, match=r"ae\.pt is a pickle.*weights_only=True.*sae_weights\.safetensors"):
        DictionaryFile(path=str(tmp_path)).explain(here)


def test_a_text_shorter_than_the_context(here, tmp_path):
    (tmp_path / "short.txt").write_text("a few words")
    with pytest.raises(TextError, match="the text has 11 tokens, fewer than one context of 128"):
        SaeTopK(text=str(tmp_path / "short.txt"), **SMALL).explain(here)
    with pytest.raises(TextError, match="fills 1 context; 2 are needed"):
        SaeTopK(text=str(tmp_path / "short.txt"), context=10, **SMALL).explain(here)
    (tmp_path / "empty.txt").write_text("")
    with pytest.raises(TextError, match="the text has 0 tokens"):
        SaeTopK(text=str(tmp_path / "empty.txt"), **SMALL).explain(here)


@pytest.mark.parametrize("name", ["nowhere.txt", "./nowhere", "nowhere.csv"])
def test_a_text_that_is_not_there(name, here, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TextError, match="no such text"):
        SaeTopK(text=name, **SMALL).explain(here)


def test_a_directory_that_is_no_data_set(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(TextError, match="folder cannot be read as a data set"):
        list(read_texts(str(tmp_path / "folder")))


def test_activations_that_are_no_numbers():
    model = tiny("gpt2")
    with torch.no_grad():
        model.transformer.h[0].mlp.c_fc.bias[0] = float("nan")
    with pytest.raises(TrainingError, match=r"activations at m0 are not finite at \d+ of \d+ tokens \(contexts"):
        SaeTopK(site="m0", **SMALL).explain(made(Engine(model, check=False)))


def test_an_l0_that_cannot_be_reached_names_the_step(here):
    with pytest.raises(TrainingError, match=r"L0 target 0\.01 was not reached: it is .* after step 30 of 30"):
        SaeRelu(**{**SMALL, "l0": 0.01}, tune=0.0).explain(here)
    with pytest.raises(ValueError, match="l0=99: a dictionary of 32 latents has between 0 and 32"):
        SaeTopK(**{**SMALL, "l0": 99.0}).explain(here)


@pytest.mark.parametrize(("site", "said"), [("m9", "the model has no m9"), ("middle", "'middle' is no site; write it")])
def test_sites_that_are_not_there_are_skipped_with_the_reason(site, said, here):
    with pytest.raises(Skip, match=said):
        SaeTopK(site=site, **SMALL).explain(here)


def outcomes(store: Path) -> dict[str, tuple[str, str]]:
    """By method: status and reason of the cells that have no explanation."""
    found = [json.loads(path.read_text()) for path in (store / "outcomes").glob("*.json")]
    return {one["record"]["method"].partition("[")[0]: (one["status"], one["reason"]) for one in found}


def test_bench_run_makes_rows_of_them(tmp_path, capsys):
    words = ["run", "task=ioi", "model=planted", "seed=0", "metric=l0", "threads=1", "task.sizes.train=40",
             "method.steps=20", "method.batch_size=64"]  # fmt: skip
    store = tmp_path / "store"
    assert main([*words, "method=sae_relu", "method.l0=0.01", "method.tune=0", f"store={store}"]) == 1
    assert main([*words, "method=sae_topk", "method.site=m99", f"store={store}"]) == 0
    found = outcomes(store)
    status, reason = found["sae_relu"]
    assert status == "failed" and "the L0 target 0.01 was not reached" in reason and "after step 20 of 20" in reason
    status, reason = found["sae_topk"]
    assert status == "skipped" and "the model has no m99" in reason
