"""bench plant task=TASK model.seed=SEED [out=DIRECTORY] [--verify]: train a planted model again.

  bench plant task=ioi model.seed=0                writes planted/ioi/seed0
  bench plant task=ioi model.seed=0,1 out=models   writes models/seed0 and models/seed1
  bench plant task=ioi model.seed=0 --verify       trains nothing; measures the shipped model's evidence again
  bench plant task=ioi model.seed=0 out=models --verify

Training takes up to an hour on 2 cores and goes on where it was when it was stopped.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from bench.cli.compose import Config, composer, split_arguments
from bench.harness.errors import CallError
from bench.registry import Registries, discover

VERIFY = "--verify"


def main(arguments: Sequence[str]) -> int:
    """Plant or verify the seeds asked for; the exit code."""
    positionals, flags, overrides = split_arguments(arguments, [VERIFY])
    if positionals:
        raise CallError(f"`bench plant` takes task= and model.seed=; what is {positionals[0]!r}?")
    registries = discover()
    with composer(overrides, registries) as hydra:
        fixed, sweep = hydra.expand()
        configs = list(hydra.configs(fixed, sweep))
        own_out = "out" in hydra.named()
    for config in configs:
        task = registries.tasks.load(config["task"]["name"])()
        seed = int(config["model"]["seed"])
        planter = _planter(config["task"]["name"], registries)
        if flags:
            _verify(planter, _shipped(task, seed, config, own_out))
            continue
        where = (Path(config["out"]) if own_out else Path("planted") / task.name) / f"seed{seed}"
        _plant(planter, seed, where, config)
    return 0


def _planter(name: str, registries: Registries) -> ModuleType:
    """The module ``plant`` beside the task."""
    package = registries.tasks.load(name).__module__.rpartition(".")[0]
    try:
        return importlib.import_module(f"{package}.plant")
    except ModuleNotFoundError as error:
        if error.name != f"{package}.plant":
            raise
        raise CallError(f"the task {name} has no planted models") from error


def _plant(planter: ModuleType, seed: int, where: Path, config: Config) -> None:
    import torch

    if (where / "config.json").exists():
        raise CallError(f"{where} is there already: move it away, or name another place with out=DIRECTORY")
    where.parent.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(int(config["threads"] or 1))
    with _Bar() as bar:
        planter.plant(seed, where, bar.update)
    print(where)


def _shipped(task: Any, seed: int, config: Config, own_out: bool) -> Path:
    if own_out:
        return Path(config["out"]) / f"seed{seed}"
    shipped = task.planted()
    if seed not in shipped:
        have = ", ".join(map(str, shipped)) or "none"
        raise CallError(f"no planted model of {task.name} with seed {seed} is shipped (there are: {have})")
    return Path(shipped[seed])


def _verify(planter: ModuleType, where: Path) -> None:
    if not (where / "config.json").exists():
        raise CallError(f"{where} is no planted model: it has no config.json")
    found = planter.verify(where)
    table: Callable[..., str] | None = getattr(planter, "table", None)
    print(table([where]) if table else json.dumps(found, indent=1, sort_keys=True))


class _Bar:
    """A progress bar on a terminal, a line now and then in a pipe."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._task: Any = None
        self._said = 0

    def __enter__(self) -> _Bar:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import Progress

            self._bar = Progress(console=Console(file=sys.stderr))
            self._bar.start()
            self._task = self._bar.add_task("planting", total=None)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, done: int, total: int, text: str = "") -> None:
        """Take a step's news."""
        if self._bar is not None:
            self._bar.update(self._task, completed=done, total=total, description=text or "planting")
        elif total and done * 10 // total > self._said:
            self._said = done * 10 // total
            print(f"{done}/{total} {text}", file=sys.stderr, flush=True)
