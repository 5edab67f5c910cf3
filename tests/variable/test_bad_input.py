"""Bad input to the `variable` track through `bench run`: a row with its status and reason, or exit code 2."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from bench.board.rows import rows
from bench.cli.main import main
from bench.harness.records import read_records
from bench.harness.store import Store
from bench.variable.featurizer import Featurizer
from bench.variable.randomised import randomised
from methods.variables.difference_of_means import DifferenceOfMeans
from tasks.ioi import IOI
from tests.harness.conftest import PLUGIN

SIZES = {"train": 24, "validation": 24, "test": 40}
WRONG = {
    "task=ioi variable=Q method=pca": "unknown variable of ioi 'Q'",
    "task=ioi variable=D method=eap": "variable=D: no method of this call looks for a variable",
    "task=ioi variable=D,N method=eap,atp": "it has atp (circuit), eap (circuit)",
    "task=ioi variable=D method=logit_lens": "it has logit_lens (readout)",
    "task=ioi variable=D method=pca method.rank=0": "the method pca: rank=0: give at least 1",
    "task=ioi variable=D method=das method.rank=-1": "the method das: rank=-1: give at least 1",
    "task=ioi variable=D method=pca method.site=nonsense": "the method pca: 'nonsense' is no place",
    "task=ioi variable=D method=pca method.stream=heart": "the method pca: stream=heart: use one of stream, heads",
    "task=ioi variable=D method=pca method.curve=round": "the method pca: curve=round: use one of none, layers",
}


@dataclass
class Skewed(DifferenceOfMeans):
    """Hands over an encoder that does not undo its decoder."""

    name: ClassVar[str] = "v_skewed"

    def fit(self, data, place, seed):
        rows = np.eye(data.widths.of(place), dtype=np.float32)[:1]
        return Featurizer("linear", rows.shape[1], {"encoder": rows, "decoder": 2 * rows.T.copy()})


@pytest.fixture
def plugged(monkeypatch, tmp_path):
    """:class:`Skewed` as an installed distribution."""
    info = tmp_path / "site" / "skewed-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: skewed\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[bench.methods]\n{Skewed.name} = {Skewed.__module__}:Skewed\n")
    monkeypatch.syspath_prepend(str(info.parent))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Shared, so that floor and ceiling are found once."""
    return tmp_path_factory.mktemp("bad") / "results"


def run(store, *words, **sizes):
    """`bench run` on IOI; the exit code, and the rows of its board that are not baselines'."""
    counts = [f"task.sizes.{split}={n}" for split, n in {**SIZES, **sizes}.items()]
    code = main(["run", "task=ioi", "threads=1", "batch_size=64", f"store={store}", *counts, *words])
    board = rows(read_records(Store(store)))
    return code, board[~board.method.str.match("random|oracle")]


@pytest.mark.parametrize(("call", "said"), WRONG.items())
def test_a_wrong_call_ends_in_2_and_writes_nothing(call, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["run", *call.split(), "metric=interchange"]) == 2
    captured = capsys.readouterr()
    assert said in captured.err and "Traceback" not in captured.err
    assert not list(tmp_path.iterdir())


def test_methods_of_other_tracks_may_stand_beside_those_that_look_for_the_variable():
    from bench.cli.run import _plan

    plan, _, _ = _plan(["task=ioi", "variable=D", "method=eap,pca", "metric=interchange"])
    asked = [(cell.method.name, cell.method.variable) for cell in plan.cells if not cell.added]
    assert asked == [("eap", ""), ("pca", "D")]


