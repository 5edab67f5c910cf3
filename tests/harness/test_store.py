"""The store: what is written, what a full or locked disk does, what is swept."""

import errno
import os

import numpy as np
import pytest

from bench.explanation import Explanation
from bench.harness import files
from bench.harness.errors import CallError, StoreError, plain
from bench.harness.store import Store
from bench.metric import Measurement


def explanation(scale=1.0):
    scores = scale * np.arange(3, dtype=np.float32)
    return Explanation("node", ("a", "b", "c"), scores, "toy", "1", "tiny", "r", "m", "1", "swap")


CELL = {"key": "k", "record": {}, "status": "ok"}


def test_what_is_saved_comes_back(tmp_path):
    arrays = {"x": np.arange(4.0), "names": np.array(["a", "b"]), "flags": np.array([True, False])}
    measurement = Measurement("m", "1", "mean", "ok", "", arrays, ("c0", "c1"), {"size": 3})
    with Store(tmp_path / "s") as store:
        store.save_explanation("k", explanation(), CELL)
        store.save_score("k", "s", measurement, {"note": 1})
        assert store.cell("k") == CELL and store.status("k") == "ok" and store.status("l") == "missing"
        assert np.array_equal(store.explanation("k").scores, explanation().scores)
        ((key, found, meta),) = store.scores("k")
        assert (key, meta) == ("s", {"note": 1}) and store.score_status("k", "s") == "ok"
        assert (found.metric, found.ablation, found.clusters) == ("m", "mean", ("c0", "c1"))
        assert found.parameters == {"size": 3}
        assert all(np.array_equal(found.arrays[name], arrays[name]) for name in arrays)


def test_a_finished_cell_replaces_its_failure_and_a_second_finish_changes_nothing(tmp_path):
    with Store(tmp_path / "s") as store:
        store.save_outcome("k", {"key": "k", "status": "failed", "reason": "why"})
        assert store.status("k") == "failed"
        store.save_explanation("k", explanation(), CELL)
        store.save_explanation("k", explanation(2.0), {**CELL, "late": True})
        assert store.cell("k") == CELL and list(store.cells()) == [CELL]
        store.save_outcome("k", {"key": "k", "status": "failed", "reason": "why"})
        assert store.status("k") == "ok" and len(list(store.cells())) == 1


@pytest.mark.parametrize(("number", "said"), [(errno.ENOSPC, "disk is full"), (errno.EDQUOT, "quota")])
def test_a_full_disk_is_an_error_that_says_so_and_loses_nothing(tmp_path, monkeypatch, number, said):
    with Store(tmp_path / "s") as store:
        store.save_explanation("k", explanation(), CELL)

        def full(*_):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(files.os, "write", full)
        for save in (
            lambda: store.save_explanation("l", explanation(), CELL),
            lambda: store.save_outcome("l", CELL),
            lambda: store.save_score("k", "s", Measurement("m", "1", "mean", "ok"), {}),
        ):
            with pytest.raises(StoreError, match=said):
                save()
        monkeypatch.undo()
        assert [cell["key"] for cell in store.cells()] == ["k"] and list(store.scores("k")) == []
    assert list((tmp_path / "s" / "tmp").iterdir()) == []


def test_a_store_that_cannot_be_made_is_a_wrong_call(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CallError, match="choose another with store=PATH"):
        Store(tmp_path / "file").open()


def test_the_leftovers_of_the_dead_are_swept_and_those_of_the_living_are_not(tmp_path):
    root = tmp_path / "s"
    with Store(root) as living:
        dead = root / "tmp" / "dead"
        dead.mkdir()
        (dead / "half").write_text("x")
        with Store(root):
            names = {folder.name for folder in (root / "tmp").iterdir()}
            assert "dead" not in names and len(names) == 2
        living.save_explanation("k", explanation(), CELL)
    assert list((root / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no file /home/me/a/b.txt here", "no file b.txt here"),
        ("<X object at 0x7f00deadbeef>", "<X object at 0x...>"),
        ("see ../shared/models/tiny and ~/x/y.json", "see tiny and y.json"),
        ("edges / all edges, 1/2, a0.h1->m2", "edges / all edges, 1/2, a0.h1->m2"),
        ("EleutherAI/pythia-160m is unknown", "EleutherAI/pythia-160m is unknown"),
        ("C:\\Users\\me\\x.txt is gone", "x.txt is gone"),
        ("two\nlines", "two lines"),
    ],
)
def test_reasons_carry_no_paths_or_addresses(text, expected):
    assert plain(text) == expected
