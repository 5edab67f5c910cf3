"""bench plant task=TASK model.seed=SEED [model.variant=NAME] [out=DIRECTORY]: train a planted model again.
bench plant [task=TASK] [model.seed=SEED] [model.variant=NAME] [out=DIRECTORY] --verify: measure evidence again.

  bench plant task=ioi model.seed=0                writes planted/ioi/seed0
  bench plant task=ioi model.seed=0,1 out=models   writes models/seed0 and models/seed1
  bench plant --verify                             the evidence of all shipped models, from their weights
  bench plant task=ioi --verify                    of one task's; with model.seed=0, of one model
  bench plant --verify --write                     the same, also into planted/EVIDENCE.md beside each task
  bench plant task=ioi out=models --verify         of the models in a directory
  bench plant model.variant=natural task=ioi       a model trained on the task alone; its circuit is measured
  bench plant --report [store=results]             planted against natural models, into leaderboards/natural

A task may ship several variants; the default one needs no name, the others go into directories of their own.
Training takes up to an hour on 2 cores and goes on where it was when it was stopped. With --verify nothing is trained;
models are measured side by side on `threads` processors (all of them unless set), and the exit code is 1 when one
falls short. --report runs the default experiment on both kinds of models where the store has it not yet.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.cli import evidence, natural
from bench.cli.compose import Config, composer, split_arguments
from bench.cli.planters import no_variant, planters
from bench.harness.errors import CallError
from bench.harness.models import variant_of
from bench.registry import discover

VERIFY, WRITE, REPORT = "--verify", "--write", "--report"


def main(arguments: Sequence[str]) -> int:
    """Plant or verify what is asked for; the exit code."""
    positionals, flags, overrides = split_arguments(arguments, [VERIFY, WRITE, REPORT])
    if positionals:
        raise CallError(f"`bench plant` takes task=, model.seed= and model.variant=; what is {positionals[0]!r}?")
    registries = discover()
    with composer(overrides, registries) as hydra:
        configs = list(hydra.configs(*hydra.expand()))
        named = hydra.named()
    if {VERIFY, REPORT} <= set(flags):
        raise CallError(f"{' and '.join(flags)}: ask for one of them")
    if WRITE in flags and (VERIFY not in flags or named & {"out", "model.variant", *evidence.SEEDS}):
        raise CallError(f"{WRITE} goes with {VERIFY} of all shipped models of a task: no seeds, variants or out=")
    if VERIFY in flags:
        return evidence.run(configs, named, registries, write=WRITE in flags)
    if REPORT in flags:
        return natural.report(configs, named, registries)
    for config in configs:
        task, variant = config["task"]["name"], variant_of(config["model"])
        found = planters(task, registries)
        if variant is not None and variant not in found:
            raise no_variant(task, variant, found)
        root = Path(config["out"]) if "out" in named else Path("planted") / task
        _plant(found[variant if variant is not None else next(iter(found))], root, config)
    return 0


def _plant(planter: Any, root: Path, config: Config) -> None:
    import torch

    seed = int(config["model"]["seed"])
    where = planter.folder(root) / f"seed{seed}"
    if (where / "config.json").exists():
        raise CallError(f"{where} is there already: move it away, or name another place with out=DIRECTORY")
    where.parent.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(int(config["threads"] or 1))
    try:
        with Bar() as bar:
            planter.plant(seed, where, root, bar.update)
    except ValueError as error:
        raise CallError(str(error)) from error
    print(where)


class Bar:
    """A progress bar on a terminal; in a pipe a line now and then, or nothing where `quiet`."""

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet
        self._bar: Any = None
        self._task: Any = None
        self._said = 0

    def __enter__(self) -> Bar:
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
        elif total and not self._quiet and done * 10 // total > self._said:
            self._said = done * 10 // total
            print(f"{done}/{total} {text}", file=sys.stderr, flush=True)
