"""What a method hands over, checked as its track demands, and as numbers that runs can be compared by."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from bench.dictionary.files import declared as declared_dictionary
from bench.explanation import TRACKS, Explanation, ExplanationError
from bench.features.declared import declared as declared_latents
from bench.method import Handed, Job, Method
from bench.readout.declared import declares, reader_of
from bench.variable.declared import declared as declared_features

Parts = dict[str, NDArray[np.float64]]
"""Numbers by name: the scores, and what else is handed over."""


def numbers(method: Method, handed: Handed, job: Job) -> Parts:
    """What was handed over, as the judges of its track read it; raises ``ValueError`` for what they could not read.

    Circuits are judged by their scores alone, summed over positions. Of the other tracks what is declared must be
    readable, and counts by what it does: a subspace by its projection, since the basis is anybody's choice.
    """
    return _KINDS[kind_of(method.level)](method, handed, job)


def kind_of(level: str) -> str:
    """The track of a level; circuits of latents, whose dictionaries are handed over too, are a kind of their own."""
    return level if level == "feature" else TRACKS[level]


def _circuit(method: Method, handed: Handed, job: Job) -> Parts:
    scores = np.asarray(handed.scores)
    if scores.ndim == 2 and scores.shape[1:] == (len(method.position_axis().split(",")),):
        scores = scores.sum(axis=1)  # as metrics read scores with a position axis
    wanted = len(job.graph.names(method.level))
    if scores.shape != (wanted,) or not np.issubdtype(scores.dtype, np.number):
        raise ValueError(f"scores are {scores.dtype} {scores.shape}; expected numbers, one for each of {wanted}")
    if not np.isfinite(scores).all():
        raise ValueError(f"{int((~np.isfinite(scores)).sum())} scores are not finite")
    return {"scores": scores.astype(np.float64)}


def _variable(method: Method, handed: Handed, job: Job) -> Parts:
    explanation = _explanation(method, handed)
    found = declared_features(explanation)
    parts = {"scores": explanation.scores.astype(np.float64)}
    for place, featurizer in found.features.items():
        tensors = {name: np.asarray(t, dtype=np.float64) for name, t in featurizer.tensors.items()}
        scale = tensors.get("mask", 1.0)
        if not featurizer.linear:
            parts |= {f"{name} at {place}": tensor for name, tensor in tensors.items()}
        elif featurizer.kind == "linear":
            parts[f"the part at {place}"] = (tensors["decoder"] * scale) @ tensors["encoder"]
        else:
            whole = scale if featurizer.kind == "mask" else float(featurizer.kind == "full")
            parts[f"the part at {place}"] = np.diag(np.broadcast_to(whole, featurizer.d))
    return parts


def _dictionary(method: Method, handed: Handed, job: Job) -> Parts:
    explanation = _explanation(method, handed)
    declared_dictionary(explanation)
    return _with_tensors(explanation)


def _feature(method: Method, handed: Handed, job: Job) -> Parts:
    explanation = _explanation(method, handed)
    declared_latents(explanation)
    return _with_tensors(explanation)


def _readout(method: Method, handed: Handed, job: Job) -> Parts:
    explanation = _explanation(method, handed)
    if declares(explanation):
        reader_of(explanation, job.readout_data())
    return _with_tensors(explanation)


def _with_tensors(explanation: Explanation) -> Parts:
    tensors: Mapping[str, NDArray[np.generic]] = {"scores": explanation.scores, **explanation.tensors}
    return {name: np.asarray(tensor, dtype=np.float64) for name, tensor in tensors.items()}


def _explanation(method: Method, handed: Handed) -> Explanation:
    """As it would be stored; raises :class:`ExplanationError` where it breaks the schema."""
    scores = np.asarray(handed.scores)
    if not np.issubdtype(scores.dtype, np.number):
        raise ExplanationError(f"scores are {scores.dtype}, not numbers")
    return Explanation(
        method.level, handed.components, scores.astype(np.float32), "", "", "", "", method.label(), method.version, "",
        positions=method.position_axis(), track=TRACKS[method.level], extra=handed.extra, tensors=handed.tensors,
    )  # fmt: skip


_KINDS: dict[str, Callable[[Method, Handed, Job], Parts]] = {
    "circuit": _circuit, "feature": _feature, "variable": _variable, "readout": _readout, "dictionary": _dictionary,
}  # fmt: skip
