"""Where a task's planted models lie: `planted/seed0`, and `planted/<variant>/seed0` for further variants."""

from __future__ import annotations

import json
from pathlib import Path


def folder(root: Path, variant: str | None, default: str | None = None) -> Path:
    """The folder of a variant's models in a folder of models; `default` is the name of the variant that needs none."""
    return root if variant in (None, default) else root / str(variant)


def shipped(task: Path, variant: str | None = None) -> dict[int, Path]:
    """Directories of a variant's models beside a task, by seed; empty where there are none.

    The default variant may be asked for by the name that its models' circuit.json has.
    """
    models = by_seed(folder(task / "planted", variant))
    if models or variant is None:
        return models
    return {seed: path for seed, path in by_seed(task / "planted").items() if _variant(path) == variant}


def by_seed(root: Path) -> dict[int, Path]:
    """The models in a folder of models, by seed, in order."""
    found = (path.parent for path in root.glob("seed*/config.json"))
    named = {path.name.removeprefix("seed"): path for path in found}
    return {int(seed): named[seed] for seed in sorted((s for s in named if s.isdigit()), key=int)}


def _variant(model: Path) -> str | None:
    claim = model / "circuit.json"
    return json.loads(claim.read_text(encoding="utf-8")).get("variant") if claim.is_file() else None
