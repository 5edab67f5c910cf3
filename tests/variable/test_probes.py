"""Probes, code lengths and V-information against scikit-learn, closed forms and cases worked by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from bench.explanation import Explanation
from bench.metric import Undefined
from bench.metrics.mdl import Mdl, blocks, online, shuffled
from bench.metrics.probe_accuracy import ProbeAccuracy
from bench.metrics.probe_selectivity import ProbeSelectivity, control_labels
from bench.metrics.v_information import VInformation
from bench.variable.probes import CS, code, plain, strength

WIDTH = 3


class FakeData:
    """Labels, vectors and rows by split, as much of them as probes ask for."""

    variable = "X"

    def __init__(self, x, y, clusters=None, tokens=None, splits=("train", "validation", "test")):
        parts = np.array_split(np.arange(len(y)), len(splits))
        self._x, self._y, self._rows = {}, {}, {}
        for split, part in zip(splits, parts, strict=True):
            self._x[split] = torch.as_tensor(np.asarray(x)[part], dtype=torch.float32)
            self._y[split] = [str(y[i]) for i in part]
            self._rows[split] = [
                {
                    "cluster": clusters[i] if clusters else f"{split}{i}", "positions": {"END": 0}, "template": "t",
                    "ids": [int(tokens[i]) if tokens is not None else 0], "answer_id": 0, "wrong_id": 1,
                }
                for i in part
            ]  # fmt: skip

    def rows(self, split):
        return self._rows[split]

    def labels(self, split):
        return self._y[split]

    def vectors(self, split, place):
        return self._x[split]

    def prefetch(self, split, places):
        pass


def measured(metric, data, kind="full"):
    features = [{"site": "stream1@END", "kind": kind, "d": WIDTH}]
    explanation = Explanation(
        "site", ("stream1@END",), np.ones(1, np.float32), "t", "1", "m", "0", "full_vector", "1", "", track="variable",
        extra={"variable": "X", "site": "stream1@END", "features": features},
    )  # fmt: skip
    context = SimpleNamespace(seed=0, data_of=lambda variable: data)
    arrays = metric.measure(explanation, context)
    return arrays, {k: float(v) for k, v in metric.reduce(arrays).items()}


def gaussian(n, mu, seed=0):
    rng = np.random.default_rng(seed)
    y = np.tile([-1, 1], n // 2)
    x = rng.standard_normal((n, WIDTH))
    x[:, 0] += mu * y
    return x, np.where(y > 0, "up", "down")


def test_probe_accuracy_is_scikit_learns_own():
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x, y = gaussian(240, 0.5)
    y[::5] = "up"
    x = x.astype(np.float32).astype(np.float64)
    clusters = [f"c{i // 4}" for i in range(len(y))]
    data = FakeData(x, y, clusters)
    arrays, figures = measured(ProbeAccuracy(), data)
    train, test = slice(0, 80), slice(160, 240)
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=0)
    models = [make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=2000)) for c in CS]
    scores = [-cross_val_score(m, x[train], y[train], scoring="neg_log_loss", cv=folds, groups=clusters[train]).mean()
              for m in models]  # fmt: skip
    best = models[int(np.argmin(scores))].fit(x[train], y[train])
    assert figures[""] == pytest.approx(best.score(x[test], y[test]), abs=1e-12)
    assert 0.55 < figures[""] < 0.95 and len(set(scores)) > 1
    assert ProbeAccuracy().floors(arrays)[""] == pytest.approx((y[test] == "up").mean())


@pytest.mark.parametrize("c", [1e-4, 1e-2, 1.0])
def test_log_probabilities_of_a_probe_are_scikit_learns_at_that_strength(c):
    """In bits, on vectors that are standardised by hand; accuracy alone would not tell C from 2 C."""
    from sklearn.linear_model import LogisticRegression

    x, y = gaussian(120, 0.5)
    y[::5] = "sideways"
    x = 3 * x + 7
    z, new = ((part - x.mean(axis=0)) / x.std(axis=0) for part in (x, x[:40] + 1))
    expected = LogisticRegression(C=c, max_iter=2000).fit(z, y).predict_proba(new)
    np.testing.assert_allclose(plain(x, y, c).log2(x[:40] + 1), np.log2(expected), atol=1e-5)
    other = LogisticRegression(C=2 * c, max_iter=2000).fit(z, y).predict_proba(new)
    assert np.abs(np.log2(other) - np.log2(expected)).max() > 1e-3


def test_without_features_a_probe_says_the_most_frequent_value():
    x, y = gaussian(120, 2.0)
    y[::6] = "up"
    arrays, figures = measured(ProbeAccuracy(), FakeData(x, y), kind="none")
    assert figures[""] == ProbeAccuracy().floors(arrays)[""] < 0.8


def test_v_information_of_a_gaussian_is_its_integral():
    mu = 0.8
    x, y = gaussian(12000, mu)
    _, figures = measured(VInformation(), FakeData(x, y))

    def lost(z):
        return stats.norm.pdf(z) * np.log2(1 + np.exp(-2 * mu * (mu + z)))

    exact = 1 - integrate.quad(lost, -12, 12)[0]
    assert figures[""] == pytest.approx(exact, abs=0.02) and 0.3 < exact < 0.5


def test_v_information_of_nothing_is_zero_and_of_everything_the_entropy():
    x, y = gaussian(300, 0.0)
    assert measured(VInformation(), FakeData(np.ones_like(x), y))[1][""] == pytest.approx(0.0, abs=1e-6)
    assert measured(VInformation(), FakeData(x, y), kind="none")[1][""] == pytest.approx(0.0, abs=1e-6)
    four = np.tile(["a", "b", "c", "d"], 75)
    told = np.stack([four == v for v in "abc"], axis=1) * 10.0
    assert measured(VInformation(), FakeData(told, four))[1][""] == pytest.approx(2.0, abs=0.05)


def test_v_information_is_scikit_learns_log_loss():
    from sklearn.metrics import log_loss

    x, y = gaussian(300, 0.7)
    x = x.astype(np.float32).astype(np.float64)
    c = strength(x[:100], y[:100], [str(i) for i in range(100)], 0)
    model = plain(x[:100], y[:100], c).model
    _, figures = measured(VInformation(), FakeData(x, y))
    first = log_loss(y[200:], np.tile([(y[:100] == v).mean() for v in ("down", "up")], (100, 1)))
    then = log_loss(y[200:], model.predict_proba(x[200:]))
    assert figures[""] == pytest.approx((first - then) / np.log(2), abs=1e-9)


def test_a_code_without_features_is_that_of_past_frequencies():
    y = np.array([str(v) for v in np.random.default_rng(0).integers(0, 3, 64)])
    order = np.arange(64)
    bits = online(np.zeros((64, 1)), y, order)
    expected = np.full(64, np.log2(3))
    for start, end in blocks(64):
        for j in range(start, end):
            f = (y[:start] == y[j]).mean()
            expected[j] = -np.log2((start * f + 1 / 3) / (start + 1))
    assert bits == pytest.approx(expected, abs=2e-3)


def test_compression_of_noise_is_about_one_and_of_what_is_told_many_times_that():
    rng = np.random.default_rng(1)
    y = np.array([str(v) for v in rng.integers(0, 2, 450)])
    _, noise = measured(Mdl(), FakeData(rng.standard_normal((450, WIDTH)), y))
    assert 0.85 < noise[""] < 1.02
    told = np.zeros((450, WIDTH))
    told[:, 0] = y == "1"
    _, figures = measured(Mdl(), FakeData(told, y))
    assert 8 < figures[""] <= 16


def test_the_code_leaves_no_value_without_a_length():
    table = code(np.log2([[0.25, 0.75]]), np.array(["a", "c"]), np.array(["a", "b", "c"]), 9)
    assert np.exp2(table[0]) == pytest.approx([(9 * 0.25 + 1 / 3) / 10, 1 / 30, (9 * 0.75 + 1 / 3) / 10])
    assert np.exp2(table).sum() == pytest.approx(1.0)


def test_orders_keep_clusters_together():
    groups = np.array(["a", "b", "a", "c", "b", "c"])
    order = shuffled(groups, np.random.default_rng(0))
    assert sorted(order) == list(range(6)) and (groups[order][::2] == groups[order][1::2]).all()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a"] * 60, "1 values of X have two training examples or more, and 0 have one"),
        (["a"] * 29 + ["b"] * 31, "1 values of X have two training examples or more"),
        (["a", "b"] * 10 + ["b"] * 20 + ["c", "d"] * 10, "0 of 20 test examples have a value of X"),
        (["a"] * 19 + ["b"] + ["b"] * 20 + ["a", "b"] * 10, "and 1 have one"),
        ([""] * 60, "0 of 20 test examples have a value of X; 20 are needed"),
    ],
)
def test_what_no_probe_can_learn_is_undefined_with_the_counts(labels, message):
    x = np.random.default_rng(0).standard_normal((60, WIDTH))
    for metric in (ProbeAccuracy(), VInformation()):
        with pytest.raises(Undefined, match=message):
            measured(metric, FakeData(x, labels))


def test_values_that_only_test_has_can_be_shared_by_pooling():
    x = np.random.default_rng(0).standard_normal((120, WIDTH))
    y = np.array(["a", "b"] * 40 + ["c", "d"] * 20)
    x[:, 0] += 8 * np.isin(y, ["b", "d"])
    x[:, 1] += 8 * np.isin(y, ["c", "d"])
    assert measured(ProbeAccuracy(split="pooled"), FakeData(x, y))[1][""] > 0.95
    with pytest.raises(Undefined, match="split=pooled lets the values be shared"):
        measured(ProbeAccuracy(), FakeData(x, y))


def test_control_labels_are_functions_of_the_type_with_the_labels_frequencies():
    rng = np.random.default_rng(0)
    found = np.array([str(i % 400) for i in range(2000)])
    y = np.where(np.arange(2000) % 4 == 0, "a", "b")
    y[:3] = ""
    control = control_labels(y, found, rng)
    assert (control[:3] == "").all()
    for kind in ("7", "8", "9"):
        assert len(set(control[found == kind])) == 1
    assert (control == "a").mean() == pytest.approx(0.25, abs=0.06)


def test_selectivity_tells_a_direction_from_a_table():
    """Features that are the type's one-hot code are read as well for control labels; a direction is not."""
    n, kinds = 360, 12
    tokens = np.random.default_rng(0).integers(0, kinds, n)
    y = np.where(np.arange(n) % 2 == 0, "a", "b")
    direction = np.zeros((n, WIDTH))
    direction[:, 0] = 4.0 * (y == "a")
    _, selective = measured(ProbeSelectivity(), FakeData(direction, y, tokens=tokens))
    assert selective["part=accuracy"] == 1.0 and selective[""] > 0.25
    by_type = np.where(tokens % 2 == 0, "a", "b")
    table = np.eye(kinds)[tokens]
    data = FakeData(table, by_type, tokens=tokens)
    explanation = Explanation(
        "site", ("stream1@END",), np.ones(1, np.float32), "t", "1", "m", "0", "full_vector", "1", "", track="variable",
        extra={"variable": "X", "site": "stream1@END",
               "features": [{"site": "stream1@END", "kind": "full", "d": kinds}]},
    )  # fmt: skip
    metric = ProbeSelectivity()
    found = metric.reduce(metric.measure(explanation, SimpleNamespace(seed=0, data_of=lambda v: data)))
    assert float(found["part=accuracy"]) == 1.0 and abs(float(found[""])) < 0.02


def test_selectivity_is_undefined_where_a_value_is_a_type():
    x, y = gaussian(120, 1.0)
    with pytest.raises(Undefined, match=r"2 types per value of X \(2\).*1 tokens at END"):
        measured(ProbeSelectivity(), FakeData(x, y))
