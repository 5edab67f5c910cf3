"""Where a task's planted models lie: `planted/seed0`, and `planted/<variant>/seed0` for further variants."""

from __future__ import annotations

from pathlib import Path


def folder(task: Path, variant: str | None = None, default: str | None = None) -> Path:
    """The folder of a variant's models beside a task; `default` is the name of the variant that needs none."""
    return task / "planted" if variant in (None, default) else task / "planted" / str(variant)


def shipped(task: Path, variant: str | None = None, default: str | None = None) -> dict[int, Path]:
    """Directories of a variant's models by seed, in order; empty where there are none."""
    found = (path.parent for path in folder(task, variant, default).glob("seed*/config.json"))
    named = {path.name.removeprefix("seed"): path for path in found}
    return {int(seed): named[seed] for seed in sorted((s for s in named if s.isdigit()), key=int)}
