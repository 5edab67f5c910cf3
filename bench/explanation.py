"""The explanation: what a method hands over, and all that it is judged by. Schema 1: a JSON and a safetensors file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save

SCHEMA = 1
LEVELS = ("node", "edge", "neuron")
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

    def __post_init__(self) -> None:
        check(self)

    def files(self) -> dict[str, bytes]:
        """The two files of the schema, by name."""
        meta = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "scores"}
        meta["components"] = list(self.components)
        text = json.dumps(meta, indent=1, sort_keys=True) + "\n"
        return {JSON_NAME: text.encode(), SCORES_NAME: save({"scores": np.ascontiguousarray(self.scores)})}


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


def load(folder: Path) -> Explanation:
    """Read the pair of files in ``folder``."""
    meta = json.loads((folder / JSON_NAME).read_text())
    known = {f.name for f in fields(Explanation)}
    if unknown := set(meta) - known:
        raise ExplanationError(f"{JSON_NAME}: unknown keys {sorted(unknown)}")
    meta["components"] = tuple(meta["components"])
    return Explanation(scores=load_file(folder / SCORES_NAME)["scores"], **meta)


def describe(explanation: Explanation) -> dict[str, Any]:
    """Everything but the scores, as plain values."""
    meta = asdict(explanation)
    meta.pop("scores")
    return meta
