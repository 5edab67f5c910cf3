"""LAPE and ReasonScore as methods, against scipy and sums over recorded neurons."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import entropy

from bench.engine.sites import Site
from bench.method import Skip
from methods.features.lape import Lape
from methods.features.reason_score import ReasonScore, around
from tests.features.support import engine_of, here, rows

WORDS = {5: "so", 9: " But", 12: "x"}


class Reader:
    """A tokenizer that reads three ids as words."""

    def decode(self, ids):
        return WORDS.get(ids[0], f"w{ids[0]}")


def examples():
    made = rows(12)
    for i, row in enumerate(made):
        row["template"] = "ab"[i % 2]
        row["ids"][3] = (5, 9, 12)[i % 3]
    return made


@pytest.fixture(scope="module")
def job():
    engine = engine_of()
    engine.tokenizer = Reader()
    return here(engine, examples())


def recorded(job):
    """Neurons of layer 1 at every real token, the token's id, its place and its prompt's template."""
    site = Site("neurons", 1)
    for batch in job.batches("train"):
        x = job.engine.record(batch.clean, [site])[site].double().numpy()
        for row in range(len(batch)):
            real = batch.clean.mask[row].numpy()
            yield x[row][real], batch.clean.ids[row].numpy()[real], batch.templates[row]


def test_lape_of_neurons_is_the_entropy_of_how_often_they_fire_per_template(job):
    method = Lape(dictionaries="neurons@n1")
    found = method.explain(job)
    rates = []
    for template in "ab":
        on = np.concatenate([x > 0 for x, _, t in recorded(job) if t == template])
        rates.append(on.mean(axis=0))
    rates = np.array(rates).T
    fires = rates.sum(axis=1) > 0
    assert found.scores[:-1][fires] == pytest.approx(np.log(2) - entropy(rates[fires], axis=1), abs=1e-9)
    assert found.scores[:-1][~fires] == pytest.approx(0, abs=1e-12) and found.scores[-1] == pytest.approx(0, abs=1e-12)
    assert set(found.extra["of_language"]) == {"a", "b"}
    plain = [{**row, "template": "a"} for row in examples()]
    with pytest.raises(Skip, match="two languages or templates"):
        Lape(dictionaries="neurons@n1").explain(replace(job, batches=here(job.engine, plain).batches))


def test_reason_score_of_neurons_by_hand(job):
    """Tokens from two ahead of `so` or `But` to three behind are inside; `x` is no word."""
    method = ReasonScore(dictionaries="neurons@n1", words="so+but")
    found = method.explain(job)
    inside, outside, at = [], [], {"so": [], "but": []}
    for x, ids, _ in recorded(job):
        x = np.maximum(x, 0)
        said = [i for i, token in enumerate(ids) if token in (5, 9)]
        for i, row in enumerate(x):
            (inside if any(-2 <= i - j <= 3 for j in said) else outside).append(row)
        for j in said:
            at["so" if ids[j] == 5 else "but"].append(x[j])
    assert inside and outside
    plus, minus = np.mean(inside, axis=0), np.mean(outside, axis=0)
    words = np.stack([np.mean(at[word], axis=0) for word in ("so", "but")], axis=1)
    h = np.array([entropy(row, base=2) if row.sum() > 0 else 0.0 for row in words])
    expected = plus / plus.sum() * h**0.7 - minus / minus.sum()
    assert found.scores[:-1] == pytest.approx(expected, abs=1e-6) and np.abs(expected).max() > 0.01
    with pytest.raises(Skip, match="says 1 of 2 words"):
        ReasonScore(dictionaries="neurons@n1", words="so+never").explain(job)


def test_windows_stay_inside_the_prompt():
    at = torch.tensor([[False, False, False, False, True, False], [True, False, False, False, False, False]])
    assert around(at, 2, 3).int().tolist() == [[0, 0, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]]
