"""How often the controls of the `variable` track are above their floor, with registered methods on planted models.

``python -m tests.variable.controls [deals [model]]`` prints the figures. A *cell* is a method and a variable at the
site that was chosen on a planted model; a *family* is all cells of one model under one deal of the control. A family
is above its floor where Holm's correction over its cells leaves a p below .05. If no cell is, one family in twenty is
at most: the binomial test of the count of families is the verdict (:class:`Count`). The smallest p of a cell is 1/1000,
so that Holm can fire in families of up to 49 cells.

What is null, and against what:

``dealt`` (``permuted_labels``, ``part=control``)
    The method is fitted on dealt labels and targets, and its answers are held against *dealt* targets of test, which
    nobody can know: the metric's p deals them anew, so it is exact whatever the method, as long as nothing leaks from
    test or from the true labels into the comparison. This is the test of "permuted labels do not exceed the floor".
``shuffled`` (``random_model_gap``, ``part=control``)
    The method is fitted on the weight-randomised model, and held against its own, true targets; p deals them anew.
    Not exact: a source that is in several pairs is drawn once and counted several times.
``drawn`` (``permuted_labels``, ``part=fitted``)
    The direction that was fitted on dealt labels, against the *true* targets. Doing nothing, and a direction drawn
    uniformly, are no null for it: a difference of means of dealt labels is, by the central limit theorem, a draw from
    N(0, S), with S the covariance of the vectors, so where most of their variance lies along the variable it swaps the
    variable, and rightly so. Its null is as many directions drawn within S (:func:`drawn_within`); against uniform
    ones (``uniform``) the same shares are above the floor far too often.

The opposite: ``true`` is the ``dealt`` control with nothing dealt, and must be above its floor in every family.

Families above their floor on nine models (``ioi`` 0 to 4, ``identity_rules`` 0 to 2, ``arithmetic``), seven deals each
but one for ``true``, all variables, :data:`METHODS` (33 cells a family; 3 for the last two, which are of one method),
from ``python -m tests.variable.controls 7`` (five minutes):

==========  ==========  =====  ==================================
control     families    cells  share of families, at most (95 %)
==========  ==========  =====  ==================================
dealt       0 of 63     2079   0, .046
shuffled    1 of 63     2079   .016, .073
drawn       2 of 63     189    .032, .097
uniform     63 of 63    189    1 (the wrong null)
true        9 of 9      297    1 (as it must be)
==========  ==========  =====  ==================================

None above its floor in 59 families or more puts the share below .05 at that confidence.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats

from bench.method import Skip
from bench.metric import Undefined
from bench.metrics.controlled import PART, Controlled
from bench.metrics.permuted_labels import PermutedLabels, deal_labels
from bench.metrics.random_model_gap import RandomModelGap
from bench.scoring.significance import ALPHA, holm
from bench.scoring.truth import p_value
from bench.variable.declared import declared
from bench.variable.featurizer import Featurizer
from bench.variable.method import VariableMethod
from methods.variables.caa import Caa
from methods.variables.das import Das
from methods.variables.difference_of_means import DifferenceOfMeans
from methods.variables.full_vector import FullVector
from methods.variables.inlp import Inlp
from methods.variables.lda import Lda
from methods.variables.leace import Leace
from methods.variables.linear_probe import LinearProbe
from methods.variables.mass_mean import MassMean
from methods.variables.pca import Pca
from methods.variables.random_rotation import RandomRotation
from tasks.arithmetic import Arithmetic
from tasks.identity_rules import IdentityRules
from tasks.ioi import IOI
from tests.variable.measuring import Planted

METHODS: tuple[VariableMethod, ...] = (
    DifferenceOfMeans(), MassMean(), Lda(), LinearProbe(folds=2), Inlp(), Leace(), Caa(), Pca(), FullVector(),
    RandomRotation(), Das(steps=8, minibatches=2),
)  # fmt: skip
MODELS = tuple((IOI, seed) for seed in range(5)) + tuple((IdentityRules, s) for s in range(3)) + ((Arithmetic, 0),)
SIZES = {"train": 48, "validation": 24, "test": 48}
DRAWS = 99
"""Directions drawn for each null of ``drawn``."""
REFUSED = 0.01
"""Probability of as many families above their floor, if one in twenty were, below which the control does not hold."""


@dataclass
class TrueLabels(PermutedLabels):
    """The control with nothing dealt: what it would look like if everything leaked."""

    name: ClassVar[str] = "true_labels"

    def views(self, data, found, context):
        return data, data.control("in place", at=found.site)


CONTROLS: dict[str, Controlled] = {"dealt": PermutedLabels(), "shuffled": RandomModelGap(), "true": TrueLabels()}


class Count(NamedTuple):
    """Families above their floor, of those that were tested; cells that have a p, in all, and the smallest family."""

    hits: int
    families: int
    cells: int = 0

    @property
    def p(self) -> float:
        """Probability of as many, if one family in twenty were."""
        return float(stats.binomtest(self.hits, self.families, ALPHA, alternative="greater").pvalue)

    @property
    def holds(self) -> bool:
        """Whether at most one family in twenty is not contradicted."""
        return self.p > REFUSED

    def __str__(self) -> str:
        high = stats.binomtest(self.hits, self.families, alternative="less").proportion_ci(0.95).high
        share = self.hits / self.families
        return f"{self.hits} of {self.families} families ({self.cells} cells): {share:.3f}, at most {high:.3f}"


class Family:
    """The cells of one planted model: what each method found, once for all controls and deals."""

    def __init__(self, planted: Planted, methods: Sequence[VariableMethod], variables: Sequence[str]) -> None:
        self.planted, self.found = planted, []
        for variable in variables:
            for method in methods:
                try:
                    self.found.append((method, variable, planted.explain(method, planted.data(variable))))
                except Skip:
                    continue

    def p_values(self, control: Controlled, deal: int) -> NDArray[np.float64]:
        """``[n_cells]``: the control's own p in each cell in which it is defined."""
        context, found = self.planted.context(seed=deal), []
        for method, _, explanation in self.found:
            again = replace(context, fitted=lambda data, m=method: self.planted.explain(replace(m), data))
            try:
                arrays = control.measure(explanation, again)
            except (Undefined, Skip):
                continue
            own = float(control.reduce(arrays)[PART])
            found.append(p_value(own, control.p_draws(arrays)[PART]))
        return np.array(found)


