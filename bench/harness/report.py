"""What a run says while it works: one line per job, and a progress bar where somebody watches."""

from __future__ import annotations

import sys
from typing import Any, TextIO


class Report:
    """Lines on ``stream``, and a bar on it when it is a terminal."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = sys.stderr if stream is None else stream
        self._bar: Any = None
        self._task: Any = None
        self._step: Any = None

    def note(self, text: str) -> None:
        """Say one line."""
        if self._bar is not None:
            self._bar.console.print(text, highlight=False, markup=False, soft_wrap=True)
        else:
            print(text, file=self.stream, flush=True)

    def planned(self, cells: int, todo: int, store: str) -> None:
        """Say how much there is to do."""
        if todo == 0:
            done = f"all {cells} cells are in the store ({store})" if cells else "no cell can be run"
            self.note(f"nothing to do: {done}")
            return
        self.note(f"{cells} cells, {cells - todo} of them done before")
        if self.stream.isatty():
            self._start(todo)

    def tell(self, event: str, **details: Any) -> None:
        """Take an event of :func:`bench.harness.job.run_job`."""
        if event == "opened":
            self.note(_opened(details))
        elif self._bar is None:
            return
        elif event == "start":
            self._bar.update(self._task, description=details["label"])
            self._bar.reset(self._step, visible=False)
        elif event == "step":
            self._bar.update(self._step, completed=details["done"], total=details["total"], visible=True)
        elif event == "done":
            self._bar.advance(self._task)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _start(self, todo: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._bar = Progress(*columns, console=Console(file=self.stream), transient=True)
        self._bar.start()
        self._task = self._bar.add_task("opening", total=todo)
        self._step = self._bar.add_task("  examples", total=None, visible=False)


def _opened(details: dict[str, Any]) -> str:
    model = details["model"]
    seed = "" if model.seed is None else f" (seed {model.seed})"
    kept = ", ".join(f"{name} {share:.0%}" for name, share in sorted(details["kept"].items()))
    screened = f"; screening kept {kept}" if kept else ""
    what = f"{details['task']} on {model.called}{seed}, data seed {details['seed']}"
    return f"{what}: accuracy {details['accuracy']:.3f}{screened}"
