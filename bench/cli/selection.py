"""What a command line asks for: configurations of cells, and metrics under ablations.

Metrics and ablations are an axis of their own: they multiply measurements, not cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.cli.compose import Composer, Config, Sweep, combinations

DEFAULT = "experiment=default"
CHOICES = {"task", "method", "model", "experiment"}


def run_selection(composer: Composer) -> tuple[list[Config], list[tuple[Config, str]]]:
    """Configurations of all cells, and pairs of a metric's configuration and an ablation.

    Without a task, method, model or experiment in the call, the default experiment says what to run.
    """
    extra = [] if composer.named() & CHOICES else [DEFAULT]
    fixed, sweep = composer.expand(extra)
    scoring = [axis for axis in sweep if _is_scoring(axis)]
    cells = [axis for axis in sweep if not _is_scoring(axis)]
    first = [axis[0] for axis in scoring]
    configs = list(composer.configs([*fixed, *first], cells))
    return configs, _metrics(composer, [*fixed, *(axis[0] for axis in cells)], scoring)


def score_selection(composer: Composer) -> tuple[list[Config], list[tuple[Config, str]]]:
    """As :func:`run_selection`, for scoring what is stored: one configuration for the settings."""
    fixed, sweep = composer.expand()
    first = [axis[0] for axis in sweep]
    metrics = _metrics(composer, fixed, [axis for axis in sweep if _is_scoring(axis)])
    return [composer.config([*fixed, *first])], metrics


def _metrics(composer: Composer, fixed: Sequence[str], scoring: Sweep) -> list[tuple[Config, str]]:
    found = []
    for chosen in combinations(fixed, scoring):
        config = composer.config(chosen)
        members = config["metric"].get("bundle")
        metrics = [config["metric"]] if members is None else _bundle(composer, chosen, members)
        drawn = {"permutations": config["permutations"]}
        found += [({**metric, **drawn}, ablation) for ablation in _ablations(config) for metric in metrics]
    return found


def _bundle(composer: Composer, chosen: Sequence[str], members: Sequence[str]) -> list[Any]:
    others = [override for override in chosen if not override.startswith("metric=")]
    return [composer.config([*others, f"metric={member}"])["metric"] for member in members]


def _ablations(config: Config) -> list[str]:
    found = config["ablation"]
    return [str(name) for name in (found if isinstance(found, list) else [found])]


def _is_scoring(axis: Sequence[str]) -> bool:
    key = axis[0].split("=", 1)[0].lstrip("+")
    return key in ("metric", "ablation", "permutations") or key.startswith("metric.")
