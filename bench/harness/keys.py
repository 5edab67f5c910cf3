"""Keys of results: hashes of everything that a result depends on, and of nothing else.

An explanation depends on the schema, the resolved task, method and model, their versions, the seeds that matter and
the model's revision. Store path, launcher, device, batch size, padding side and isolation are in no key.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.explanation import SCHEMA

LENGTH = 32
WEIGHTS = ("*.safetensors", "*.bin", "*.pt", "*.pth")


def canonical(value: Any) -> str:
    """One JSON text per value: sorted keys, no spaces, tuples as lists, whole floats as themselves."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def digest(value: Any) -> str:
    """The key of a plain value."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:LENGTH]


def explanation_key(identity: Mapping[str, Any]) -> str:
    """Key of the explanation that ``identity`` (task, model, method, seeds, with versions) leads to."""
    return digest({"schema": SCHEMA, "identity": dict(identity)})


def score_key(explanation: str, metric: Mapping[str, Any], ablation: str) -> str:
    """Key of a metric's measurement on an explanation; ``metric`` has name, version and parameters."""
    return digest({"schema": SCHEMA, "explanation": explanation, "metric": dict(metric), "ablation": ablation})


def file_digest(*paths: Path) -> str:
    """SHA-256 over the contents of the files, in the order given."""
    found = hashlib.sha256()
    for path in paths:
        with path.open("rb") as stream:
            while block := stream.read(1 << 20):
                found.update(block)
    return found.hexdigest()


def weights_digest(directory: Path) -> str:
    """A model directory's revision: SHA-256 over its weight files in the order of their names; "" without any."""
    for pattern in WEIGHTS:
        if files := sorted(directory.glob(pattern)):
            return file_digest(*files)
    return ""
