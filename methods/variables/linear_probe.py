"""A logistic regression that reads the variable off standardised vectors."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bench.variable.featurizer import Featurizer
from methods.variables.supervised import Examples, Floats, Ints, Supervised, varying

PENALTIES = tuple(10.0**power for power in range(-5, 2))
"""C, the inverse of the penalty on the weights: 1e-5 to 10."""
Split = tuple[Ints, Ints]


@dataclass
class LinearProbe(Supervised):
    """The orthogonal projection on the weights of a multinomial logistic regression, in the vectors' own space.

    The regression sees z = (h - mean) / s, coordinate by coordinate, and scores values by W z = (W / s) h + constant:
    what it reads of a vector is its component along the rows of W / s, not of W, and not of W s (which is how means
    would have to differ for W to be their difference). The featurizer is their span, (values - 1) dimensions, cut
    to the principal directions of W / s where ``rank`` is smaller.

    C is chosen from 1e-5 to 10 by the accuracy in cross-validation (5 folds at most), the smallest of equal ones;
    examples of one template (``group``) are never on both sides, unless that left a value unseen in training.
    Standardisation is part of each fold. Constant coordinates are left out. As it depends on the axes, so does the
    probe.

    Source: Alain and Bengio 2016, arXiv:1610.01644; scikit-learn. Cost: that of choosing the site, and 1 forward per
    train example.
    """

    name: ClassVar[str] = "linear_probe"
    group: str = "template"
    """What folds keep together: ``template`` or ``cluster``."""
    folds: int = 5
    max_iter: int = 1000

    def part(self, found: Examples, rank: int, seed: int) -> Featurizer:
        columns = varying(found.x)
        x = found.x[:, columns]
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=self.max_iter))
        cv = splits(found.y, found.column(self.group), self.folds)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of variables with many values, names for one
            search = GridSearchCV(model, {"logisticregression__C": PENALTIES}, cv=cv).fit(x, found.y)
        weights: Floats = np.zeros((found.n_values, len(columns)))
        scaler, regression = (step for _, step in search.best_estimator_.steps)
        weights[: len(regression.coef_), columns] = regression.coef_ / scaler.scale_
        return Featurizer.span(weights, min(rank, found.n_values - 1))


def splits(y: Ints, groups: Sequence[Any], folds: int) -> list[Split]:
    """Training and held-out indices of each fold: stratified, a group in one fold only where that leaves every value
    in training; else stratified alone."""
    n_groups = len(set(groups))
    if n_groups > 1:
        grouped = StratifiedGroupKFold(max(2, min(folds, n_groups, int(np.bincount(y).max()))))
        found = [split for split in _quietly(grouped, y, groups) if set(y[split[1]]) <= set(y[split[0]])]
        if len(found) > 1:
            return found
    return list(_quietly(StratifiedKFold(max(2, min(folds, int(np.bincount(y).min())))), y, None))


def _quietly(folds: Any, y: Ints, groups: Sequence[Any] | None) -> list[Split]:
    """The folds, without a warning of values that are rarer than folds: those that lack one are sorted out later."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return list(folds.split(np.zeros((len(y), 1)), y, groups))
