"""`bench plant --report`: how far planted models are from natural ones, and how well their boards agree."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.cli.compose import Config
from bench.cli.planters import NATURAL, planters
from bench.harness.errors import CallError
from bench.registry import PluginError, Registries

OUT = "leaderboards/natural"
SEEDS = "seed=0,1,2,3,4"
"""Planted seeds and data seeds; the one natural model is run on the same data seeds."""


def report(configs: Sequence[Config], named: set[str], registries: Registries) -> int:
    """Run the boards that are not in the store, measure the models, write the report; the exit code.

    Tasks without a shipped natural model are left out; a task that is named and has none is an error.
    """
    from bench.cli.plant import Bar
    from bench.harness.records import read_records
    from bench.harness.store import Store
    from bench.planting.natural.report import distances, write

    tasks = _tasks(configs, named, registries)
    config = configs[0]
    code = _boards(list(tasks), config)
    with Bar() as bar:
        found = distances(tasks, bar.update)
    out = Path(config["out"] if "out" in named else OUT)
    agreed = write(found, read_records(Store(config["store"])), out)
    print(f"{len(found)} figures of {len(tasks)} tasks and {len(agreed)} agreements in {out}")
    return code


def _tasks(configs: Sequence[Config], named: set[str], registries: Registries) -> dict[str, Any]:
    """The tasks with a shipped natural model, and what makes it."""
    asked = list(dict.fromkeys(config["task"]["name"] for config in configs)) if "task" in named else None
    found = {}
    for name in asked or registries.tasks.names():
        try:
            maker = planters(name, registries)[NATURAL].maker
        except (CallError, PluginError):
            if asked:
                raise
            continue  # not every task plants something, and a broken one is not this command's business
        if maker.shipped():
            found[name] = maker
        elif asked:
            make = f"bench plant task={name} model.variant={NATURAL}"
            raise CallError(f"no natural model of {name} is shipped; make one: {make}")
    if not found:
        raise CallError("no natural model is shipped")
    return found


def _boards(tasks: Sequence[str], config: Mapping[str, Any]) -> int:
    """The default experiment on the planted models and on the natural one; what is stored is not run again."""
    from bench.cli import run

    common = ["experiment=default", f"task={','.join(tasks)}", SEEDS, f"store={config['store']}"]
    code = 0
    for variant in ([], [f"model.variant={NATURAL}", "model.seed=0"]):
        with contextlib.redirect_stdout(io.StringIO()):  # the boards themselves; the report has what counts
            code = max(code, run.main([*common, *variant]))
    return code
