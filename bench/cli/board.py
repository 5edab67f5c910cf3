"""bench board [store=results] [out=leaderboards] [budget=PASSES]: write boards from the store: CSV, Markdown, HTML.

bench board                            leaderboards/<track>.csv, _ranks.csv, _random.csv, .md and index.html
bench board budget=3 out=cheap         only methods of at most 3 passes (forwards + backwards per example)
bench board pictures=false             a smaller page, without a picture of each cell's scores
bench board page=variable.html         another page beside those that are there, with variable_made.json
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.cli.calls import only_overrides, store_at
from bench.cli.compose import composer
from bench.harness.errors import CallError
from bench.harness.provenance import code
from bench.harness.records import read_records
from bench.harness.store import Store
from bench.registry import discover
from bench.submit.limits import Rejected

if TYPE_CHECKING:
    from bench.board.record import CellRecord


def main(arguments: Sequence[str]) -> int:
    """Write the boards; the exit code."""
    _, overrides = only_overrides(arguments, "board", "store=, out=, page= and budget=")
    registries = discover()
    with composer(overrides, registries) as hydra:
        config = hydra.config(overrides)
    page, store = _page(config["page"]), store_at(config["store"])
    from bench.submit.standing import with_submissions

    try:
        records = with_submissions(read_records(store), config["store"], config["out"])
    except Rejected as error:
        raise CallError(str(error)) from error
    if not records:
        raise CallError(f"the store {config['store']} is empty; run something first")
    from bench.board import write
    from bench.board.budget import within
    from bench.harness.look import StoredLooks, provenance_of
    from bench.submit.scoring import store_of

    budget = _budget(config["budget"])
    stores = [store, Store(store_of(config["store"]))]
    looks = StoredLooks(stores, registries) if config["pictures"] else None
    made_by = provenance_of(_shown(stores, records))
    table = write(records, config["out"], budget=budget, looks=looks, made=made_by, name=page)
    made = json.dumps(_made(store), indent=1, sort_keys=True) + "\n"
    by = "made.json" if page == "index.html" else f"{page.removesuffix('.html')}_made.json"
    (Path(config["out"]) / by).write_text(made, encoding="utf-8")
    print(f"{len(table)} rows of {len(records)} cells in {config['out']}")
    if budget is not None:
        print(within(records, budget))
    return 0


def _budget(value: object) -> float | None:
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool) and value >= 0):
        return value
    raise CallError(f"budget={value}: a number of passes (forwards + backwards per example) is needed")


def _page(value: object) -> str:
    if isinstance(value, str) and Path(value).name == value and value.endswith(".html") and len(value) > len(".html"):
        return value
    raise CallError(f"page={value}: the name of a page is needed, like index.html")


def _shown(stores: Sequence[Store], records: Sequence[CellRecord]) -> Iterator[dict[str, Any]]:
    """What is stored about the cells that the boards show."""
    for record in records:
        found = (cell for store in stores if (cell := store.cell(record.key)) is not None)
        if (cell := next(found, None)) is not None and not record.beside:
            yield cell


def _made(store: Store) -> dict[str, Any]:
    """What made the boards: the hash of the code that wrote them, and of the code and versions that made the cells."""
    cells = [cell["provenance"]["versions"] for cell in store.cells()]
    made = {name: sorted({cell.get(name, "") for cell in cells}) for name in sorted({k for c in cells for k in c})}
    return {"boards": code(), "cells": made}