def above(p: Sequence[float] | NDArray[np.float64]) -> bool:
    """Whether any cell of a family is above its floor, by Holm."""
    return bool((holm(p) < ALPHA).any())


def count_of(families: Sequence[NDArray[np.float64]]) -> Count:
    """Of the p-values of each family; one without any was not tested."""
    tested = [p for p in families if len(p)]
    return Count(sum(map(above, tested)), len(tested), sum(map(len, tested)))


# -- directions that were fitted on dealt labels, against the true targets


def drawn_within(x: NDArray[np.float64], rank: int, rng: np.random.Generator) -> Featurizer:
    """The span of ``rank`` draws from N(0, S), S the covariance of ``x`` ``[n, d]``."""
    centred = x - x.mean(axis=0)
    return Featurizer.span(rng.standard_normal((rank, len(x))) @ centred)


def drawn_uniformly(x: NDArray[np.float64], rank: int, rng: np.random.Generator) -> Featurizer:
    """The span of ``rank`` directions drawn uniformly."""
    return Featurizer.span(rng.standard_normal((rank, x.shape[1])))


Draw = Callable[[NDArray[np.float64], int, np.random.Generator], Featurizer]
NULLS: dict[str, Draw] = {"drawn": drawn_within, "uniform": drawn_uniformly}


def fitted_on_dealt(
    planted: Planted, variables: Sequence[str], deals: Sequence[int], site: str | None = None
) -> dict[str, list[NDArray[np.float64]]]:
    """By null and deal, ``[n_variables]`` p-values of a difference of means of dealt labels, against true targets."""
    method, found = DifferenceOfMeans(site=site), {name: [[] for _ in deals] for name in NULLS}
    for variable in variables:
        data = planted.data(variable).in_full()
        chosen = declared(planted.explain(method, planted.data(variable)))
        x, rank = data.vectors("train", chosen.site).double().numpy(), chosen.chosen.rank
        nulls = {
            name: np.array([
                data.share("test", chosen.site, draw(x, rank, np.random.default_rng([7, i]))) for i in range(DRAWS)
            ])
            for name, draw in NULLS.items()
        }  # fmt: skip
        for number, deal in enumerate(deals):
            labels = lambda split, true, deal=deal: deal_labels(true, deal)  # noqa: E731
            dealt = data.control(f"labels dealt {deal}", labels_of=labels, at=chosen.site)
            share = data.share("test", chosen.site, method.fit(dealt, chosen.site, 0))
            for name, null in nulls.items():
                found[name][number].append(p_value(share, null))
    return {name: [np.array(p) for p in ps] for name, ps in found.items()}


def models(start: str = "", sizes: Mapping[str, int] = SIZES) -> Iterator[tuple[str, Planted]]:
    """The planted models whose names begin so, one after the other."""
    for task, seed in (model for model in MODELS if f"{model[0].name} {model[1]}".startswith(start)):
        yield f"{task.name} {seed}", Planted(task(), seed, dict(sizes), batch_size=64)


def main(deals: int, start: str = "") -> None:
    """Print the figures, all models so far together."""
    torch.set_num_threads(1)
    totals: dict[str, list[NDArray[np.float64]]] = {}
    for name, planted in models(start):
        variables = planted.task.causal_model.variables
        family = Family(planted, METHODS, variables)
        for control in CONTROLS:
            rounds = range(deals if control != "true" else 1)
            totals.setdefault(control, []).extend(family.p_values(CONTROLS[control], deal) for deal in rounds)
        for null, ps in fitted_on_dealt(planted, variables, range(deals)).items():
            totals.setdefault(null, []).extend(ps)
        print(name, {key: str(count_of(ps)) for key, ps in totals.items()}, flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5, " ".join(sys.argv[2:]))
