"""bench new method NAME: write a small installable project to start a method from, into the folder NAME.

bench new method my_method && cd my_method && pip install -e . && pytest
bench check method=my_method                     does it keep the contract
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.cli.compose import split_arguments
from bench.harness.errors import CallError
from bench.registry import discover, unknown


def main(arguments: Sequence[str]) -> int:
    """Write the project; the exit code."""
    positionals, _, overrides = split_arguments(arguments)
    if overrides or len(positionals) != 2:
        raise CallError("bench new method NAME")
    kind, name = positionals
    if kind != "method":
        raise CallError(unknown("kind", kind, ["method"]))
    from bench.contract.scaffold import write_method

    folder = write_method(name, Path("."), discover())
    print(f"{folder}: change {folder / name}.py; then pip install -e {folder}, and bench check method={name}")
    return 0
