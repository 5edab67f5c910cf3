"""Configurations for registered names that bring no YAML file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore

from bench.registry import DuplicateName, PluginError, Registries, Registry


def store_plugins(registries: Registries, overrides: Sequence[str], sources: Sequence[Any]) -> None:
    """A configuration for each name without a YAML file; with its parameters, where the call is about its group.

    ``sources`` are Hydra's: a plug-in's own YAML files, found through its search-path plug-in, are left as they are.
    """
    files = [source for source in sources if source.scheme() != "structured"]
    home = Path(__file__).resolve().parents[2] / "conf"
    mentioned = {override.lstrip("+").split("=")[0].split(".")[0] for override in overrides}
    groups = {"task": registries.tasks, "method": registries.methods, "metric": registries.metrics}
    for group, registry in groups.items():
        for name in registry.names():
            path = f"{group}/{name}"
            if not (home / f"{path}.yaml").exists() and not any(source.is_config(path) for source in files):
                node = {"name": name, **(_defaults(registry, name) if group in mentioned else {})}
                ConfigStore.instance().store(group=group, name=name, node=node, provider="plug-in")


def _defaults(registry: Registry[Any], name: str) -> dict[str, Any]:
    """Parameters of a registered class and their defaults; none where it cannot be loaded, which is said later."""
    try:
        cls = registry.load(name)
    except (PluginError, DuplicateName):
        return {}
    if not is_dataclass(cls):
        return {}
    plain = (str, int, float, bool, type(None))
    return {f.name: f.default for f in fields(cls) if isinstance(f.default, plain)}
