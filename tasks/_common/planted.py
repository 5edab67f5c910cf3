"""The planted models that ship beside a task: ``planted/seedN``, and ``planted/VARIANT/seedN``."""

from __future__ import annotations

from pathlib import Path


def shipped(module_file: str | Path, variant: str | None = None) -> dict[int, Path]:
    """Directories by seed, of the task whose module ``module_file`` is; those of ``variant`` where one is named."""
    where = Path(module_file).parent / "planted"
    folders = [path.parent for path in (where / variant if variant else where).glob("seed*/config.json")]
    found = {folder.name.removeprefix("seed"): folder for folder in folders}
    return {int(seed): found[seed] for seed in sorted((s for s in found if s.isdigit()), key=int)}
