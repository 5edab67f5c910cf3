"""The story of a run: plan, leave out what is done, group the rest into jobs, run them, count how it went."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.harness.cells import Cell, same_job
from bench.harness.isolation import run_isolated
from bench.harness.job import Load, Tell, Work, load_engine, run_job, save_outcome
from bench.harness.report import Report
from bench.harness.store import DONE, Store

BAD = ("failed", "killed", "timeout", "missing")
DEADLY = ("killed", "timeout")
Spread = Callable[[Sequence[Sequence[Work]], Store, Report, Load], None]
"""How jobs come to be done: one after the other here, or by workers elsewhere."""


@dataclass(frozen=True)
class Summary:
    """How a run went."""

    cells: int
    done_before: int
    states: Counter[str]
    """States of all cells and of all measurements on them."""

    @property
    def failed(self) -> bool:
        return any(self.states[status] for status in BAD)


def in_turn(jobs: Sequence[Sequence[Work]], store: Store, report: Report, load: Load) -> None:
    """Do the jobs here, one after the other."""
    for job in jobs:
        do_job(job, store, report.tell, load)


def do_job(job: Sequence[Work], store: Store, tell: Tell, load: Load) -> None:
    """Do one job, in a process of its own where the call asks for that."""
    launch = run_isolated if job[0].cell.settings.isolate else run_job
    launch(job, store, tell, load)


def run(
    cells: Sequence[Cell], store: Store, report: Report, explain: bool = True, load: Load = load_engine,
    spread: Spread = in_turn,
) -> Summary:  # fmt: skip
    """Bring the store to where every cell has its explanation and measurements, or a reason why not.

    ``explain=False`` measures stored explanations and runs no method; ``spread`` does the jobs.
    """
    store.save_plan(cell.record() for cell in cells)
    for cell in cells:
        if cell.reason:
            _save_known(cell, store)
    todo = [work for cell in cells if not cell.reason for work in [remaining(cell, store, explain)] if work]
    planned = [cell for cell in cells if not cell.reason]
    report.planned(len(planned), len(todo), store.root.name)
    todo.sort(key=lambda work: store.status(work.cell.key) in DEADLY)  # what took a worker with it goes last
    if todo:
        spread(jobs(todo), store, report, load)
    report.close()
    return Summary(len(planned), len(planned) - len(todo), states(cells, store))


def remaining(cell: Cell, store: Store, explain: bool = True) -> Work | None:
    """What is left to do on a cell; None when it is done."""
    status = store.status(cell.key)
    if status in DONE and status != "ok":
        return None
    wanted = tuple(s for s in cell.scores if store.score_status(cell.key, s.key) not in DONE)
    if status == "ok":
        return Work(cell, False, wanted) if wanted else None
    return Work(cell, True, wanted) if explain else None


def jobs(todo: Sequence[Work]) -> list[list[Work]]:
    """Group cells that share task, model and seed, in the order in which they were asked for."""
    groups: dict[tuple[object, ...], list[Work]] = {}
    for work in todo:
        groups.setdefault(same_job(work.cell), []).append(work)
    return list(groups.values())


def states(cells: Sequence[Cell], store: Store) -> Counter[str]:
    """States of the cells and, where there is an explanation, of the measurements wanted on them."""
    found: Counter[str] = Counter()
    for cell in cells:
        status = store.status(cell.key)
        found[status] += 1
        if status == "ok":
            found.update(store.score_status(cell.key, score.key) for score in cell.scores)
    return found


def _save_known(cell: Cell, store: Store) -> None:
    known = store.cell(cell.key)
    if not known or (known["status"], known["reason"]) != (cell.status, cell.reason):
        save_outcome(cell, store, cell.status, cell.reason)
