"""From resolved configurations to cells: choices are put together, baselines added, keys made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from bench.harness.baselines import add_baselines, spread_baselines
from bench.harness.cells import (
    Cell,
    MethodChoice,
    MetricChoice,
    ModelChoice,
    Score,
    Settings,
    TaskChoice,
    with_variable,
)
from bench.harness.cells import identity as cell_identity
from bench.harness.choices import in_brackets, make_method, make_metric, make_task
from bench.harness.errors import CallError, plain
from bench.harness.keys import digest, explanation_key, score_key
from bench.harness.models import NotShipped, find_model, variant_of
from bench.harness.partners import with_partner
from bench.registry import PluginError, Registries, unknown
from bench.scoring.ablation import VERSIONS

DTYPES = ("float32", "float64", "bfloat16", "float16")


@dataclass(frozen=True)
class Plan:
    """Cells in the order in which they were asked for."""

    cells: tuple[Cell, ...]
    notes: tuple[str, ...] = ()


def make_plan(
    configs: Sequence[Mapping[str, Any]], metrics: Sequence[MetricChoice], registries: Registries, one_level: bool
) -> Plan:
    """One cell per configuration, the baselines that its board needs, and the metrics' measurements on each.

    ``one_level``: the call names ``method.level``, so baselines keep it; else they take the level of every other row.
    """
    drafts = [draft for config in configs for draft in _drafts(config, registries)]
    _check_variable(configs, drafts)

    def choose(config: Mapping[str, Any]) -> MethodChoice:
        return make_method(config, registries)

    if not one_level:
        drafts = spread_baselines(drafts, choose)
    drafts, notes = add_baselines(drafts, choose, set(registries.methods.names()))
    unique = {(cell.key, cell.settings.store): cell for cell in reversed(drafts)}  # the first one stays
    places = dict.fromkeys((cell.key, cell.settings.store) for cell in drafts)
    cells = [with_scores(unique[place], metrics, registries) for place in places]
    return Plan(tuple(cells), notes)


def make_metrics(configs: Iterable[tuple[Mapping[str, Any], str]], registries: Registries) -> list[MetricChoice]:
    """Metrics from pairs of a metric's configuration and an ablation, each once."""
    found = {}
    for config, ablation in configs:
        choice = make_metric(config, ablation, registries)
        found[digest(asdict(choice))] = choice
    return list(found.values())


def with_scores(cell: Cell, metrics: Sequence[MetricChoice], registries: Registries) -> Cell:
    """The cell with these measurements wanted."""
    return replace(cell, scores=_scores(cell, metrics, registries))


def cell_of(stored: Mapping[str, Any], settings: Settings) -> Cell:
    """A cell again, from what the store keeps about it."""
    config = stored["configuration"]
    task, model, method = TaskChoice(**config["task"]), ModelChoice(**config["model"]), MethodChoice(**config["method"])
    return Cell(stored["key"], task, model, method, settings)


def make_settings(config: Mapping[str, Any]) -> Settings:
    """The part of a configuration that no result depends on."""
    if config["padding_side"] not in ("left", "right"):
        raise CallError(f"padding_side={config['padding_side']}: use left or right")
    if config["dtype"] not in DTYPES:
        raise CallError(unknown("dtype", str(config["dtype"]), DTYPES))
    if int(config["batch_size"]) < 1:
        raise CallError(f"batch_size={config['batch_size']}: use 1 or more")
    return Settings(**{f.name: config[f.name] for f in fields(Settings)})


def _check_variable(configs: Sequence[Mapping[str, Any]], drafts: Sequence[Cell]) -> None:
    """Refuse a ``variable=`` that no method of the call takes notice of; beside those that do, others may stand."""
    asked = sorted({str(config["variable"]) for config in configs if config.get("variable") is not None})
    if asked and not any(cell.method.track == "variable" or cell.status == "failed" for cell in drafts):
        tracks = sorted({f"{cell.method.name} ({cell.method.track})" for cell in drafts})
        raise CallError(
            f"variable={','.join(asked)}: no method of this call looks for a variable, only those of the variable track"
            f" do; it has {', '.join(tracks[:8])}"
        )


# -- one cell


def _drafts(config: Mapping[str, Any], registries: Registries) -> Iterator[Cell]:
    """The cell of a configuration; in the `variable` track one for each variable that it asks for."""
    task, cell = _draft(config, registries)
    if cell.method.track != "variable" or task is None:
        yield cell
        return
    asked, known = config.get("variable"), task.causal_model.variables
    if asked is not None and str(asked) not in known:
        raise CallError(unknown(f"variable of {cell.task.name}", str(asked), known))
    if not known:
        reason = f"the causal model of {cell.task.name} has no variables"
        yield replace(cell, status=cell.status or "skipped", reason=cell.reason or reason)
    for variable in known if asked is None else [str(asked)]:
        chosen = replace(cell.task, label=with_variable(cell.task.label, variable))
        method = replace(cell.method, variable=variable)
        key = explanation_key(cell_identity(chosen, cell.model, method))
        yield replace(cell, key=key, task=chosen, method=method)


def _draft(config: Mapping[str, Any], registries: Registries) -> tuple[Any, Cell]:
    """The task, where it can be loaded, and the cell of a configuration."""
    settings = make_settings(config)
    status = reason = ""
    try:
        task_object, task = make_task(config["task"], int(config["data"]["seed"]), registries)
    except PluginError as error:
        status, reason = "failed", plain(str(error))
        task_object, task = None, TaskChoice(config["task"]["name"], "", "", int(config["data"]["seed"]))
    try:
        method = make_method(config["method"], registries)
    except PluginError as error:
        status, reason = status or "failed", reason or plain(str(error))
        name = config["method"]["name"]
        method = MethodChoice(name, name, "", "", seed=int(config["method"]["seed"]))
    try:
        model = find_model(config["model"], task_object, config["dtype"])
        shown = {"dtype": model.dtype, "revision": config["model"].get("revision"), "variant": model.variant}
        shown = {key: value for key, value in shown.items() if value not in (None, "float32")}
        model = replace(model, label=in_brackets(model.name, shown))
        method = with_partner(method, config["model"], task_object, config["dtype"])
    except NotShipped as error:
        status, reason = status or "skipped", reason or str(error)
        model = ModelChoice(
            "planted", "", "", seed=int(config["model"]["seed"]), planted=True, dtype=config["dtype"],
            variant=variant_of(config["model"]),
        )  # fmt: skip
        model = replace(model, label=model.called)
    key = explanation_key(cell_identity(task, model, method))
    return task_object, Cell(key, task, model, method, settings, status=status, reason=reason)


# -- scores


def _scores(cell: Cell, metrics: Sequence[MetricChoice], registries: Registries) -> tuple[Score, ...]:
    scores = []
    for choice in metrics:
        if not choice.problem:
            cls = registries.metrics.load(choice.name)
            if cls.track != cell.method.track or (cell.method.level and cell.method.level not in cls.levels):
                continue
            if choice.permutations is None:
                choice = replace(choice, permutations=cls.null_draws if cell.model.planted else 0)
        ablation = "@".join([choice.ablation, *filter(None, [VERSIONS.get(choice.ablation)])])
        scores.append(Score(score_key(cell.key, choice.identity(), ablation), choice))
    return tuple(scores)
