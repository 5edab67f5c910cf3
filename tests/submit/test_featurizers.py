"""Featurizers that are handed in: from a cell to a row beside its floor and ceiling; refusals name the place."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from bench.cli.main import main
from bench.explanation import load
from bench.harness.store import Store
from bench.submit import checking
from tests.submit.samples import ABOUT

SMALL = ["task.sizes.test=48", "task.sizes.train=16", "task.sizes.validation=16"]


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """What `full_vector` and `pca` hand over for IOI's variable I."""
    root = tmp_path_factory.mktemp("store")
    call = ["task=ioi", "variable=I", "method=full_vector,pca", "seed=0", "metric=interchange", f"store={root}"]
    assert main(["run", *call, *SMALL]) == 0
    found = {}
    for cell in Store(root).cells():
        found[cell["record"]["method"]] = load(root / "explanations" / cell["key"])
    return found


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def hand_in(folder, explanation, **changes):
    checking.write(folder, replace(explanation, method="mine", **changes), ABOUT)
    return str(folder)


def test_a_featurizer_becomes_a_row_beside_its_floor_and_ceiling(stored, place, capsys):
    hand_in(place / "mine", stored["full_vector"])
    assert main(["submit", "mine", "--check"]) == 0
    assert "mine: in order, the variable I at " in capsys.readouterr().out
    assert main(["submit", "mine", "metric=interchange", *SMALL]) == 0
    assert main(["run", "task=ioi", "variable=I", "method=identity", "seed=0", "metric=interchange", *SMALL]) == 0
    assert main(["board"]) == 0
    board = pd.read_csv(place / "leaderboards" / "variable.csv", keep_default_na=False, dtype=str)
    row = board[board.method == "mine[by=jane_doe]"].iloc[0]
    assert "variable=I]" in row.task and (row.status, row.mark) == ("ok", "public truth")
    assert row.site == stored["full_vector"].extra["site"] and float(row.score) > 0.9
    assert float(row.ceiling) == pytest.approx(1.0, abs=0.03) and float(row.floor) < 0.2


def test_the_digest_knows_the_tensors(stored, place):
    first = checking.read(place / hand_in(place / "a", stored["pca"]))
    assert checking.read(place / hand_in(place / "b", stored["pca"])).same_as(first)
    turned = {name: -tensor for name, tensor in stored["pca"].tensors.items()}
    assert not checking.read(place / hand_in(place / "c", stored["pca"], tensors=turned)).same_as(first)


def changed(explanation, **more):
    return {"extra": {**explanation.extra, **more}}


def described(explanation, **more):
    features = [{**explanation.extra["features"][0], **more}]
    return changed(explanation, features=features, site=features[0]["site"])


def tensor(explanation, name, value):
    return {"tensors": {**explanation.tensors, name: value}}


REFUSED = {
    "a variable": (lambda e: changed(e, variable="Z"), "extra: variable: 'Z' is none of"),
    "a site": (lambda e: changed(e, site="stream1@END"), "the chosen site stream1@END has no featurizer"),
    "no such layer": (lambda e: described(e, site="stream99@END"), "features[0]: 'the model has no stream99"),
    "no place": (lambda e: described(e, site="lm_head"), "is no place"),
    "a position": (lambda e: described(e, site="stream1@<b>"), "is no position's name"),
    "a kind": (lambda e: described(e, kind="module"), "kind 'module' is none of"),
    "code": (lambda e: described(e, code="import os"), "features[0]: is"),
    "another width": (lambda e: described(e, d=7), "extra: "),
    "another rank": (lambda e: described(e, rank=1000), "features[0]: rank: is 1000"),
    "a rank that is a text": (lambda e: changed(e, rank="1"), "extra: rank: is '1'"),
    "no inverse": (lambda e: tensor(e, "0.decoder", 2 * e.tensors["0.decoder"]), "cannot be inverted"),
    "a shape": (lambda e: tensor(e, "0.decoder", e.tensors["0.decoder"][:3]), "has the shape"),
    "a tensor too many": (lambda e: tensor(e, "1.encoder", np.ones((1, 2), np.float32)), "does not describe all"),
    "a tensor's name": (lambda e: tensor(e, "lm_head.weight", np.ones((1, 2), np.float32)), "names the tensors"),
    "doubles": (lambda e: tensor(e, "0.encoder", e.tensors["0.encoder"].astype(np.float64)), "dtype: is 'F64'"),
    "a component": (lambda e: {"components": ("m99@END", *e.components[1:])}, "components[0]: 'the model has no m99"),
    "a circuit's scores": (lambda e: {"track": "circuit"}, "level: is 'site', none of node, edge"),
}


@pytest.mark.parametrize(("change", "said"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_writes_nothing(stored, place, capsys, change, said):
    hand_in(place / "mine", stored["pca"], **change(stored["pca"]))
    assert main(["submit", "mine"]) == 2
    shown = capsys.readouterr().err
    assert said in shown and "Traceback" not in shown
    assert {path.name for path in place.iterdir()} == {"mine"}


def test_a_tensor_that_is_not_finite_or_overlaps_is_refused(stored, place, capsys):
    hand_in(place / "mine", stored["pca"])
    path = place / "mine" / "scores.safetensors"
    (place / "mine" / "submission.json").write_text(json.dumps({"schema": 1, **vars(ABOUT)}))
    data = path.read_bytes()
    path.write_bytes(data[:-4] + np.array([np.nan], dtype="<f4").tobytes())
    assert main(["submit", "mine"]) == 2 and "not finite" in capsys.readouterr().err
    path.write_bytes(data.replace(b'"data_offsets":[0,', b'"data_offsets":[4,', 1))
    assert main(["submit", "mine"]) == 2 and "data_offsets" in capsys.readouterr().err
