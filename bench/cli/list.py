"""bench list [tasks|methods|models|metrics] [--examples TASK]: what there is, by name.

  bench list methods
  bench list --examples ioi       some examples of a task, with its first planted model's tokenizer
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.cli.compose import composer, split_arguments
from bench.harness.errors import CallError
from bench.registry import DuplicateName, PluginError, Registries, Registry, discover, unknown

KINDS = ("tasks", "methods", "models", "metrics")


def main(arguments: Sequence[str]) -> int:
    """Print the names; the exit code."""
    positionals, flags, overrides = split_arguments(arguments, ["--examples"])
    registries = discover()
    if flags:
        return _examples(positionals, registries)
    if overrides:
        raise CallError(f"`bench list` takes no overrides: {overrides[0]}")
    for kind in positionals:
        if kind not in KINDS:
            raise CallError(unknown("kind", kind, KINDS))
    kinds = positionals or list(KINDS)
    for kind in kinds:
        if len(kinds) > 1:
            print(f"{kind}:")
        for name, text in _lines(kind, registries):
            print(f"{'  ' if len(kinds) > 1 else ''}{name:22} {text}".rstrip())
    return 0


def _lines(kind: str, registries: Registries) -> list[tuple[str, str]]:
    if kind == "models":
        return _models(registries)
    registry: Registry[Any] = getattr(registries, kind)
    return [(name, _about(registry, name)) for name in registry.names()]


def _about(registry: Registry[Any], name: str) -> str:
    """The first line of a plug-in's docstring, its level or levels, and who brings it; or what is wrong with it."""
    try:
        cls = registry.load(name)
    except (PluginError, DuplicateName) as error:
        return f"BROKEN: {error}"
    levels = getattr(cls, "levels", None) or getattr(cls, "level", None)
    levels = ("node", "edge") if getattr(cls, "baseline", False) else levels
    shown = f"[{levels if isinstance(levels, str) else ', '.join(levels)}] " if levels else ""
    text = (cls.__doc__ or "").strip().split("\n\n")[0]
    owner = registry.entry(name).distribution
    return shown + " ".join(text.split()) + ("" if owner == "interpassay" else f" ({owner})")


def _models(registries: Registries) -> list[tuple[str, str]]:
    lines = []
    with composer([], registries) as hydra:
        for name in hydra.options("model"):
            if name == "planted":
                lines.append((name, f"with a known circuit: {_planted(registries)}"))
                continue
            found = hydra.config([f"model={name}", *(["model.id=NAME_OR_DIRECTORY"] if name == "hf" else [])])
            lines.append((name, f"model.id={found['model']['id']}"))
    return lines


def _planted(registries: Registries) -> str:
    found = []
    for name in registries.tasks.names():
        try:
            seeds = sorted(registries.tasks.load(name)().planted())
        except (PluginError, DuplicateName):
            continue
        if seeds:
            found.append(f"{name} (model.seed={','.join(map(str, seeds))})")
    return ", ".join(found) or "none shipped"


def _examples(names: Sequence[str], registries: Registries, count: int = 5) -> int:
    if len(names) != 1:
        raise CallError("name one task: bench list --examples ioi")
    from bench.task import DataRequest

    task = registries.tasks.load(names[0])()
    planted = task.planted()
    if not planted:
        raise CallError(f"{names[0]} ships no planted model, so there is no tokenizer to show its examples with")
    rows = task.build(_tokenizer(planted[min(planted)]), DataRequest()).split("train")
    for i in range(min(count, len(rows))):
        row = rows[i]
        print(f"{row['prompt']} -> {row['answer']}  (not {row['wrong']})  [{row['cluster']}]")
        for name, other in row["counterfactuals"].items():
            print(f"  {name}: {other['prompt']} -> {other['answer']}")
    return 0


def _tokenizer(directory: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(directory)
