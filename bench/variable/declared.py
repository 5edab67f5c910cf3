"""What an explanation of the `variable` track declares, read back and checked."""

from __future__ import annotations

from dataclasses import dataclass

from bench.explanation import Explanation, ExplanationError
from bench.variable.featurizer import KINDS, Featurizer, FeaturizerError
from bench.variable.latents import KIND, LatentFeaturizer
from bench.variable.places import Place, PlaceError


@dataclass(frozen=True)
class Declared:
    """A variable, the chosen site, and the featurizers by place, the chosen one first."""

    variable: str
    site: Place
    features: dict[Place, Featurizer]

    @property
    def chosen(self) -> Featurizer:
        """The featurizer at the chosen site."""
        return self.features[self.site]


def declared(explanation: Explanation) -> Declared:
    """The declarations of an explanation; raises :class:`ExplanationError` naming what breaks them."""
    extra = explanation.extra
    try:
        described = list(extra["features"])
        features = {Place.parse(one["site"]): _featurizer(explanation, i, one) for i, one in enumerate(described)}
        site = Place.parse(extra["site"])
        variable = str(extra["variable"])
    except (KeyError, TypeError) as error:
        raise ExplanationError(f"an explanation of a variable lacks {error}") from error
    except (PlaceError, FeaturizerError) as error:
        raise ExplanationError(str(error)) from error
    if site not in features:
        raise ExplanationError(f"the chosen site {site} has no featurizer")
    return Declared(variable, site, features)


def _featurizer(explanation: Explanation, number: int, described: dict[str, object]) -> Featurizer:
    kind, d = str(described["kind"]), int(str(described["d"]))
    if kind not in (*KINDS, KIND):
        raise FeaturizerError(f"feature {number}: kind {kind!r} is none of {', '.join((*KINDS, KIND))}")
    start = f"{number}."
    tensors = {name[len(start) :]: t for name, t in explanation.tensors.items() if name.startswith(start)}
    return LatentFeaturizer.described(described, tensors) if kind == KIND else Featurizer(kind, d, tensors)
