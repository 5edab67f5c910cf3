"""`bench regress` on another track: what is handed over beside scores is frozen too, and tracks stand side by side."""

import numpy as np
import pandas as pd
import pytest

from bench.cli.main import main
from bench.regress.frozen import FOLDER, read

SMALL = ["task=ioi", "seed=0", "task.sizes.train=16", "task.sizes.validation=16", "task.sizes.test=48"]


@pytest.fixture(scope="module")
def boards(tmp_path_factory):
    """Frozen from two stores, one after the other: a circuit and a variable."""
    where = tmp_path_factory.mktemp("regress")
    calls = {
        "circuits": ["method=atp", "metric=auroc"],
        "variables": ["method=pca", "variable=I", "metric=interchange"],
    }
    for name, call in calls.items():
        assert main(["run", *SMALL, *call, "permutations=0", f"store={where / name}"]) == 0
        assert main(["board", f"store={where / name}", f"out={where / 'boards'}", f"page={name}.html"]) == 0
        assert main(["regress", "--freeze", f"store={where / name}", f"boards={where / 'boards'}"]) == 0
    return where / "boards"


def test_freezing_one_track_leaves_the_others(boards, capsys):
    frozen = read(boards / FOLDER)
    assert {cell.record["track"] for cell in frozen.cells} == set(frozen.made) == {"circuit", "variable"}
    assert main(["regress", f"boards={boards}", f"out={boards / 'out'}"]) == 0
    assert "0 moved, 0 missing, 0 new" in capsys.readouterr().out
    rows = pd.read_csv(boards / "out" / "regress.csv")
    assert {"auroc", "interchange"} <= set(rows.metric) and "pca" in set(rows.method)


def test_a_featurizer_comes_back_with_its_tensors(boards):
    cell = next(cell for cell in read(boards / FOLDER).cells if cell.record["method"] == "pca")
    shapes = {name: tensor.shape for name, tensor in cell.explanation.tensors.items()}
    assert shapes and all(np.isfinite(tensor).all() for tensor in cell.explanation.tensors.values())
    assert any(len(shape) == 2 and max(shape) > 4 for shape in shapes.values())


def test_another_swap_is_caught(boards, monkeypatch):
    from bench.variable.featurizer import Featurizer

    right = Featurizer.swap
    monkeypatch.setattr(Featurizer, "swap", lambda self, base, source: right(self, base, base))
    assert main(["regress", f"boards={boards}", "metric=interchange", f"out={boards / 'out'}"]) == 1
    rows = pd.read_csv(boards / "out" / "regress.csv")
    assert "moved" in set(rows[rows.method.isin(["pca", "oracle"])].status)