def test_a_task_without_variables_is_a_skipped_row(tmp_path, monkeypatch):
    from bench.cli.run import _plan

    monkeypatch.syspath_prepend(str(PLUGIN))
    monkeypatch.setattr("toyplug.Nothing.variables", ())
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    plan, _, _ = _plan(["task=toy", "model=hf", f"model.id={tmp_path}", "method=pca", "metric=interchange"])
    (cell,) = (cell for cell in plan.cells if not cell.added)
    assert (cell.status, cell.reason) == ("skipped", "the causal model of toy has no variables")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("method=pca method.site=stream99@END", "the model has no stream99: 6 layers of 4 heads"),
        ("method=difference_of_means method.site=a1.h9@END", "the model has no a1.h9: 6 layers of 4 heads"),
        ("method=leace method.site=stream2@NOWHERE", "no position 'NOWHERE'; the examples have"),
        ("method=pca method.rank=65 method.site=stream2@S2", "rank=65: the vectors at stream2@S2 have only 64 dim"),
        ("method=lda method.rank=17 method.site=a1.h0@S2", "rank=17: the vectors at a1.h0@S2 have only 16 dim"),
        ("method=das method.rank=999 method.steps=2", "rank=999: the vectors at"),
    ],
)  # fmt: skip
def test_what_the_model_lacks_is_a_skipped_row(store, words, reason, capsys):
    code, board = run(store, "variable=D", "metric=interchange", *words.split())
    found = board[board.reason.str.contains(reason, regex=False)]
    assert code == 0 and len(found) == 1 and (found.status == "skipped").all()
    assert reason in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "sizes", "status", "reason"),
    [
        ("method=pca variable=D metric=interchange", {"validation": 5}, "skipped",
         r"^5 validation examples give \d+ pairs whose answer changes with D, of which \d are answered right on both "
         r"sides; 8 are needed to choose a site$"),
        ("method=pca variable=D metric=interchange", {"test": 12}, "undefined",
         r"12 test examples give \d+ pairs to cause with D, of which \d+ count \(the model is right on both sides\)"),
        ("method=das method.steps=2 variable=D metric=interchange", {"train": 5}, "skipped",
         r"^5 train examples give \d+ pairs .*, of which \d are answered right on both sides; 8 are needed to train$"),
        ("method=lda variable=D metric=interchange", {"train": 3}, "skipped",
         r"^3 train examples have [01] values? of D with at least 2 examples each, and 2 are needed: "
         r"(first|second) \d(, (first|second) 1)?"),
        ("method=pca variable=N metric=isolation", {}, "undefined",
         r"N alone makes the answer, and there is nothing to isolate it from|no two of 40 test examples"),
    ],
    ids=["validation", "test", "train", "one example", "answer"],
)  # fmt: skip
def test_examples_that_do_not_suffice_are_told_with_the_counts(store, words, sizes, status, reason):
    code, board = run(store, *words.split(), **sizes)
    found = board[board.reason.str.contains(reason)]
    assert code == 0 and len(found) == 1 and found.iloc[0].status == status, board[["status", "reason"]].to_string()


def test_a_value_with_one_example_is_left_out_and_named(store):
    code, board = run(store, "method=difference_of_means", "variable=N", "metric=interchange", train=60)
    assert code == 0
    assert (board[board.method == "difference_of_means"].status == "ok").any()
    kept = Store(store)
    keys = [cell["key"] for cell in kept.cells() if cell["status"] == "ok"]
    left_out = [kept.explanation(key).extra.get("left_out") for key in keys]
    assert any(left_out) and all(n == 1 for values in left_out if values for n in values.values())


def test_a_featurizer_that_cannot_be_inverted_is_a_failed_row(store, plugged):
    code, board = run(store, f"method={Skewed.name}", "variable=D", "metric=interchange")
    row = board[board.method == Skewed.name].iloc[0]
    assert code == 1 and row.status == "failed"
    assert row.reason == "FeaturizerError: cannot be inverted: encoder @ decoder is off the identity by 1"


def test_a_stored_featurizer_that_cannot_be_inverted_is_scored_as_a_failure(store, tmp_path):
    """What is in the store may be of any origin; it is checked again when it is scored."""
    own = tmp_path / "own"
    assert run(own, "method=difference_of_means", "variable=D", "method.site=stream2@S2", "metric=interchange")[0] == 0
    changed = 0
    for path in own.rglob("explanation.json"):
        if json.loads(path.read_text())["extra"].get("features", [{}])[0].get("kind") == "linear":
            tensors = load_file(path.with_name("scores.safetensors"))
            tensors["0.decoder"] = 3 * tensors["0.decoder"]
            save_file(tensors, path.with_name("scores.safetensors"))
            changed += 1
    assert changed
    assert main(["score", f"store={own}", "metric=steering", "threads=1"]) == 1
    board = rows(read_records(Store(own)))
    failed = board[(board.metric == "steering") & (board.status == "failed")]
    assert len(failed) == changed and failed.reason.str.contains("cannot be inverted: encoder @ decoder").all()


def test_a_model_that_answers_little_right_leaves_too_few_pairs_and_says_how_many(store, tmp_path):
    """The counts after filtering are those of the model: a shuffled one is right by chance alone."""
    from bench.engine import Engine

    folder = tmp_path / "shuffled"
    planted = IOI().planted()[0]
    shutil.copytree(planted, folder, ignore=shutil.ignore_patterns("circuit.json"))
    randomised(Engine.load(planted, check=False), 0).model.save_pretrained(folder)
    words = ["model=hf", f"model.id={folder}", "task.gate=0", "method=pca", "variable=D", "metric=interchange"]
    code, board = run(tmp_path / "own", *words)
    reason = board.iloc[0].reason
    assert code == 0 and board.iloc[0].status == "skipped"
    counts = [int(word) for word in reason.split() if word.isdigit()]
    assert counts[0] == 24 and counts[2] < 8 <= counts[1] and reason.endswith("8 are needed to choose a site")
