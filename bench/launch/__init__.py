"""The command ``bench``: first make sure that the four packages are this project's own, then hand over to the verbs.

Their names are common words. A ``tasks.py`` or a ``conf/`` in the working directory (under ``python -m``), on
``PYTHONPATH`` or from another distribution would be imported in their place and fail far from the cause. So this one
folder is installed under a name of its own, ``interpassay``, which nobody else's module stands in for.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

PACKAGES = ("bench", "tasks", "methods", "conf")
_HERE = Path(__file__).resolve().parent
HOME = _HERE.parents[1] if _HERE.name == "launch" else _HERE.parent
"""Where the packages are: the checkout (this folder is bench/launch there), or site-packages."""


def shadows(home: Path = HOME) -> list[str]:
    """A line for each package that does not resolve to the one beside this file, with the path that it resolves to."""
    lines = []
    for name in PACKAGES:
        try:
            spec = importlib.util.find_spec(name)
        except (ImportError, ValueError):
            spec = None
        if spec is None:
            lines.append(f"`{name}` cannot be imported; expected {home / name}")
            continue
        origin = Path(spec.origin) if spec.origin else Path(next(iter(spec.submodule_search_locations or [""])))
        if origin.resolve() not in (home / name / "__init__.py", home / name):
            lines.append(f"`{name}` resolves to {origin}; expected {home / name}")
    return lines


def main(argv: list[str] | None = None) -> int:
    """Run a verb; returns the exit code (0 all well, 1 a cell failed, 2 the call was wrong)."""
    if lines := shadows():
        print("bench: error: somebody else's module stands in for one of this project's packages:", file=sys.stderr)
        for line in lines:
            print(f"  {line}", file=sys.stderr)
        print("Rename or move it, leave its directory, or take it off PYTHONPATH.", file=sys.stderr)
        return 2
    from bench.cli.main import main as run

    return run(sys.argv[1:] if argv is None else argv)
