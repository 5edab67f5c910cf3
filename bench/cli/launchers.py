"""`hydra/launcher=`: workers of joblib, submitit or ray do the jobs, through Hydra's launcher plug-ins.

Hydra's launchers start one worker per combination of a sweep. Here what is spread are jobs (cells that share a model,
its examples and their caches), so a launcher is given one empty list of overrides per job and a task function that
looks up its job by number. All of ``hydra.launcher.*`` is the launcher's own and reaches it as it was written.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.core.utils import setup_globals
from hydra.types import HydraContext
from omegaconf import DictConfig, open_dict

from bench.cli.compose import Composer
from bench.cli.patience import patient
from bench.cli.show import tracebacks_shown
from bench.harness.errors import CallError, StoreError, reason
from bench.harness.handout import Handout, do
from bench.harness.job import Load, Work
from bench.harness.report import Report
from bench.harness.runner import Spread, in_turn
from bench.harness.store import Store
from bench.registry import unknown

GROUP = "hydra/launcher"
EXTRAS = {"joblib": "joblib", "submitit_local": "submitit", "submitit_slurm": "submitit", "ray": "ray"}
OURS = {
    "hydra.mode": "MULTIRUN",
    "hydra.job.name": "bench",
    "hydra.output_subdir": "null",
    "hydra/job_logging": "none",
    "hydra/hydra_logging": "none",
}
"""What differs from Hydra's defaults unless the call says otherwise: nothing is written that nobody reads."""
TICK = 0.5
DIED = {
    "joblib": "its worker was killed, or ended with all others when one of them was",
    "ray": "its worker was killed, or ended with all others when one of them was",
}
ENDED = "its worker ended before its time: killed, out of memory, or out of the launcher's time"


def launching(hydra: Composer) -> Spread:
    """How the call wants its jobs done; raises :class:`CallError` for a launcher that is not there."""
    given = {key: override for key, override in zip(hydra.keys(), hydra.overrides, strict=True) if _of_hydra(key)}
    for override in given.values():
        if override.is_sweep_override():
            raise CallError(f"{override.input_line}: a launcher's settings cannot be swept; give one value")
    chosen = given.get(GROUP)
    name = "basic" if chosen is None else str(chosen.value())
    if name not in hydra.options(GROUP):
        raise CallError(_unknown(name, hydra.options(GROUP)))
    if name == "basic":
        return in_turn
    words = [str(override.input_line) for override in given.values()]
    words += [f"{key}={value}" for key, value in OURS.items() if key not in given]
    if name == "ray" and "hydra.launcher.ray.remote.max_retries" not in given:
        words.append("+hydra.launcher.ray.remote.max_retries=0")  # a cell that kills its worker would do so four times
    setup_globals()
    config = hydra.with_hydra(words)
    context = HydraContext(config_loader=GlobalHydra.instance().config_loader(), callbacks=Callbacks(config))
    return Launching(name, config, context, "hydra.sweep.dir" in given)


@dataclass(frozen=True)
class Launching:
    """Has a Hydra launcher's workers do the jobs, and waits for them."""

    name: str
    config: DictConfig
    context: HydraContext
    own_folder: bool
    """Whether the call says where the launcher's files go."""

    def __call__(self, jobs: Sequence[Sequence[Work]], store: Store, report: Report, load: Load) -> None:
        handout = Handout(jobs, store, load, tracebacks_shown())
        error: Exception | None = None
        try:
            with _following(handout, report), _environment():
                self._launch(handout)
        except Exception as caught:  # of joblib, submitit or ray; cells' own errors are in the store
            error = caught
        except BaseException:
            handout.remove(logs=True)
            raise
        begun = any(progress.begun for progress in handout.progress)
        dead = handout.bury(DIED.get(self.name, ENDED))
        stays = handout.remove(logs=not dead and error is None)
        self._say(error, begun, dead, report, handout, stays)

    def _launch(self, handout: Handout) -> None:
        """Blocks until the launcher is through; raises what it raises, which for a dead worker is its own choice."""
        config = self.config.copy()
        if not self.own_folder:
            with open_dict(config):
                config.hydra.sweep.dir = str(handout.folder)
                config.hydra.overrides.hydra.append(f"hydra.sweep.dir={_quoted(str(handout.folder))}")
        HydraConfig.instance().set_config(config)
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=self.context, task_function=Worker(str(handout.folder)), config=config
        )
        with patient() if self.name.startswith("submitit") else contextlib.nullcontext():
            try:
                launcher.launch([[] for _ in handout.jobs], initial_job_idx=0)
            finally:
                _stop(self.name)

    def _say(self, error: Any, begun: bool, dead: int, report: Report, handout: Handout, stays: bool) -> None:
        if error and (tracebacks_shown() or os.environ.get("HYDRA_FULL_ERROR") == "1"):
            report.note("".join(traceback.format_exception(error)))
        if handout.store_error:
            raise StoreError(handout.store_error)
        if error and not begun:
            raise CallError(f"{GROUP}={self.name} could not start: {reason(error)}") from error
        if dead:
            isolate = "" if handout.jobs[0][0].cell.settings.isolate else " (isolate=true keeps a death to its cell)"
            n = len(handout.jobs)
            report.note(f"{self.name}: {dead} of {n} jobs did not end; the same command does what is missing{isolate}")
        elif error:
            report.note(f"{self.name}: {reason(error)}")
        if stays:
            report.note(f"the launcher's logs are in {handout.folder.relative_to(handout.store.root.parent)}")


class Worker:
    """The task function that a launcher takes to its workers."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __call__(self, config: DictConfig) -> None:
        do(self.folder, int(HydraConfig.get().job.num))


@contextlib.contextmanager
def _following(handout: Handout, report: Report) -> Iterator[None]:
    """Pass on what workers tell while the launcher keeps this thread waiting."""
    through = threading.Event()

    def follow() -> None:
        while not through.wait(TICK):
            handout.follow(report.tell, report.note)

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        through.set()
        thread.join()
        handout.follow(report.tell, report.note)


def _stop(name: str) -> None:
    """End workers that would outlive the launch: ray's at work when another died, joblib's waiting for more to do."""
    if name == "ray" and "ray" in sys.modules:
        sys.modules["ray"].shutdown()
    if name == "joblib" and "joblib" in sys.modules:
        from joblib.externals.loky import get_reusable_executor

        get_reusable_executor(reuse=True).shutdown(wait=True, kill_workers=True)


@contextlib.contextmanager
def _environment() -> Iterator[None]:
    """Workers that start with ``python -m`` must not take a ``tasks.py`` in the working directory for ours."""
    before = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONSAFEPATH"]
        else:
            os.environ["PYTHONSAFEPATH"] = before


def _of_hydra(key: str) -> bool:
    return key.split("/")[0].split(".")[0] == "hydra"


def _unknown(name: str, known: Sequence[str]) -> str:
    if name in EXTRAS:
        return f"{GROUP}={name} is not installed: pip install 'interpassay[{EXTRAS[name]}]'"
    return unknown("launcher", name, sorted({*known, *EXTRAS}))


def _quoted(text: str) -> str:
    """A value in Hydra's grammar, whatever characters a path has."""
    return "'" + text.replace("'", "\\'") + "'"
