"""From one part of a resolved configuration to a choice: a name becomes a class, its parameters get their defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from bench.explanation import TRACKS
from bench.harness.cells import MethodChoice, MetricChoice, Plain, TaskChoice
from bench.harness.errors import CallError, plain
from bench.harness.keys import canonical, file_digest
from bench.method import Method
from bench.metric import NO_ABLATION
from bench.objectives import OBJECTIVES
from bench.registry import PluginError, Registries, nearest, unknown
from bench.scoring.ablation import ABLATIONS
from bench.task import TaskError

TASK_KEYS = ("name", "counterfactual", "data", "sizes", "gate")
PERMUTATIONS = "permutations"
"""A key of every metric's configuration that is no parameter of the metric: the call says it once for all."""


def make_task(config: Mapping[str, Any], seed: int, registries: Registries) -> tuple[Any, TaskChoice]:
    """The task of a ``task`` configuration, and the choice that it stands for."""
    name = config["name"]
    parameters = {key: value for key, value in config.items() if key not in TASK_KEYS}
    task = build("task", registries.tasks.load(name), parameters)
    try:
        task.check_parameters()
    except TaskError as error:
        raise CallError(f"the task {name}: {error}") from error
    counterfactual = config.get("counterfactual") or task.default_counterfactual
    if counterfactual not in task.counterfactuals and config.get("data") is None:  # one's own data bring their own
        raise CallError(unknown(f"counterfactual of {name}", counterfactual, task.counterfactuals))
    parameters, sizes, gate = _changed(task, parameters, config)
    data, data_digest = _user_data(config.get("data"))
    shown = {**parameters, **{f"sizes.{split}": n for split, n in (sizes or {}).items()}}
    shown |= {key: value for key, value in (("gate", gate), ("data", data and Path(data).name)) if value is not None}
    choice = TaskChoice(name, task.version, counterfactual, seed, parameters, sizes, gate, data, data_digest)
    return task, replace(choice, label=in_brackets(name, shown))


def _changed(task: Any, parameters: Plain, config: Mapping[str, Any]) -> tuple[Plain, Plain | None, float | None]:
    """Parameters, sizes and gate that differ from the task's own: a default that is spelled out changes no key."""
    own = build("task", type(task), {})
    changed = {key: value for key, value in parameters.items() if canonical(value) != canonical(getattr(own, key))}
    sizes = {split: int(n) for split, n in (config.get("sizes") or {}).items() if n is not None}
    for split, n in sizes.items():
        if n < 1:
            raise CallError(f"task.sizes.{split}={n}: at least 1 example is needed")
    sizes = {split: n for split, n in sizes.items() if n != getattr(own, "sizes", {}).get(split)}
    gate = config.get("gate")
    return changed, sizes or None, None if gate is None or float(gate) == own.gate else float(gate)


def _user_data(source: str | None) -> tuple[str | None, str]:
    """Where the user's examples are, and what identifies them: the contents of files, the name of a hub data set."""
    if source is None:
        return None, ""
    path = Path(str(source)).expanduser()
    if path.is_file():
        return str(path.resolve()), file_digest(path)
    if path.is_dir():
        return str(path.resolve()), file_digest(*sorted(p for p in path.rglob("*") if p.is_file()))
    if path.suffix or str(source).startswith((".", "/", "~")):
        raise CallError(f"task.data={source}: there is no such file")
    return str(source), str(source)


def make_method(config: Mapping[str, Any], registries: Registries) -> MethodChoice:
    """The method of a ``method`` configuration."""
    name = config["name"]
    given = {key: value for key, value in config.items() if key not in ("name", "seed")}
    cls = registries.methods.load(name)
    given = {key: value for key, value in given.items() if key not in cls.ignored}
    if cls.baseline:
        given.pop("objective", None)  # baselines do not look at it, so a sweep over it runs them once
    method = build("method", cls, given)
    if method.objective not in OBJECTIVES:
        raise CallError(unknown("objective", str(method.objective), list(OBJECTIVES)))
    asked = int(config["seed"])
    return MethodChoice(
        name, method.label(), method.version, method.level, _parameters(method), asked if method.stochastic else None,
        asked,
        cls.baseline, cls.needs_truth, TRACKS.get(method.level, cls.track), cls.needs_partner,
        trained_on=method.trained_on(),
    )  # fmt: skip


def _parameters(method: Method) -> dict[str, Any]:
    """All of them, but for those that came later and are in a key only where they are given."""
    optional = {f.name for f in fields(method) if f.metadata.get("optional") and getattr(method, f.name) == f.default}
    return {name: value for name, value in asdict(method).items() if name not in optional}


def make_metric(config: Mapping[str, Any], ablation: str, registries: Registries) -> MetricChoice:
    """A metric with an ablation; one that cannot be loaded is a choice with that problem."""
    name, permutations = config["name"], config.get(PERMUTATIONS)
    if permutations is not None and int(permutations) < 0:
        raise CallError(f"{PERMUTATIONS}={permutations}: use 0 for no p-value, or as many as it is to rest on")
    if ablation not in ABLATIONS:
        raise CallError(unknown("ablation", str(ablation), ABLATIONS))
    try:
        cls = registries.metrics.load(name)
    except PluginError as error:
        return MetricChoice(name, name, "", ablation, problem=plain(str(error)))
    metric = build("metric", cls, {key: value for key, value in config.items() if key not in ("name", PERMUTATIONS)})
    used = ablation if cls.uses_ablation else NO_ABLATION
    drawn = 0 if not cls.permutable else None if permutations is None else int(permutations)
    return MetricChoice(name, metric.label(), cls.version, used, metric.parameters(), permutations=drawn)


def build(kind: str, cls: type, parameters: Mapping[str, Any]) -> Any:
    """An object of a registered class; a wrong parameter is a :class:`CallError` with the nearest names."""
    known = [f.name for f in fields(cls)] if hasattr(cls, "__dataclass_fields__") else None
    if known is not None and (wrong := sorted(set(parameters) - set(known))):
        close = nearest(wrong[0], known)
        hint = f" Did you mean {' or '.join(close)}?" if close else f" It has: {', '.join(known) or 'none'}."
        raise CallError(f"the {kind} {cls.name} has no parameter {wrong[0]!r}.{hint}")  # type: ignore[attr-defined]
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in parameters.items()}
    try:
        return cls(**values)
    except (TypeError, ValueError) as error:
        raise CallError(f"the {kind} {getattr(cls, 'name', cls.__name__)}: {error}") from error


def in_brackets(name: str, shown: Mapping[str, Any]) -> str:
    """A name in boards: what differs from the default, sorted, in brackets."""
    parts = [f"{key}={value}" for key, value in sorted(shown.items())]
    return name + (f"[{','.join(parts)}]" if parts else "")
