"""What makes and checks a task's planted models, by variant: found beside the task's class.

`<task package>.plant` has `planting` (a :class:`bench.planting.evidence.planting.Planting`). The variant `natural` is
the model that is trained on the task alone; a task that trains it in a way of its own has `<task package>.natural` with
`natural` (a :class:`bench.planting.natural.planting.NaturalPlanting`).
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.harness.errors import CallError, reason
from bench.planting.evidence.shipped import folder
from bench.registry import Registries

NATURAL = "natural"


@dataclass(frozen=True)
class Planter:
    """One variant of a task. `default` is the name of the task's default variant, None where it has none."""

    task: str
    variant: str | None
    default: str | None
    maker: Any

    def folder(self, root: Path) -> Path:
        """Where the variant's models are in a folder of models."""
        return folder(root, self.variant, self.default)

    def plant(self, seed: int, where: Path, root: Path, progress: Any) -> None:
        """Train the model of a seed; the one that it goes on from is looked for in `root` first."""
        if self.variant == NATURAL:
            self.maker.plant(seed, where, progress)
            return
        before = self.maker.starts.get(self.variant)
        start = folder(root, before, self.default) / f"seed{seed}" if before else None
        found = start if start is not None and (start / "config.json").exists() else None
        self.maker.plant(seed, where, progress, variant=self.variant, start=found)

    def name(self, directory: Path) -> str:
        """As tables call a model."""
        return " ".join(part for part in (self.task, self.variant, directory.name) if part)

    def summary(self, figures: dict[str, Any]) -> Mapping[str, Any]:
        """A model's line in the table of all; a natural model has few of its columns."""
        if self.variant != NATURAL:
            return self.maker.summary(figures)
        least = min(found["accuracy"] for found in figures["settings"].values())
        return {"accuracy": least, "falls short": ", ".join(figures["failed"]) or "-"}

    def details(self, found: Mapping[Path, dict[str, Any]]) -> str:
        """All figures of models as Markdown."""
        if self.variant != NATURAL:
            return self.maker.details(found)
        from bench.planting.evidence.circuit import Circuit
        from bench.planting.natural.table import markdown

        return markdown([(Circuit.read(path / "circuit.json"), figures) for path, figures in found.items()])


def planters(task: str, registries: Registries) -> dict[str | None, Planter]:
    """A task's variants, the default one first; raises :class:`CallError` where the task plants nothing."""
    package = registries.tasks.load(task).__module__.rpartition(".")[0]
    planting = _attribute(task, f"{package}.plant", "planting") if package else None
    if planting is None:
        raise CallError(f"the task {task} has no planted models")
    names = planting.variants
    out = {name: Planter(task, name, names[0], planting) for name in names}
    natural = _attribute(task, f"{package}.{NATURAL}", NATURAL) or _natural(planting)
    return out | {NATURAL: Planter(task, NATURAL, names[0], natural)}


def _natural(planting: Any) -> Any:
    from bench.planting.natural.planting import NaturalPlanting

    return NaturalPlanting(planting)


def no_variant(task: str, variant: str, found: Mapping[str | None, Planter]) -> CallError:
    """The error for a variant that a task does not plant."""
    known = ", ".join(str(name) for name in found if name is not None) or "none"
    return CallError(f"{task} has no planted variant {variant} (there are: {known})")


def _attribute(task: str, module: str, name: str) -> Any:
    """An attribute of a module that need not be there; None without it."""
    try:
        return getattr(importlib.import_module(module), name, None)
    except ModuleNotFoundError as error:
        if error.name == module:
            return None
        raise CallError(f"what plants {task} cannot be imported: {reason(error)}") from error
