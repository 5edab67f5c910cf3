"""The committed board of the `variable` track says what is said of it. Skipped where it is not made yet."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

BOARD = Path(__file__).parents[2] / "leaderboards" / "variable.csv"
DECOY = "[site=a3.h2@END]"
BY_TEMPLATE = ("ioi[variable=D]", "ioi[variable=I]")
"""Variables that one of the five planted models carries in a code of its own for two of the templates."""
PRETRAINED = {"gender[variable=G]": ("NAME", "END"), "ioi[variable=D]": ("S2", "END")}
"""Tasks on the pretrained model, with the positions where a variable is read and where it is used."""
pytestmark = pytest.mark.skipif(not BOARD.exists(), reason="leaderboards/variable.csv is not there")


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return pd.read_csv(BOARD, keep_default_na=False, na_values={"score": [""], "floor": [""], "ceiling": [""]})


@pytest.fixture(scope="module")
def planted(rows) -> pd.DataFrame:
    return rows[rows.planted == "yes"]


@pytest.fixture(scope="module")
def natural(rows) -> pd.DataFrame:
    found = rows[rows.planted == "no"]
    if found.empty:
        pytest.skip("the board was made without a pretrained model")
    return found


def score(rows, task, method, metric) -> float:
    found = rows[(rows.task == task) & (rows.method == method) & (rows.metric == metric) & (rows.status == "ok")]
    assert len(found) == 1, (task, method, metric)
    return float(found.score.iloc[0])


def values(rows, task, method, metric) -> list[float]:
    """The figures of the models that are pooled."""
    found = rows[(rows.task == task) & (rows.method == method) & (rows.metric == metric) & (rows.status == "ok")]
    assert len(found) == 1, (task, method, metric)
    return [float(value) for value in found["values"].iloc[0].split(";")]


def curve(rows, task, method, metric, position) -> dict[int, float]:
    """Figures by the layer that the stream enters: the chosen site's, and those of the others."""
    mine = rows[(rows.task == task) & (rows.method == method) & (rows.status == "ok")]
    found = {}
    for row in mine.itertuples():
        site = row.site if row.metric == metric else (re.search(r"site=([^,\]]+)\]$", row.metric) or ["", ""])[1]
        layer = re.fullmatch(rf"stream(\d+)@{position}", site)
        if layer and row.metric.partition("[")[0] == metric:
            found[int(layer[1])] = float(row.score)
    return found


def test_nothing_failed(rows):
    assert set(rows.status) <= {"ok", "undefined", "skipped"}


def test_the_truth_wins_and_a_random_rotation_does_not(planted):
    figures = planted[(planted.metric == "interchange") & (planted.status == "ok")]
    truth, random = (figures[figures.method == name] for name in ("oracle", "random"))
    assert len(truth) >= 7 and truth.score.min() >= 0.98
    for task in BY_TEMPLATE:
        across = sorted(values(planted, task, "oracle", "interchange[across=True]"))
        assert len(across) == 5 and across[0] <= 0.7 and across[1] >= 0.98
    assert len(random) >= 5 and random.score.max() <= 0.05


def test_methods_with_chance_have_five_seeds(rows):
    chance = rows.method.str.fullmatch(r"(das|dbm|dbm_pca|dbm_svd|boundless_das|ccs|random_rotation)(\[.*\])?")
    shown = rows[chance & (rows.metric == "interchange") & (rows.status == "ok")]
    assert len(shown) and all(len(seeds.split(";")) == 5 for seeds in shown.seeds)


def test_a_probe_reads_the_variable_where_it_is_not_used(planted):
    task = "ioi[variable=D]"
    for name in ("full_vector", "linear_probe"):
        assert sorted(values(planted, task, name + DECOY, "probe_accuracy"))[1] >= 0.85  # of four models, BY_TEMPLATE
        assert score(planted, task, name + DECOY, "interchange") <= 0.02
        assert score(planted, task, name + DECOY, "isolation") >= 0.98
    assert sorted(values(planted, task, "oracle", "probe_accuracy"))[1] >= 0.98
    assert score(planted, task, "oracle", "interchange") >= 0.98


def test_das_over_ranks(planted):
    """One dimension is enough for two values, and more do no harm; one model has two codes, see BY_TEMPLATE."""
    for rank in (1, 2, 4, 8, 16):
        found = sorted(values(planted, "ioi[variable=D]", f"das[rank={rank},steps=300]", "interchange"))
        assert len(found) == 5 and found[1] >= 0.9, rank


def test_controls_fall_short_of_the_methods(planted):
    for method in ("difference_of_means", "full_vector"):
        for metric in ("random_model_gap", "wrong_causal_model"):
            assert sorted(values(planted, "ioi[variable=D]", method, metric))[1] >= 0.9
        assert abs(score(planted, "ioi[variable=D]", method, "random_model_gap[part=control]")) <= 0.1


@pytest.mark.parametrize("task", PRETRAINED)
def test_layer_curves_of_the_pretrained_model(natural, task):
    early, late = PRETRAINED[task]
    for position in (early, late):
        for method in ("full_vector", "difference_of_means", "linear_probe", "das", "random_rotation"):
            name = f"{method}[position={position}{',steps=60' if method == 'das' else ''}]"
            for metric in ("interchange", "probe_accuracy"):
                assert len(curve(natural, task, name, metric, position)) == 9, (name, metric)
    swapped = {at: curve(natural, task, f"full_vector[position={at}]", "interchange", at) for at in (early, late)}
    read = {at: curve(natural, task, f"full_vector[position={at}]", "probe_accuracy", at) for at in (early, late)}
    assert swapped[early][8] == 0 and read[early][8] >= 0.7  # nobody reads the position after the last layer
    assert swapped[late][0] == 0 and read[late][0] <= 0.7  # a word that all prompts share
    assert max(swapped[late].values()) >= 0.3


def test_gender_is_the_name_s_and_then_the_end_s(natural):
    task = "gender[variable=G]"
    at_name = curve(natural, task, "full_vector[position=NAME]", "interchange", "NAME")
    assert at_name[0] >= 0.95 and at_name[7] >= 0.9
    random = curve(natural, task, "random_rotation[position=NAME]", "interchange", "NAME")
    assert max(random.values()) <= 0.05
