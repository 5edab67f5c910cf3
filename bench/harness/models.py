"""Finding a model before it is loaded: where it is, which revision, whether its circuit is known."""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.harness.cells import ModelChoice
from bench.harness.errors import CallError
from bench.harness.keys import file_digest, weights_digest
from bench.method import Truth
from bench.task import Task

if TYPE_CHECKING:
    from bench.engine import Engine
    from bench.harness.cells import Settings

TRUTH = "circuit.json"
CONFIG_FILES = ("config.json", "tokenizer.json", "vocab.json", "merges.txt", "tokenizer.model")
HELP = "give a hub name, or a directory that transformers' save_pretrained wrote"


class NotShipped(LookupError):
    """A planted model that does not come with the task."""


def find_model(config: Mapping[str, Any], task: Task | None, dtype: str) -> ModelChoice:
    """The model of a ``model`` configuration; raises :class:`CallError` or :class:`NotShipped`."""
    kind = config.get("kind")
    trust = bool(config.get("trust_remote_code", False))
    if kind == "planted":
        seed, variant = int(config["seed"]), variant_of(config)
        found = _directory(_planted(task, seed, variant), "planted", dtype, trust, seed=seed)
        return replace(found, variant=variant)
    if kind != "hf":
        raise CallError(f"model.kind={kind!r}: use planted or hf")
    where = config.get("id")
    if not where:
        raise CallError(f"model=hf needs model.id=...: {HELP}")
    where = str(where)
    if Path(where).is_dir():
        path = Path(where).resolve()
        return _directory(path, str(config.get("name") or path.name), dtype, trust)
    if where.startswith((".", "/", "~")) or where.count("/") > 1:
        raise CallError(f"model.id={where}: there is no such directory; {HELP}")
    return _hub(where, str(config.get("name") or where), config.get("revision"), dtype, trust)


def load_engine(model: ModelChoice, settings: Settings) -> Engine:
    """The engine on a model, with nothing in it that tells where the weights came from."""
    from bench.engine import Engine

    local = Path(model.path).is_dir()
    engine = Engine.load(
        model.path, device=settings.device, dtype=model.dtype, trust_remote_code=model.trust_remote_code,
        revision=None if local else model.revision,
    )  # fmt: skip
    engine.model.config._name_or_path = ""
    if engine.tokenizer is not None:
        engine.tokenizer.name_or_path = ""
    return engine


def load_truth(model: ModelChoice) -> Truth | None:
    """A planted model's circuit; None for natural models."""
    if not model.planted:
        return None
    stored = json.loads((Path(model.path) / TRUTH).read_text())
    roles = {name: node["role"] for name, node in stored["nodes"].items()}
    edges = {name: state for state, names in stored["edges"].items() for name in names}
    return Truth(roles, edges, stored.get("variables", {}))


def variant_of(config: Mapping[str, Any]) -> str | None:
    """The variant that a ``model`` configuration asks for, if any."""
    variant = config.get("variant")
    return None if variant is None else str(variant)


def shipped_seeds(task: Task, variant: str | None) -> dict[int, Path]:
    """A task's planted models by seed; tasks of others need not know variants, and then have none."""
    if variant is None:
        return task.planted()
    return task.planted(variant) if inspect.signature(task.planted).parameters else {}


def _planted(task: Task | None, seed: int, variant: str | None) -> Path:
    shipped = shipped_seeds(task, variant) if task else {}
    if task and not shipped and variant is None:
        raise NotShipped(f"{task.name} has no planted models; take a natural one, as model=hf model.id=NAME")
    if seed not in shipped:
        have = ", ".join(map(str, sorted(shipped))) or "none"
        name = task.name if task else "the task"
        which = f", variant {variant}," if variant else ""
        more = f" model.variant={variant}" if variant else ""
        raise NotShipped(
            f"no planted model of {name}{which} with seed {seed} is shipped (there are: {have}); "
            f"make one with `bench plant task={name} model.seed={seed}{more}`"
        )
    return shipped[seed]


def _directory(path: Path, name: str, dtype: str, trust: bool, seed: int | None = None) -> ModelChoice:
    if not (path / "config.json").is_file():
        raise CallError(f"the directory {path} is no model: it has no config.json; {HELP}")
    if not (revision := weights_digest(path)):
        raise CallError(f"the directory {path} is no model: it has no weights (*.safetensors or *.bin); {HELP}")
    config = file_digest(*(path / file for file in CONFIG_FILES if (path / file).is_file()))
    planted = (path / TRUTH).is_file()
    return ModelChoice(name, str(path), revision, config, seed, planted, dtype, trust)


def _hub(name: str, shown: str, revision: str | None, dtype: str, trust: bool) -> ModelChoice:
    commit = None if os.environ.get("HF_HUB_OFFLINE") == "1" else _online_commit(name, revision)
    commit = commit or _cached_commit(name, revision)
    if not commit:
        raise CallError(
            f"model.id={name}: no such directory, not on the hub (or the hub cannot be reached), "
            f"and not in the local cache; {HELP}"
        )
    return ModelChoice(shown, name, commit, dtype=dtype, trust_remote_code=trust)


def _online_commit(name: str, revision: str | None) -> str | None:
    from huggingface_hub import HfApi

    try:
        return HfApi().model_info(name, revision=revision, timeout=10).sha
    except Exception:  # no network, no such model, gated: the cache may still have it
        return None


def _cached_commit(name: str, revision: str | None) -> str | None:
    from huggingface_hub import try_to_load_from_cache

    try:
        found = try_to_load_from_cache(name, "config.json", revision=revision)
    except Exception:  # not a name that the hub allows
        return None
    return Path(found).parent.name if isinstance(found, str) else None
