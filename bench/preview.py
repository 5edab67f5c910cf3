"""Examples of a task as text, for reading aloud; a line break in a prompt is shown as ``\\n``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from datasets import Dataset


def preview(examples: Dataset, n: int = 3) -> str:
    """The first ``n`` examples (rows as :mod:`bench.task` describes them) with all their counterfactuals."""
    return "\n\n".join(_example(i, examples[i]) for i in range(min(n, len(examples))))


def _example(index: int, row: Mapping[str, Any]) -> str:
    others: Mapping[str, Mapping[str, Any]] = row["counterfactuals"]
    width = max(map(len, ("clean", *others)))
    head = f"{index + 1}. {row['template']}, cluster {row['cluster']}, {len(row['ids'])} tokens, wrong: {row['wrong']}"
    where = ", ".join(f"{name} {at}" for name, at in sorted(row["positions"].items(), key=lambda item: item[1]))
    lines = [_line("clean", width, row), *(_line(name, width, other) for name, other in others.items())]
    return "\n".join([head, *lines, f"   {'positions':{width}}  {where}"])


def _line(name: str, width: int, prompt: Mapping[str, Any]) -> str:
    values = ", ".join(f"{variable}={value}" for variable, value in prompt["values"].items() if value)
    text = prompt["prompt"].replace("\n", "\\n")
    return f"   {name:{width}}  {text} -> {prompt['answer'] or '(nothing)'}   [{values}]"
