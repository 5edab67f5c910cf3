"""submitit with patience: Hydra's launcher leaves at the first job that died, while the others are still at work."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator
from typing import Any

TICK = 0.2


@contextlib.contextmanager
def patient() -> Iterator[None]:
    """Within, the launcher's executor waits for all jobs, cancels them when it is interrupted, and locally starts no
    more at once than there are processors, by ``cpus_per_task`` each."""
    import submitit

    class Patient(submitit.AutoExecutor):
        def map_array(self, fn: Any, *iterables: Iterable[Any]) -> list[Any]:
            jobs: list[Any] = []
            try:
                if self.cluster == "local":
                    per_job = self.parameters.get("cpus_per_task") or 1
                    _submit_in_turn(self, fn, iterables, jobs, max(1, len(os.sched_getaffinity(0)) // per_job))
                else:
                    jobs += super().map_array(fn, *iterables)
                for job in jobs:
                    job.wait()
            except BaseException:
                _cancel(jobs, wait=self.cluster == "local")
                raise
            return jobs

    own = submitit.AutoExecutor
    submitit.AutoExecutor = Patient  # the launcher looks it up there
    try:
        yield
    finally:
        submitit.AutoExecutor = own


def _submit_in_turn(executor: Any, fn: Any, iterables: Iterable[Iterable[Any]], jobs: list[Any], at_once: int) -> None:
    for arguments in zip(*iterables, strict=True):
        while sum(not job.done() for job in jobs) >= at_once:
            time.sleep(TICK)
        jobs.append(executor.submit(fn, *arguments))


def _cancel(jobs: Iterable[Any], wait: bool) -> None:
    running = [job for job in jobs if not job.done()]
    for job in running:
        job.cancel(check=False)
    for job in running if wait else ():
        job.wait()
