"""The explanation: what a method hands over, and all that it is judged by. Schema 1: a JSON and a safetensors file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save

SCHEMA = 1
TRACKS = {
    "node": "circuit", "edge": "circuit", "neuron": "circuit", "feature": "circuit", "site": "variable",
    "layer": "readout", "head": "readout", "dictionary": "dictionary",
}  # fmt: skip
"""The track that the components of each level belong to."""
LEVELS = tuple(TRACKS)
ARRAYS = ("scores", "tensors")
"""Fields that go into the safetensors file."""
JSON_NAME = "explanation.json"
SCORES_NAME = "scores.safetensors"


class ExplanationError(ValueError):
    """An explanation that breaks the schema; the message says where."""


@dataclass(frozen=True)
class Explanation:
    """Signed scores over the components of a model on a task; positive means that the component helps the answer."""

    level: str
    components: tuple[str, ...]
    scores: NDArray[np.float32]
    """``[n_components]`` or ``[n_components, n_positions]``."""
    task: str
    task_version: str
    model: str
    model_revision: str
    method: str
    method_version: str
    counterfactual: str
    split: str = "train"
    objective: str = "logit_diff"
    positions: str = "all"
    """Position policy: ``all``, or the names of the scores' second axis joined by commas."""
    track: str = "circuit"
    schema: int = SCHEMA
    extra: dict[str, Any] = field(default_factory=dict)
    tensors: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    """What else is handed over, by name, beside ``scores`` in the same file; ``extra`` says what it is."""

    def __post_init__(self) -> None:
        check(self)

    def files(self) -> dict[str, bytes]:
        """The two files of the schema, by name."""
        meta = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ARRAYS}
        meta["components"] = list(self.components)
        text = json.dumps(meta, indent=1, sort_keys=True) + "\n"
        arrays = {"scores": self.scores, **self.tensors}
        return {JSON_NAME: text.encode(), SCORES_NAME: save({k: np.ascontiguousarray(v) for k, v in arrays.items()})}


def check(explanation: Explanation) -> None:
    """Raise :class:`ExplanationError` where the explanation breaks the schema."""
    scores = explanation.scores
    if explanation.schema != SCHEMA:
        raise ExplanationError(f"schema {explanation.schema} is not {SCHEMA}")
    if explanation.level not in LEVELS:
        raise ExplanationError(f"level {explanation.level!r} is none of {', '.join(LEVELS)}")
    if len(set(explanation.components)) != len(explanation.components):
        raise ExplanationError("a component is named twice")
    if scores.dtype != np.float32 or scores.ndim not in (1, 2) or len(scores) != len(explanation.components):
        raise ExplanationError(
            f"scores are {scores.dtype} {scores.shape}; expected float32 with {len(explanation.components)} rows"
        )
    bad = ~np.isfinite(scores.reshape(len(scores), -1)).all(axis=1)
    if bad.any():
        first = explanation.components[int(np.argmax(bad))]
        raise ExplanationError(f"scores of {int(bad.sum())} components are not finite, the first is {first}")
    for name, tensor in explanation.tensors.items():
        if name == "scores" or not np.isfinite(tensor).all():
            raise ExplanationError(f"the tensor {name!r} has the name of the scores, or values that are not finite")


def load(folder: Path) -> Explanation:
    """Read the pair of files in ``folder``."""
    meta = json.loads((folder / JSON_NAME).read_text())
    known = {f.name for f in fields(Explanation) if f.name not in ARRAYS}
    if unknown := set(meta) - known:
        raise ExplanationError(f"{JSON_NAME}: unknown keys {sorted(unknown)}")
    meta["components"] = tuple(meta["components"])
    arrays = load_file(folder / SCORES_NAME)
    return Explanation(scores=arrays.pop("scores"), tensors=arrays, **meta)


def describe(explanation: Explanation) -> dict[str, Any]:
    """Everything but the scores, as plain values."""
    return {key: value for key, value in asdict(explanation).items() if key not in ARRAYS}
