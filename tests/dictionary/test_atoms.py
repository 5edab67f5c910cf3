"""The stability of atoms against its definition, searched over a fine grid, and against hand-computed cases."""

import numpy as np
import pytest
import torch

from bench.dictionary.atoms import coherences, stability
from bench.measuring import measure
from bench.metrics.atom_stability import AtomStability
from tests.dictionary.test_judging import D, engine, explained, hidden, random, rows, scored  # noqa: F401


def defined(coherence, tokens):
    """sup {q: mu_q < 1 / (2 K_q - 1)} over a grid of q, with numpy's quantiles."""
    best = 0.0
    for q in np.arange(1, 2001) / 2000:
        mu, k = (np.quantile(values, q, method="inverted_cdf") for values in (coherence, tokens))
        if k < 1 or mu < 1 / (2 * k - 1):
            best = q
    return best


@pytest.mark.parametrize("seed", range(8))
def test_q_is_the_largest_that_keeps_the_bound(seed):
    rng = np.random.default_rng(seed)
    coherence = np.sort(rng.beta(1, 6, 200) * rng.uniform(0.1, 1))
    tokens = rng.poisson(rng.uniform(0.5, 4), 100)
    found = stability(coherence, np.bincount(tokens))
    assert found == pytest.approx(defined(coherence, tokens), abs=1e-3)


def test_by_hand():
    assert stability(np.zeros(6), np.array([0, 0, 0, 10])) == 1.0  # orthogonal atoms
    assert stability(np.array([0.9] * 6), np.array([0, 0, 10])) == 0.0
    assert stability(np.array([0.9] * 6), np.array([5, 5])) == 1.0  # one active atom at most
    assert stability(np.array([0.1, 0.9]), np.array([0, 5, 5])) == 0.5
    assert np.isnan(stability(np.array([]), np.array([0, 1])))


def test_cosines_do_not_see_a_linear_map_of_the_activations():
    generator = torch.Generator().manual_seed(0)
    atoms, mixing = (torch.randn(n, 6, generator=generator, dtype=torch.float64) for n in (9, 6))
    codes = torch.rand(500, 9, generator=generator, dtype=torch.float64)
    y = codes @ atoms
    plain = coherences(atoms, y.T @ y / 500)
    mapped = coherences(atoms @ mixing, (y @ mixing).T @ (y @ mixing) / 500)
    assert len(plain) == 36 and plain == pytest.approx(mapped, abs=1e-8)
    s = torch.linalg.inv(y.T @ y / 500)
    direct = [
        abs(float(u @ s @ v / ((u @ s @ u) * (v @ s @ v)).sqrt())) for i, u in enumerate(atoms) for v in atoms[:i]
    ]
    assert plain == pytest.approx(np.sort(direct))
    assert coherences(atoms, y.T @ y, most=5) == pytest.approx(plain[[0, 8, 17, 26, 35]])


def test_the_metric_takes_the_model_s_own_hidden_states(engine):  # noqa: F811
    dictionary = random()
    x = hidden(engine, rows())
    found = measure(AtomStability(), explained(dictionary), scored(engine))
    assert found.status == "ok", found.reason
    codes = dictionary.encode(x.float())
    assert found.arrays["active"].tolist() == np.bincount((codes != 0).sum(dim=1), minlength=49).tolist()
    expected = coherences(dictionary.tensors["W_dec"], x.T @ x / len(x))
    assert len(x) >= D and found.arrays["coherence"] == pytest.approx(expected, abs=1e-6)
    few = measure(AtomStability(), explained(dictionary), scored(engine, rows(3)))
    assert few.status == "undefined" and "too few for the second moment of 32" in few.reason
