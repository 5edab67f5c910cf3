"""Jobs for workers in other processes, perhaps on other machines: a folder in the store that both sides see.

::

    launches/<id>/<number>/job.pickle   what is left to do on the cells of one job
    launches/<id>/<number>/events       what its worker tells, a line of JSON each

Whatever brings workers to jobs needs to carry the folder and a number, no more. Results go straight to the store; the
events are for the one who waits: they move the bar, and a cell that was begun and never done is one that died.
"""

from __future__ import annotations

import contextlib
import json
import logging
import pickle
import shutil
import traceback
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from bench.harness.errors import CallError, StoreError, reason
from bench.harness.isolation import save_end
from bench.harness.job import Load, Tell, Work
from bench.harness.runner import do_job, remaining
from bench.harness.store import Store

FOLDER, JOB, EVENTS = "launches", "job.pickle", "events"


# -- at the worker


def do(folder: str | Path, number: int) -> None:
    """Do one job of a handout and tell how it ends; what another run has finished meanwhile is not done again."""
    place = Path(folder) / str(number)
    works, root, load, verbose = pickle.loads((place / JOB).read_bytes())
    tell = _teller(place)
    tell("begin", keys=[work.cell.key for work in works])
    try:
        with _logging(tell if verbose else None), Store(root) as store:
            if left := [left for work in works for left in [remaining(work.cell, store, work.explain)] if left]:
                do_job(left, store, tell, load)
    except (StoreError, CallError) as error:
        tell("store", message=str(error))
    except Exception as error:
        tell("broken", message=reason(error), trace=traceback.format_exc())
    else:
        tell("end")


def _teller(place: Path) -> Tell:
    def tell(event: str, **details: Any) -> None:
        if event == "step":
            return
        if model := details.get("model"):
            details["model"] = {"called": model.called, "seed": model.seed}
        with contextlib.suppress(OSError), (place / EVENTS).open("a") as stream:  # nobody waits any more: go on
            stream.write(json.dumps({"event": event, **details}) + "\n")

    return tell


@contextlib.contextmanager
def _logging(tell: Tell | None) -> Iterator[None]:
    """Tell tracebacks of failed cells to the one who waits, where they are asked for; else be quiet, as `bench` is."""
    log = logging.getLogger("bench")
    before = log.handlers, log.propagate
    log.handlers, log.propagate = [logging.NullHandler() if tell is None else _Telling(tell)], False
    try:
        yield
    finally:
        log.handlers, log.propagate = before


class _Telling(logging.Handler):
    def __init__(self, tell: Tell) -> None:
        super().__init__()
        self.tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        self.tell("log", message=self.format(record))


# -- at the one who waits


@dataclass
class Progress:
    """How far a job is, as its worker told."""

    begun: bool = False
    ended: bool = False
    doing: list[str] = field(default_factory=list)
    """Keys of the cells that it is at: all of the job while it opens, then one."""
    broken: str = ""
    """Why the worker gave up outside of any cell."""
    offset: int = 0

    def take(self, event: str, details: dict[str, Any]) -> None:
        """Follow one event."""
        if event == "begin":  # a launcher may start a job again
            self.begun, self.ended, self.doing = True, False, list(details["keys"])
        elif event == "opened":
            self.doing = []
        elif event == "start":
            self.doing = [details["key"]]
        elif event == "done":
            self.doing = [key for key in self.doing if key != details["key"]]
        elif event in ("end", "store", "broken"):
            self.ended = True
            self.broken = self.broken if event == "end" else details["message"]


class Handout:
    """The folder of one launch, seen from the one who hands out."""

    def __init__(self, jobs: Sequence[Sequence[Work]], store: Store, load: Load, verbose: bool) -> None:
        self.jobs, self.store = jobs, store
        self.progress = [Progress() for _ in jobs]
        self.store_error = ""
        now = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
        self.folder = store.root / FOLDER / f"{now}_{uuid.uuid4().hex[:6]}"
        for number, works in enumerate(jobs):
            (self.folder / str(number)).mkdir(parents=True)
            parcel = pickle.dumps((list(works), str(store.root), load, verbose))
            (self.folder / str(number) / JOB).write_bytes(parcel)

    def follow(self, tell: Callable[..., None], note: Callable[[str], None]) -> None:
        """Pass on what workers have told since the last call."""
        for number, progress in enumerate(self.progress):
            for event, details in self._new(number, progress):
                progress.take(event, details)
                if event == "opened":
                    details["model"] = SimpleNamespace(**details["model"])
                if event == "log" or "trace" in details:
                    note(details.get("trace") or details["message"])
                if event == "store":
                    self.store_error = details["message"]
                tell(event, **details)

    def _new(self, number: int, progress: Progress) -> Iterator[tuple[str, dict[str, Any]]]:
        try:
            with (self.folder / str(number) / EVENTS).open("rb") as stream:
                stream.seek(progress.offset)
                whole = stream.read().rpartition(b"\n")[0]
        except OSError:
            return
        progress.offset += len(whole) + 1 if whole else 0
        for line in whole.splitlines():
            with contextlib.suppress(ValueError):  # a worker died while it wrote
                details = json.loads(line)
                yield details.pop("event"), details

    def bury(self, why: str) -> int:
        """Record the cells in which workers died, with this reason; how many jobs did not come to their end."""
        for works, progress in zip(self.jobs, self.progress, strict=True):
            status, text = ("failed", progress.broken) if progress.broken else ("killed", why)
            if progress.ended and not progress.broken:
                continue
            for work in works:
                if work.cell.key in progress.doing and remaining(work.cell, self.store, work.explain):
                    save_end(work, self.store, status, text)
        return sum(not progress.ended for progress in self.progress)

    def remove(self, logs: bool) -> bool:
        """Take the folder away, and with ``logs`` what the launcher left in it; whether something stays."""
        for number in range(len(self.jobs)):
            shutil.rmtree(self.folder / str(number), ignore_errors=True)
        if logs:
            shutil.rmtree(self.folder, ignore_errors=True)
        for folder in (self.folder, self.folder.parent):
            with contextlib.suppress(OSError):
                folder.rmdir()
        return self.folder.exists()
