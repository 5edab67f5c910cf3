"""From the store to pictures of cells: one explanation at a time, with the circuit planted into its weights."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from bench.board.page.look import Look, of_nodes
from bench.board.page.provenance import Provenance
from bench.board.record import CellRecord
from bench.explanation import ExplanationError
from bench.harness.cells import ModelChoice
from bench.harness.keys import weights_digest
from bench.harness.models import TRUTH, load_truth, shipped_seeds
from bench.harness.provenance import code
from bench.harness.store import Store
from bench.registry import PluginError, Registries, UnknownName

HARDWARE = ("processor", "cores", "machine", "system", "accelerator")
NATURAL = "No known circuit: this model was not planted."
GONE = "The circuit is not shown: the planted model with these weights is not here any more."


class StoredLooks:
    """Looks of the cells of several stores; reads an explanation when it is asked for and keeps circuits only."""

    def __init__(self, stores: Sequence[Store], registries: Registries) -> None:
        self._stores, self._registries = stores, registries
        self._roles: dict[str, Mapping[str, str] | None] = {}
        self._digests: dict[Path, str] = {}

    def __call__(self, record: CellRecord) -> Look:
        for store in self._stores:
            cell = store.cell(record.key)
            if cell is not None and cell["status"] == "ok":
                return self._look(store, cell)
        return Look(why="the cell is not in the store")

    def _look(self, store: Store, cell: Mapping[str, Any]) -> Look:
        try:
            found = store.explanation(cell["key"])
            scores = of_nodes(found.components, found.scores)
        except (OSError, KeyError, ExplanationError, SafetensorError):
            return Look(why="the explanation cannot be read")
        except ValueError as error:
            return Look(why=str(error))
        model = cell.get("configuration", {}).get("model", {})
        if not cell["record"]["planted"]:
            return Look(scores, why=NATURAL)
        revision = str(model.get("revision", ""))
        if revision not in self._roles:
            self._roles[revision] = self._circuit(ModelChoice(**model), cell["configuration"]["task"]["name"])
        roles = self._roles[revision]
        return Look(scores, roles, revision, "" if roles is not None else GONE)

    def _circuit(self, model: ModelChoice, task: str) -> Mapping[str, str] | None:
        """Roles from the first directory that has the weights which the cell was run on."""
        for path in self._places(model, task):
            if path not in self._digests:
                self._digests[path] = weights_digest(path)
            if (path / TRUTH).is_file() and self._digests[path] == model.revision:
                truth = load_truth(ModelChoice(model.name, str(path), model.revision, planted=True))
                return None if truth is None else truth.roles
        return None

    def _places(self, model: ModelChoice, task: str) -> Iterator[Path]:
        yield Path(model.path)
        try:
            shipped = shipped_seeds(self._registries.tasks.load(task)(), model.variant)
        except (UnknownName, PluginError, TypeError):
            return
        if model.seed in shipped:
            yield shipped[model.seed]


def provenance_of(cells: Iterable[Mapping[str, Any]]) -> Provenance:
    """Versions, hardware, dates and models of stored cells; no path and no name of a machine or person."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    models = set()
    for cell in cells:
        made, record = cell.get("provenance", {}), cell.get("record", {})
        for name, value in sorted(made.get("versions", {}).items()):
            counts[name][str(value)] += 1
        hardware = made.get("hardware", {})
        if hardware:
            counts["hardware"][", ".join(f"{k} {hardware[k]}" for k in HARDWARE if k in hardware)] += 1
        if "written" in cell:
            counts["run on"][datetime.fromtimestamp(cell["written"], UTC).date().isoformat()] += 1
        if made.get("revision"):
            seed = "" if record["model_seed"] is None else str(record["model_seed"])
            models.add((str(record["task"]), str(record["model"]), seed, str(made["revision"])))
    ordered = {name: dict(sorted(found.items())) for name, found in counts.items()}
    return Provenance({"code (SHA-256)": code()}, ordered, sorted(models))
