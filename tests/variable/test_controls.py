"""Controls hold their size with registered methods, and the same tests fire where something is there to be found."""

from __future__ import annotations

import numpy as np
import pytest

from bench.scoring.truth import p_value
from methods.variables.das import Das
from methods.variables.difference_of_means import DifferenceOfMeans
from methods.variables.leace import Leace
from methods.variables.linear_probe import LinearProbe
from tasks.ioi import IOI
from tests.variable.controls import (
    CONTROLS,
    METHODS,
    SIZES,
    Count,
    Family,
    above,
    count_of,
    drawn_uniformly,
    drawn_within,
    fitted_on_dealt,
    models,
)
from tests.variable.measuring import Planted

SITE = "stream2@S2"
"""Where D sits, and where most of the variance lies along it."""
FEW = (DifferenceOfMeans(), Leace(), LinearProbe(folds=2), Das(steps=4, minibatches=2))


@pytest.fixture(scope="module")
def planted():
    return Planted(IOI(), sizes=SIZES, batch_size=64)


@pytest.fixture(scope="module")
def family(planted):
    """Four methods and two variables."""
    return Family(planted, FEW, ("D", "N"))


@pytest.mark.parametrize("control", ["dealt", "shuffled"])
def test_families_of_controls_stay_at_their_floor(family, control):
    found = count_of([family.p_values(CONTROLS[control], deal) for deal in range(4)])
    assert found.families == 4 and found.cells == 4 * len(family.found) and found.holds, str(found)


def test_a_control_in_which_nothing_is_dealt_is_above_its_floor(family):
    p = family.p_values(CONTROLS["true"], 0)
    assert len(p) == len(family.found) and above(p) and (p < 0.01).sum() >= len(p) - 2


def test_a_difference_of_means_of_dealt_labels_is_at_the_floor_of_directions_within_the_covariance(planted):
    """At D's site it swaps D as often as they do; against uniform directions it would look like a finding."""
    found = {null: count_of(ps) for null, ps in fitted_on_dealt(planted, ["D"], range(8), SITE).items()}
    assert found["drawn"].holds, str(found["drawn"])
    assert not found["uniform"].holds, str(found["uniform"])


def test_the_null_of_dealt_labels_holds_its_size_where_directions_are_known():
    """Vectors that vary most along one axis: how often the means of dealt labels lean to it more than 95 % of draws."""
    rejected = {"within": 0, "uniform": 0}
    trials, rng = 300, np.random.default_rng(0)
    for _ in range(trials):
        x = rng.standard_normal((48, 12))
        x[:, 0] = 6 * rng.choice([-1.0, 1.0], 48) + x[:, 0]
        labels = rng.permutation(np.arange(48) % 2)
        observed = _lean(x[labels == 1].mean(axis=0) - x[labels == 0].mean(axis=0))
        for name, draw in (("within", drawn_within), ("uniform", drawn_uniformly)):
            null = np.array([_lean(draw(x, 1, rng).tensors["encoder"][0]) for _ in range(59)])
            rejected[name] += p_value(observed, null) <= 0.05
    assert Count(rejected["within"], trials).holds and rejected["within"] > 0.01 * trials, rejected
    assert rejected["uniform"] > 0.5 * trials, rejected


def _lean(direction) -> float:
    """Squared cosine with the first axis."""
    return float(direction[0] ** 2 / (direction**2).sum())


def test_draws_within_a_covariance_have_it():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 3)) * [3.0, 1.0, 0.1]
    rows = np.stack([drawn_within(x, 1, rng).tensors["encoder"][0] for _ in range(2000)])
    assert np.abs(rows).mean(axis=0).argsort().tolist() == [2, 1, 0]
    assert drawn_within(x, 2, rng).rank == 2 and drawn_uniformly(x, 2, rng).rank == 2
    wide = np.stack([(rng.standard_normal((1, 40)) @ (x - x.mean(axis=0)))[0] for _ in range(4000)])
    np.testing.assert_allclose(np.cov(wide.T), 40 * np.cov(x.T, bias=True), atol=0.1 * 40 * x.var(axis=0).max())


def test_counts_of_families_by_hand():
    assert above([0.001, 0.9]) and not above([0.03, 0.04, 0.9]) and not above([1.0])
    found = count_of([np.array([0.001]), np.array([]), np.array([0.2, 0.3])])
    assert found == Count(1, 2, 3) and found.p == pytest.approx(1 - 0.95**2)
    assert Count(3, 60).holds and not Count(9, 60).holds


@pytest.mark.slow
def test_at_most_one_family_in_twenty_has_a_control_above_its_floor():
    """Nine planted models of three tasks, all registered methods of :data:`METHODS`, two deals each."""
    found: dict[str, list] = {name: [] for name in (*CONTROLS, "drawn", "uniform")}
    for _, model in models():
        variables = model.task.causal_model.variables
        family = Family(model, METHODS, variables)
        for name, control in CONTROLS.items():
            found[name] += [family.p_values(control, deal) for deal in range(1 if name == "true" else 2)]
        for name, ps in fitted_on_dealt(model, variables, range(2)).items():
            found[name] += ps
    counts = {name: count_of(ps) for name, ps in found.items()}
    shown = {name: str(count) for name, count in counts.items()}
    assert all(counts[name].holds for name in ("dealt", "shuffled", "drawn")), shown
    assert counts["true"].hits == counts["true"].families == 9, shown
