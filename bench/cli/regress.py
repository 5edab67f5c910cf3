"""bench regress [boards=leaderboards] [OVERRIDE ...]: score frozen explanations again, and say what moved.

  bench regress                                    all that is frozen in boards=leaderboards (its folder regress/)
  bench regress task=ioi model.seed=0 metric=area_log     a part: also method=, data.seed=, ablation=
  bench regress out=DIRECTORY                      writes every row into regress.csv and regress.md
  bench regress --rerun seed=10,11,12,13,14        runs the methods again under new seeds, in store=results
  bench regress --freeze store=results             freezes a store's planted cells into boards=leaderboards; what
                                                   is frozen there of tracks that the store has nothing of stays

Scoring again is deterministic, so a difference beyond the tolerance (bench/regress/tolerance.py) is `moved`, however
small, and no noise excuses it. It is graded by what it does: only to single examples, to the figure (with the interval
of the paired difference), or to the ranks. `missing` was frozen and cannot be scored now, `new` is the reverse. With
--rerun the seeds are new, and a difference has to be larger than the noise between seeds.
The exit code is 1 when a row moved or is missing, or when the committed board says other scores than what is frozen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.cli.calls import only_overrides, store_at
from bench.cli.compose import Config, composer
from bench.harness.cells import Settings
from bench.harness.errors import CallError
from bench.harness.planning import cell_of, make_settings
from bench.harness.report import Report
from bench.harness.store import Store
from bench.registry import Registries, discover
from bench.regress.freeze import Wanted
from bench.regress.frozen import CELLS, FOLDER, Frozen, FrozenCell, joined, read, write

FREEZE, RERUN = "--freeze", "--rerun"
SEEDS = {"seed", "data.seed"}


def main(arguments: Sequence[str]) -> int:
    """Freeze, score again or run again; the exit code."""
    flags, overrides = only_overrides(arguments, "regress", "overrides like task=ioi", [FREEZE, RERUN])
    if len(set(flags)) > 1:
        raise CallError(f"{' and '.join(dict.fromkeys(flags))}: ask for one of them")
    registries = discover()
    with composer(overrides, registries) as hydra:
        named = hydra.named()
        configs = list(hydra.configs(*hydra.expand()))
    if RERUN in flags:
        return _rerun(configs, named, registries)
    wanted = wanted_of(configs, named | ({"model.seed"} if "seed" in named else set()))
    if FREEZE in flags:
        return _freeze(configs[0], wanted)
    return _rescore(configs[0], wanted, named, registries)


def wanted_of(configs: Sequence[Config], named: set[str]) -> Wanted:
    """The part that a call names."""

    def of(key: str, values: Any) -> frozenset[Any] | None:
        return frozenset(value for config in configs for value in values(config)) if key in named else None

    def ablations(config: Config) -> list[str]:
        return config["ablation"] if isinstance(config["ablation"], list) else [config["ablation"]]

    return Wanted(
        of("task", lambda c: [c["task"]["name"]]),
        of("method", lambda c: [c["method"]["name"]]),
        of("model.seed", lambda c: [int(c["model"]["seed"])]),
        of("data.seed", lambda c: [int(c["data"]["seed"])]),
        of("metric", lambda c: c["metric"].get("bundle") or [c["metric"]["name"]]),
        of("ablation", ablations),
    )


def selected(frozen: Frozen, wanted: Wanted) -> list[FrozenCell]:
    """The cells and measurements that are wanted; raises :class:`CallError` where that is none."""
    found = []
    for cell in frozen.cells:
        scores = tuple(s for s in cell.scores if wanted.score(s.metric, s.ablation))
        if scores and wanted.cell(cell_of({"key": cell.key, "configuration": cell.configuration}, Settings())):
            found.append(replace(cell, scores=scores))
    if not found:
        raise CallError("nothing that is frozen fits the call; `bench regress` without overrides takes all of it")
    return found


def _freeze(config: Config, wanted: Wanted) -> int:
    from bench.regress.freeze import freeze

    store = store_at(config["store"])
    frozen = freeze(store, wanted, make_settings(config))
    folder = Path(config["boards"]) / FOLDER
    size = write(joined(read(folder), frozen) if (folder / CELLS).is_file() else frozen, folder)
    measured = sum(len(cell.scores) for cell in frozen.cells)
    print(f"{len(frozen.cells)} explanations and {measured} measurements in {folder}: {size / 1000:.0f} kB")
    return _say_stale(frozen, Path(config["boards"]))


def _say_stale(frozen: Frozen, boards: Path) -> int:
    from bench.regress.board import stale

    lines = stale(frozen, boards)
    for line in lines[:10]:
        print(f"  {line}")
    if lines:
        print(f"{len(lines)} figures differ from the board in {boards}: write it from the same store (`bench board`)")
    return 1 if lines else 0


def _rescore(config: Config, wanted: Wanted, named: set[str], registries: Registries) -> int:
    from bench.regress.board import stale
    from bench.regress.compare import MISSING, MOVED, changes
    from bench.regress.judge import judge
    from bench.regress.report import frame, text
    from bench.regress.report import write as write_report
    from bench.regress.rescore import rescore

    boards = Path(config["boards"])
    frozen = read(boards / FOLDER)
    cells = selected(frozen, wanted)
    report = Report()
    try:
        now = rescore(cells, make_settings(config), registries, report)
    finally:
        report.close()
    found = [change for r in now for change in changes(r.record, r.frozen.scores, r.scores, r.dtype, r.problem)]
    table = frame(judge(found))
    old = stale(frozen, boards)
    said = text(table, old, _notes(config, cells, registries))
    print(said, end="")
    if "out" in named:
        write_report(table, Path(config["out"]), said)
    return 1 if old or set(table.status) & {MOVED, MISSING} else 0


def _notes(config: Config, cells: Sequence[FrozenCell], registries: Registries) -> list[str]:
    """Default metrics of what is frozen that nothing frozen holds."""
    held = {score.metric for cell in cells for score in cell.scores}
    tracks = {cell.record["track"] for cell in cells}
    asked = [name for name in config["metric"].get("bundle", []) if name not in held]
    more = [name for name in asked if registries.metrics.load(name).track in tracks]
    return (
        [f"not frozen, so not held: {', '.join(more)} (`bench regress --freeze` takes what a store has)"]
        if more
        else []
    )


def _rerun(configs: Sequence[Config], named: set[str], registries: Registries) -> int:
    from bench.harness.records import read_records
    from bench.harness.runner import run
    from bench.regress.freeze import thaw, to_score
    from bench.regress.report_rerun import rerun_text, write_rerun
    from bench.regress.rerun import MIN_NEW, held, moved, with_seeds

    config = configs[0]
    seeds = list(dict.fromkeys(int(c["data"]["seed"]) for c in configs))
    if not named & SEEDS or len(seeds) < MIN_NEW:
        raise CallError(f"--rerun needs {MIN_NEW} new seeds or more, such as seed=10,11,12,13,14")
    cells = selected(read(Path(config["boards"]) / FOLDER), wanted_of(configs, named - SEEDS))
    if old := sorted({c.record["data_seed"] for c in cells} & set(seeds)):
        raise CallError(f"seed {old[0]} is frozen already: --rerun needs new ones")
    settings, report = make_settings(config), Report()
    planned: dict[str, Any] = {}
    for frozen in cells:
        cell, problem = thaw(frozen, settings, registries)
        if cell is None:
            report.note(problem)
            continue
        planned |= {c.key: to_score(c, frozen.scores, registries) for c in with_seeds([cell], seeds)}
    with Store(settings.store) as store:
        try:
            summary = run(list(planned.values()), store, report)
        finally:
            report.close()
        scores = {score.key for cell in planned.values() for score in cell.scores}
        rows = held(cells, read_records(store, set(planned), scores))
    print(rerun_text(rows), end="")
    if "out" in named:
        write_rerun(rows, Path(config["out"]))
    return 1 if summary.failed or moved(rows) else 0
