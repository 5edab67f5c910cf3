"""The planted models that ship beside a task: ``planted/seedN``, and ``planted/VARIANT/seedN``."""

from __future__ import annotations

from pathlib import Path

from bench.planting.evidence import shipped as layout


def shipped(module_file: str | Path, variant: str | None = None) -> dict[int, Path]:
    """Directories by seed, of the task whose module ``module_file`` is; those of ``variant`` where one is named."""
    return layout.shipped(Path(module_file).parent, variant)
