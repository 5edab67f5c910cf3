"""`bench submit --verified METHOD`: mark what a maintainer ran on models planted from an undisclosed seed."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.cli.compose import composer
from bench.harness.errors import CallError
from bench.harness.store import Store
from bench.registry import discover
from bench.submit.checking import check_about
from bench.submit.entries import VERIFIED, Entry, write_entry
from bench.submit.limits import Rejected

WANTED = ("author", "link")


def verified(methods: Sequence[str], own: Mapping[str, str], overrides: Sequence[str]) -> int:
    """Write one entry per task, model and level on which the store has the method; the exit code."""
    if len(methods) != 1 or any(name not in own for name in WANTED):
        raise CallError('bench submit --verified METHOD author="NAME" link=https://... [store=PATH] [out=PATH]')
    with composer(overrides, discover()) as hydra:
        config = hydra.config(overrides)
    if not Path(config["store"]).is_dir():
        raise CallError(f"there is no store {config['store']}; name it with store=PATH")
    date = own.get("date", datetime.date.today().isoformat())
    try:
        about = check_about({"schema": 1, "author": own["author"], "link": own["link"], "date": date})
    except Rejected as error:
        raise CallError(str(error)) from error
    groups: dict[tuple[str, str, str, str, str], list[str]] = {}
    for cell in Store(config["store"]).cells():
        record = cell["record"]
        if cell["status"] == "ok" and methods[0] in (record["method"], record["method"].split("[")[0]):
            if not record["planted"]:
                continue  # there is no truth to hide
            label, level = record["method"], record["level"]
            place = (label, record["task"], record["model"], level, record["counterfactual"])
            groups.setdefault(place, []).append(cell["key"])
    if not groups:
        raise CallError(f"the store {config['store']} has no finished cell of {methods[0]} on a planted model")
    for place, keys in sorted(groups.items()):
        label, task, model, level, counterfactual = place
        found = (label, task, model, level, counterfactual, tuple(sorted(keys)))
        print(write_entry(Entry(about.author, about.link, about.date, VERIFIED, *found), Path(config["out"])))
    return 0
