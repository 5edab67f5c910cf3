"""`bench list tasks`: what each task is, and whether it fits a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from bench.cli.asked import Asked, asked, tokenizer_of
from bench.harness.cells import ModelChoice, Settings
from bench.harness.errors import CallError, reason
from bench.harness.models import NotShipped, load_engine
from bench.harness.planning import make_plan
from bench.registry import DuplicateName, PluginError, Registries
from bench.task import SPLITS, Task, TaskData, TaskError

INDENT = " " * 17
NARROW = 256
"""Width of the stream up to which the few prompts of a measurement keep one thread busy at most."""
Verdict = tuple[str, str]
"""One word, and what is behind it."""


def describe(registries: Registries, about: Callable[[str], str]) -> int:
    """Print each task's summary, source, chance, gate, counterfactuals and planted seeds."""
    for name in registries.tasks.names():
        print(f"{name:16} {about(name)}")
        try:
            task = registries.tasks.load(name)()
        except (PluginError, DuplicateName):
            continue
        default = task.default_counterfactual
        others = "".join(f", {other}" for other in task.counterfactuals if other != default)
        print(f"{INDENT}source: {task.source}")
        print(f"{INDENT}chance: {task.chance}; gate: accuracy {task.gate:g}")
        print(f"{INDENT}counterfactuals: {default} (default){others}")
        print(f"{INDENT}planted: {seeds(task) or 'none shipped'}")
    return 0


def seeds(task: Task) -> str:
    """The planted models that ship with a task, as overrides; empty where there are none."""
    found = task.planted()
    if not found:
        return ""
    root = found[min(found)].parent
    variants = sorted({path.parent.parent.name for path in root.glob("*/seed*/config.json")})
    more = f"; model.variant={','.join(variants)}" if variants else ""
    return f"model.seed={','.join(map(str, sorted(found)))}{more}"


def fit(overrides: Sequence[str], registries: Registries, measured: bool) -> int:
    """Print which tasks fit the tokenizer of a model; 1 when one went wrong.

    ``measured``: the model is loaded too, and its accuracy after screening is held against the gate.
    """
    judge = Measure(registries) if measured else _read
    code, before = 0, ""
    for one in asked([], overrides, registries):
        if not (measured or one.model_named):
            raise CallError("which model? bench list tasks model=hf model.id=NAME_OR_DIRECTORY")
        if one.model != before:
            print(f"tasks on {one.model}:")
            before = one.model
        word, text = _verdict(judge, one)
        print(f"{one.label:16} {word:8} {text}", flush=True)
        code = max(code, int(word == "failed"))
    return code


def _verdict(judge: Callable[[Asked], Verdict], one: Asked) -> Verdict:
    if one.task is None:
        return "failed", one.problem
    try:
        return judge(one)
    except TaskError as error:
        return "no", str(error)
    except NotShipped as error:
        return "skipped", str(error)
    except CallError:
        raise
    except Exception as error:  # a broken task or model must not take the others with it
        return "failed", reason(error)


def _read(one: Asked) -> Verdict:
    """Whether a task's examples can be made for a tokenizer, without loading the model."""
    assert one.task
    return "fits", _counts(one.task.build(tokenizer_of(one), one.request()))


def _counts(data: TaskData) -> str:
    sizes = ", ".join(f"{len(data.split(split))} {split}" for split in SPLITS)
    rows = data.split("test")
    lengths = sorted({len(ids) for ids in rows["ids"]})
    span = f"{lengths[0]} to {lengths[-1]}" if len(lengths) > 1 else str(lengths[0])
    kept = ", ".join(f"{name} {share:.0%}" for name, share in data.kept.items() if not name.endswith("_screened"))
    text = f"{sizes} examples; test: {len(set(rows['cluster']))} clusters, {span} tokens"
    return text + (f"; usable: {kept}" if kept else "")


class Measure:
    """Opens a task's job on its model, and holds the accuracy against the gate; a model is loaded once."""

    def __init__(self, registries: Registries) -> None:
        self._registries = registries
        self._engines: dict[tuple[str, str, str], Any] = {}

    def __call__(self, one: Asked) -> Verdict:
        from bench.harness.opening import Unfit, open_job

        cell = make_plan([one.config], [], self._registries, one_level=True).cells[0]
        if cell.status:
            return cell.status, cell.reason
        ungated = replace(cell, task=replace(cell.task, gate=0.0))
        try:
            opened = open_job(ungated, self._registries, self._load)
        except Unfit as error:
            return "no", str(error)
        gate = opened.task.gate if cell.task.gate is None else cell.task.gate
        kept = ", ".join(f"{name} {share:.0%}" for name, share in sorted(opened.kept.items()))
        text = f"accuracy {opened.accuracy:.3f} on {len(opened.examples['test'])} test examples, gate {gate:g}"
        return "passes" if opened.accuracy >= gate else "gated", text + (f"; screening kept {kept}" if kept else "")

    def _load(self, model: ModelChoice, settings: Settings) -> Any:
        import torch

        key = model.path, model.revision, model.dtype
        if key not in self._engines:
            self._engines = {key: load_engine(model, settings)}
        if settings.threads is None and self._engines[key].d_model <= NARROW:
            torch.set_num_threads(1)  # several would wait for each other longer than they compute
        return self._engines[key]
