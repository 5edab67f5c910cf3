"""Whether featurizers that are handed in keep their description, and fit the task and the model."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from bench.explanation import JSON_NAME, Explanation, ExplanationError
from bench.submit.limits import Rejected, shown

PLACE = f"{JSON_NAME}: extra"
DECLARED = ("variable", "site", "rank", "features")
DESCRIBED = ("site", "kind", "d", "rank")
POSITION = re.compile(r"\w{1,30}([+-]\d{1,3})?", re.ASCII)


def check_featurizers(explanation: Explanation, widths: Mapping[str, int], variables: Collection[str]) -> None:
    """Refuse featurizers that break their description, places that the model lacks, and unknown variables.

    ``widths`` are those of :func:`bench.submit.graphs.widths_of_config`, ``variables`` the causal model's.
    """
    from bench.variable.declared import declared

    features = _described(explanation.extra)
    for index, name in enumerate(explanation.components):
        _width(name, widths, f"{JSON_NAME}: components[{index}]")
    try:
        found = declared(explanation)
    except ExplanationError as error:
        raise Rejected(PLACE, shown(str(error), 200)) from error
    if found.variable not in variables:
        raise Rejected(f"{PLACE}: variable", f"{shown(found.variable)} is none of {', '.join(variables)}")
    if len(found.features) != len(features):
        raise Rejected(f"{PLACE}: features", "describes a site twice")
    if sum(len(featurizer.tensors) for featurizer in found.features.values()) != len(explanation.tensors):
        raise Rejected(f"{PLACE}: features", f"does not describe all of {shown(sorted(explanation.tensors))}")
    for index, (one, featurizer) in enumerate(zip(features, found.features.values(), strict=True)):
        where = f"{PLACE}: features[{index}]"
        if (width := _width(one["site"], widths, where)) != featurizer.d:
            raise Rejected(f"{where}: d", f"is {featurizer.d}; {shown(one['site'])} is {width} wide in this model")
        _same(f"{where}: rank", one["rank"], featurizer.rank)
    _same(f"{PLACE}: rank", explanation.extra["rank"], found.chosen.rank)


def _described(extra: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The list of features, with the keys that they must have and no others."""
    if set(extra) != set(DECLARED):
        raise Rejected(PLACE, f"has the keys {shown(sorted(extra))}; expected {', '.join(DECLARED)}")
    if not isinstance(features := extra["features"], list):
        raise Rejected(f"{PLACE}: features", f"is {shown(features)}, no list")
    for index, one in enumerate(features):
        where = f"{PLACE}: features[{index}]"
        if not isinstance(one, dict) or set(one) != set(DESCRIBED):
            raise Rejected(where, f"is {shown(one)}; expected an object of {', '.join(DESCRIBED)}")
        if type(one["d"]) is not int or not all(isinstance(one[name], str) for name in ("site", "kind")):
            raise Rejected(where, "needs texts for site and kind, and a whole number for d")
    if not all(isinstance(extra[name], str) for name in ("variable", "site")):
        raise Rejected(PLACE, "needs texts for variable and site")
    return features


def _width(name: str, widths: Mapping[str, int], where: str) -> int:
    """How wide a place is in the model; refuses what is no place of it."""
    from bench.variable.places import Place, PlaceError, Widths

    try:
        place = Place.parse(name)
        width = Widths(**widths).of(place)
    except PlaceError as error:
        raise Rejected(where, shown(str(error), 200)) from error
    if not POSITION.fullmatch(place.position):
        raise Rejected(where, f"{shown(place.position)} is no position's name")
    return width


def _same(where: str, said: object, wanted: int) -> None:
    if type(said) is not int or said != wanted:
        raise Rejected(where, f"is {shown(said)}; the featurizer's is {wanted}")
