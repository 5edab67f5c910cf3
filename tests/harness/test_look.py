"""Pictures of cells from the store: which circuit belongs to which weights."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest

from bench.board import CellRecord
from bench.explanation import Explanation
from bench.harness.cells import ModelChoice
from bench.harness.keys import weights_digest
from bench.harness.look import GONE, NATURAL, StoredLooks, provenance_of
from bench.harness.store import Store
from bench.registry import discover
from tasks.ioi import IOI

KEY = "0" * 32
NODES = ("a0.h0", "m0", "a1.h0")


@pytest.fixture(scope="module")
def registries():
    return discover()


@pytest.fixture(scope="module")
def model():
    path = IOI().planted()[0]
    return ModelChoice("planted", str(path), weights_digest(path), seed=0, planted=True)


def stored(root, model, key=KEY, **changes):
    """A store with one cell, and its record."""
    record = {
        "track": "circuit", "task": "ioi", "model": "planted", "model_seed": 0, "data_seed": 0, "method_seed": None,
        "method": "eap", "method_baseline": False, "level": "node", "counterfactual": "s2_io_flip", "split": "test",
        "planted": model.planted, "key": key,
    }  # fmt: skip
    cell = {
        "key": key, "status": "ok", "record": record, "written": 1767312000.0,
        "configuration": {"task": {"name": "ioi"}, "model": asdict(model), "method": {}},
        "provenance": {
            "versions": {"torch": "2.6.0"}, "revision": "abc",
            "hardware": {"processor": "Z80", "cores": 1, "host": "me"},
        },
    } | changes  # fmt: skip
    scores = np.array([[1, 2], [-4, 1], [0.5, 0]], dtype=np.float32)
    explanation = Explanation("node", NODES, scores, "ioi", "1", "planted", "r", "eap", "1", "s2_io_flip")
    with Store(root) as store:
        store.save_explanation(key, explanation, cell)
    return Store(root), CellRecord(**record, status="ok", reason="")


def test_a_planted_cell_has_its_scores_and_the_roles_of_its_own_weights(tmp_path, model, registries):
    store, record = stored(tmp_path, model)
    found = StoredLooks([Store(tmp_path / "none"), store], registries)(record)
    assert found.scores == {"a0.h0": 3, "m0": -3, "a1.h0": 0.5}
    assert found.roles["m0"] == "required" and found.roles["a5.h0"] == "negative" and not found.why
    assert found.circuit == model.revision


def test_where_the_directory_is_gone_the_shipped_model_with_these_weights_is_taken(tmp_path, model, registries):
    store, record = stored(tmp_path, replace(model, path=str(tmp_path / "gone")))
    assert StoredLooks([store], registries)(record).roles["m0"] == "required"


def test_a_circuit_of_other_weights_is_never_shown(tmp_path, model, registries):
    store, record = stored(tmp_path, replace(model, revision="f" * 64))
    found = StoredLooks([store], registries)(record)
    assert found.scores and found.roles is None and found.why == GONE


def test_a_natural_model_has_no_circuit_and_says_so(tmp_path, model, registries):
    store, record = stored(tmp_path, replace(model, planted=False))
    found = StoredLooks([store], registries)(record)
    assert found.scores and found.roles is None and found.why == NATURAL


def test_what_cannot_be_read_is_said_and_stops_nothing(tmp_path, model, registries):
    store, record = stored(tmp_path, model)
    looks = StoredLooks([store], registries)
    assert "not in the store" in looks(replace(record, key="1" * 32)).why
    (tmp_path / "explanations" / KEY / "scores.safetensors").write_bytes(b"short")
    assert looks(record).why == "the explanation cannot be read" and not looks(record).scores


def test_provenance_counts_versions_hardware_and_days_and_names_no_machine(tmp_path, model):
    store, _ = stored(tmp_path, model)
    found = provenance_of([*store.cells(), {"record": {}, "status": "failed"}])
    assert found.cells["torch"] == {"2.6.0": 1} and found.cells["run on"] == {"2026-01-02": 1}
    assert found.cells["hardware"] == {"processor Z80, cores 1": 1}
    assert found.models == [("ioi", "planted", "0", "abc")] and set(found.boards) == {"code (SHA-256)"}
