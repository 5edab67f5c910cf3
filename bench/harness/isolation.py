"""A job in a process of its own, with limits on a cell's time and on the process's memory.

The process comes from a fork server that has the libraries loaded, so a start costs little. When a cell is cut short,
or takes the process with it, that cell gets the state ``timeout`` or ``killed`` and a new process does the others.
"""

from __future__ import annotations

import logging
import multiprocessing
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

from bench.harness.errors import StoreError
from bench.harness.job import Load, Tell, Work, load_engine, run_job, save_outcome, save_problem
from bench.harness.provenance import resident
from bench.harness.store import Store

PRELOAD = ["bench.harness.isolation", "bench.engine", "datasets"]
TICK = 0.1


def run_isolated(works: Sequence[Work], store: Store, tell: Tell, load: Load = load_engine) -> None:
    """As :func:`bench.harness.job.run_job`, in another process."""
    left = list(works)
    while left:
        finished, current, why = _one_process(left, store, tell, load)
        left = [work for work in left if work.cell.key not in finished]
        if not why:
            return
        status, text = why
        victim = next((work for work in left if work.cell.key == current), None)
        victims = left if victim is None else [victim]  # without a current cell it died while opening: all share it
        for work in victims:
            save_end(work, store, status, text)
            tell("done", key=work.cell.key)
        left = [work for work in left if work not in victims]


def save_end(work: Work, store: Store, status: str, text: str) -> None:
    """Record how a cell ended; where it was its measurements that did, those that are missing."""
    if store.status(work.cell.key) != "ok":
        save_outcome(work.cell, store, status, text)
        return
    for score in work.scores:
        if store.score_status(work.cell.key, score.key) == "missing":
            save_problem(work.cell, score, store, status, text)


def _one_process(
    works: Sequence[Work], store: Store, tell: Tell, load: Load
) -> tuple[set[str], str | None, tuple[str, str] | None]:
    """Keys of the finished cells, the cell in work when it ended, and state and reason where it ended badly."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    if multiprocessing.get_start_method(allow_none=True) not in (None, *multiprocessing.get_all_start_methods()):
        multiprocessing.set_start_method("forkserver", force=True)  # a joblib worker's own, which its children lack
    ours, theirs = context.Pipe(duplex=False)
    shown = any(type(handler) is not logging.NullHandler for handler in logging.getLogger("bench").handlers)
    process = context.Process(target=_child, args=(list(works), str(store.root), theirs, load, shown), daemon=True)
    process.start()
    theirs.close()
    try:
        return _watch(process, ours, works[0].cell.settings, tell)
    finally:
        process.kill()
        process.join()
        ours.close()


def _watch(process: Any, pipe: Connection, settings: Any, tell: Tell) -> Any:
    finished: set[str] = set()
    current, since = None, time.monotonic()
    while True:
        try:
            while pipe.poll(TICK):
                event, details = pipe.recv()
                if event == "end":
                    return finished, current, None
                if event == "store":
                    raise StoreError(details["message"])
                if event == "start":
                    current, since = details["key"], time.monotonic()
                if event == "done":
                    finished.add(details["key"])
                    current, since = None, time.monotonic()
                tell(event, **details)
        except EOFError:
            process.join()
            return finished, current, ("killed", _death(process.exitcode))
        if settings.timeout is not None and time.monotonic() - since > settings.timeout:
            return finished, current, ("timeout", f"took longer than {settings.timeout:g} s")
        if settings.memory is not None and resident(process.pid) > settings.memory:
            return finished, current, ("killed", f"took more than {settings.memory} MiB of memory")


def _death(code: int | None) -> str:
    if code is not None and code < 0:
        return f"its process was ended by signal {-code}" + (" (out of memory?)" if code == -9 else "")
    return f"its process ended by itself with code {code}"


def _child(works: list[Work], root: str, pipe: Connection, load: Load, shown: bool) -> None:
    if not shown:  # tracebacks of failed cells
        logging.getLogger("bench").addHandler(logging.NullHandler())
        logging.getLogger("bench").propagate = False

    def tell(event: str, **details: Any) -> None:
        pipe.send((event, details))

    try:
        with Store(root) as store:
            run_job(works, store, tell, load)
    except StoreError as error:
        tell("store", message=str(error))
    else:
        tell("end")
