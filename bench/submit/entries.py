"""Entries: small TOML files under ``leaderboards/submissions/``, one per submission, that a person can review.

The board takes author, link, date and mark from them. Without its entry a submission is on no board.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tomllib
import unicodedata
from dataclasses import dataclass, fields
from pathlib import Path

from bench.submit.limits import LINK, Rejected, shown

FOLDER = "submissions"
PUBLIC, VERIFIED = "public truth", "verified"
"""Marks: a file of scores on models whose truth anybody can read; code that a maintainer ran on undisclosed ones."""
HEAD = """\
# Written by `bench submit`; `bench board` reads it. To take the submission off the board, remove this file.
"""


@dataclass(frozen=True)
class Entry:
    """One submission, or one method that was verified."""

    author: str
    link: str
    date: str
    mark: str
    method: str
    """As the board calls it."""
    task: str
    model: str
    level: str
    counterfactual: str
    keys: tuple[str, ...]
    """Keys of the cells in the store."""
    digest: str = ""
    """SHA-256 of what was handed in."""
    model_revision: str = ""
    model_seed: int = -1
    """-1 where the model has none."""
    data_seed: int = -1
    """Of the test examples, drawn when it was submitted."""

    @property
    def name(self) -> str:
        """The file's name without suffix."""
        return "-".join([slug(self.author), slug(self.method.split("[")[0]), slug(self.task), self.keys[0][:8]])


def slug(text: str) -> str:
    """``Jane Doe`` as ``jane_doe``; what has no Latin letters as a part of its hash."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:40] or hashlib.sha256(text.encode()).hexdigest()[:8]


def read_entries(out: Path) -> list[Entry]:
    """The entries beside the boards in ``out``; raises :class:`Rejected` on a file that is none."""
    return [_read(path) for path in sorted((out / FOLDER).glob("*.toml"))]


def find(out: Path, digest: str) -> Entry | None:
    """The entry of what has been handed in before."""
    return next((entry for entry in read_entries(out) if digest and entry.digest == digest), None)


def write_entry(entry: Entry, out: Path) -> Path:
    """Write the file of an entry, whole or not at all."""
    folder = out / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"{f.name} = {_toml(getattr(entry, f.name))}" for f in fields(entry)]
    path = folder / f"{entry.name}.toml"
    scratch = folder / f".{entry.name}.{os.getpid()}"
    scratch.write_text(HEAD + "\n".join(lines) + "\n", encoding="utf-8", newline="\n")
    scratch.replace(path)
    return path


def _toml(value: object) -> str:
    """TOML of a printable text, a number or texts; its basic strings are JSON's."""
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)


def _read(path: Path) -> Entry:
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Rejected(path.name, f"is no TOML: {error}") from error
    kinds = {"keys": list, "model_seed": int, "data_seed": int}
    for field in fields(Entry):
        if field.name not in found and isinstance(field.default, str | int):
            continue
        if not isinstance(found.get(field.name), kinds.get(field.name, str)):
            raise Rejected(f"{path.name}: {field.name}", f"is {shown(found.get(field.name))}")
    if unknown := set(found) - {f.name for f in fields(Entry)}:
        raise Rejected(path.name, f"has the unknown key {sorted(unknown)[0]}")
    if not found["keys"] or any(not re.fullmatch("[0-9a-f]{32}", str(key)) for key in found["keys"]):
        raise Rejected(f"{path.name}: keys", "are no keys of cells")
    if not LINK.fullmatch(found["link"]):  # it becomes a link on the page
        raise Rejected(f"{path.name}: link", f"{shown(found['link'])} is no http(s) address")
    if found["mark"] not in (PUBLIC, VERIFIED):
        raise Rejected(f"{path.name}: mark", f"is {shown(found['mark'])}; use {PUBLIC!r} or {VERIFIED!r}")
    return Entry(**{**found, "keys": tuple(found["keys"])})
