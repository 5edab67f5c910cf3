"""What a method of the `variable` track is: one function from vectors at a place to a featurizer."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.method import Handed, Job, Method, Skip
from bench.variable.choosing import best, full_swaps
from bench.variable.data import VariableData, VariableError
from bench.variable.featurizer import Featurizer
from bench.variable.places import STREAMS, Place, PlaceError

CURVES = ("none", "layers", "positions", "all")


@dataclass
class VariableMethod(Method):
    """A registered method of the `variable` track. A subclass says what :meth:`fit` finds at one place.

    The site is chosen for every method alike: the place of :attr:`stream` where swapping the whole vector gives the
    highest interchange accuracy on validation (1 forward per place and validation example). The explanation declares
    the featurizer there and, with :attr:`curve`, at the other places of the same position, layer, or all.

    Where the examples do not suffice, or the model lacks the site or is narrower there than the rank, the cell is
    skipped with the reason (:class:`bench.method.Skip`).
    """

    level: ClassVar[str] = "site"
    track: ClassVar[str] = "variable"
    rank: int | None = None
    """Dimensions of the subspace; None: one less than the variable has values, at most half of the place's."""
    stream: str = "stream"
    """Which places are looked through: ``stream``, ``heads``, ``mlp`` or ``neurons``."""
    site: str | None = None
    """A place by name (``stream3@END``), in place of the chosen one."""
    curve: str = field(default="none", metadata={"label": False})
    """``layers``: a featurizer at every place of the chosen position; ``positions``: of the chosen layer; ``all``."""

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for what no model could make sense of."""
        if self.rank is not None and self.rank < 1:
            raise ValueError(f"rank={self.rank}: give at least 1, or null for one less than the variable has values")
        for name, value, known in (("stream", self.stream, STREAMS), ("curve", self.curve, CURVES)):
            if value not in known:
                raise ValueError(f"{name}={value}: use one of {', '.join(known)}")
        if self.site is not None:
            Place.parse(self.site)

    @abstractmethod
    def fit(self, data: VariableData, place: Place, seed: int) -> Featurizer:
        """The variable's part of the vectors at ``place``, from train (and, for its own choices, validation)."""

    def places(self, data: VariableData) -> list[Place]:
        """The places among which the site is chosen."""
        if self.site is None:
            return data.candidates(self.stream)
        place = Place.parse(self.site)
        data.widths.of(place)
        if place.position not in data.positions():
            raise PlaceError(f"no position {place.position!r}; the examples have {', '.join(data.positions())}")
        return [place]

    def explain(self, job: Job) -> Handed:
        """See :meth:`bench.method.Method.explain`; one component per place, scored by its full swap."""
        data = job.variable_data()
        try:
            places = self.places(data)
            values = full_swaps(data, places)
            chosen = best(places, values)
            features = [(place, self.fit(data, place, job.seed)) for place in self._fitted(places, chosen)]
        except (VariableError, PlaceError) as error:
            raise Skip(str(error)) from error
        return handed(places, values, data.variable, chosen, features)

    def _fitted(self, places: list[Place], chosen: Place) -> list[Place]:
        wanted = {
            "none": [chosen], "all": places,
            "layers": [p for p in places if p.position == chosen.position],
            "positions": [p for p in places if p.nodes == chosen.nodes],
        }[self.curve]  # fmt: skip
        return [chosen, *(place for place in wanted if place != chosen)]

    def scores(self, job: Job) -> NDArray[np.float64]:
        """Interchange accuracy of the full swap on validation, ``[n_places]``."""
        data = job.variable_data()
        return full_swaps(data, self.places(data))

    def rank_at(self, data: VariableData, place: Place) -> int:
        """The rank to use at a place: :attr:`rank`, or the default that all methods share."""
        d = data.widths.of(place)
        if self.rank is not None:
            if self.rank > d:
                raise PlaceError(f"rank={self.rank}: the vectors at {place} have only {d} dimensions")
            return self.rank
        n_values = len({label for label in data.labels("train") if label})
        return max(1, min(n_values - 1, d // 2))


def handed(
    places: list[Place], values: NDArray[np.float64], variable: str, chosen: Place,
    features: list[tuple[Place, Featurizer]],
) -> Handed:  # fmt: skip
    """The explanation's parts: every place with its full swap, and the featurizers that are declared."""
    tensors: dict[str, NDArray[np.float32]] = {}
    described: list[dict[str, Any]] = []
    for number, (place, featurizer) in enumerate(features):
        tensors |= {f"{number}.{name}": tensor for name, tensor in featurizer.tensors.items()}
        described.append({"site": str(place), "kind": featurizer.kind, "d": featurizer.d, "rank": featurizer.rank})
    extra = {"variable": variable, "site": str(chosen), "rank": described[0]["rank"], "features": described}
    return Handed(tuple(map(str, places)), values, tensors, extra)
