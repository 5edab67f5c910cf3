"""The process in which `bench check` runs a method several times, watched: ``python -m bench.contract.probe``.

Takes ``{"calls": [overrides, ...], "home": folder}`` as JSON on stdin and gives what it saw of each call as JSON on
stdout, once; whatever a method prints goes to stderr.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.contract.watch import Watch

BATCHES = (16, 5)
Found = dict[str, Any]


def main() -> None:
    """Read the request, run, answer."""
    request = json.loads(sys.stdin.read())
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    sys.dont_write_bytecode = True
    with answer:
        json.dump([probe(overrides, Path(request["home"])) for overrides in request["calls"]], answer)


def probe(overrides: list[str], home: Path) -> Found:
    """Everything that the clauses need to know; ``problem`` where the method could not be run at all."""
    import bench.engine  # noqa: F401 - torch makes a folder on the way; a method that imports it is not to blame
    from bench.contract.handing import kind_of
    from bench.contract.opening import exact_effects, job_on, open_cell
    from bench.harness.cells import with_variable
    from bench.harness.errors import CallError, reason
    from bench.registry import discover

    watch = Watch(home, _secrets())
    name = next(word.split("=", 1)[1] for word in overrides if word.startswith("method="))
    with _watched(watch):
        discover().methods.load(name)
    cell, opened = open_cell(overrides)
    runner = _Runner(cell, opened, watch)
    try:
        runs = {"first": runner(0, BATCHES[0]), "again": runner(0, BATCHES[0]), "other_seed": runner(1, BATCHES[0])}
        runs["small_batches"] = runner(0, BATCHES[1])
    except CallError:
        raise
    except Exception as error:  # whatever the method does wrong is what is asked for here
        return {"problem": reason(error), "peeked": watch.peeked, "wrote": watch.wrote}
    track = kind_of(cell.method.level)
    effects = exact_effects(job_on(opened)).tolist() if track == "circuit" else []
    graph = opened.engine.graph
    where = f"{with_variable(cell.task.name, cell.method.variable)} on {cell.model.called}"
    return {
        "runs": runs, "effects": effects, "nodes": list(graph.components), "n_edges": graph.n_edges,
        "peeked": watch.peeked, "wrote": watch.wrote, "direct": runner.direct, "declared": runner.declared,
        "track": track, "level": cell.method.level, "stochastic": cell.method.seed is not None,
        "baseline": cell.method.baseline, "on": f"{where}, {len(opened.examples['train'])} training examples",
    }  # fmt: skip


class _Runner:
    """Runs a fresh method each time, counts passes, and notices a model that is run past the engine."""

    def __init__(self, cell: Any, opened: Any, watch: Watch) -> None:
        self.cell, self.opened, self.watch = cell, opened, watch
        self.direct = 0
        self.declared: list[float] | None = None
        self._inside = False
        run = opened.engine.wiring.run

        def counted(*args: Any, **options: Any) -> Any:
            self._inside = True
            try:
                return run(*args, **options)
            finally:
                self._inside = False

        opened.engine.wiring.run = counted
        opened.engine.model.register_forward_pre_hook(self._called)

    def __call__(self, seed: int, batch_size: int) -> Found:
        import torch

        from bench.contract.handing import numbers
        from bench.contract.opening import job_on
        from bench.harness.choices import build
        from bench.harness.partners import partner_of
        from bench.registry import discover

        method = build("method", discover().methods.load(self.cell.method.name), self.cell.method.parameters)
        job = job_on(self.opened, seed, batch_size, method.objective, self.cell.method.variable)
        job.truth = self.opened.truth if method.needs_truth else None
        job.partner = partner_of(self.cell.method, self.cell.settings, self.opened.shared)
        if job.partner is not None:
            job.partner()  # before the watch begins: that its files are read is not the method's doing
        torch.manual_seed(seed)
        np.random.seed(seed)
        job.engine.cost.reset()
        with _watched(self.watch):
            handed = method.explain(job)
        n, cost = job.n_examples["train"], replace(job.engine.cost)
        parts = {name: part.tolist() for name, part in numbers(method, handed, job).items()}
        declared = method.passes(job.graph)
        self.declared = None if declared is None else [float(n) for n in declared]
        return {"parts": parts, "forwards": cost.forwards / n, "backwards": cost.backwards / n}

    def _called(self, *_: Any) -> None:
        self.direct += int(self.watch.active and not self._inside)


@contextmanager
def _watched(watch: Watch) -> Iterator[None]:
    watch.active = True
    try:
        yield
    finally:
        watch.active = False


def _secrets() -> list[Path]:
    """The folders of all planted models that are installed."""
    from bench.registry import DuplicateName, PluginError, discover

    found: list[Path] = []
    tasks = discover().tasks
    for name in tasks.names():
        try:
            found += tasks.load(name)().planted().values()
        except (PluginError, DuplicateName):
            continue
    return sorted({path.parent for path in found})


if __name__ == "__main__":
    main()
