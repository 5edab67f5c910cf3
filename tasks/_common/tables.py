"""Tables of examples from CSV, JSON lines, a ``datasets`` directory or the hub, as rows with flat column names."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict, load_dataset, load_from_disk

from bench.task import TaskError

SUFFIXES = {".csv": ",", ".tsv": "\t", ".jsonl": "", ".json": "", ".ndjson": ""}


@dataclass(frozen=True)
class Row:
    """One row of a table."""

    number: int
    """From 1; a header does not count."""
    cells: Mapping[str, Any]
    """By column; nested columns joined by dots, empty ones left out."""
    split: str = ""
    """The part of the data set that it came from, where there is more than one."""

    @property
    def label(self) -> str:
        return f"row {self.number}" + (f" of {self.split}" if self.split else "")

    def text(self, column: str) -> str:
        """A cell as text. Raises :class:`TaskError` where it is missing or something else."""
        if column not in self.cells:
            raise TaskError(f"{self.label}, column {column!r}: nothing there")
        value = self.cells[column]
        if isinstance(value, (list, bool)) or not str(value).strip():
            raise TaskError(f"{self.label}, column {column!r}: {value!r} is no text")
        return str(value)


def read_table(source: str) -> list[Row]:
    """All rows of ``source``. Raises :class:`TaskError` that names the row where it cannot be read."""
    path = Path(source).expanduser()
    if path.suffix.lower() in SUFFIXES or path.is_file():
        if not path.is_file():
            raise TaskError(f"no file {source!r}; task.data is relative to where the command is called")
        rows = list(_read_file(path))
    else:
        rows = list(_read_data_set(source, path))
    if not rows:
        raise TaskError(f"{source!r} holds no examples")
    return rows


def _read_file(path: Path) -> Iterator[Row]:
    delimiter = SUFFIXES.get(path.suffix.lower())
    if delimiter is None:
        raise TaskError(f"{path.name!r} is none of {', '.join(SUFFIXES)}")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise TaskError(f"{path.name!r} cannot be read as UTF-8 text: {reason}") from error
    yield from _read_csv(text, delimiter) if delimiter else _read_json_lines(text)


def _read_csv(text: str, delimiter: str) -> Iterator[Row]:
    lines = csv.reader(text.splitlines(keepends=True), delimiter=delimiter)
    header = [name.strip() for name in next(lines, [])]
    double = {name for name in header if header.count(name) > 1}
    if double:
        raise TaskError(f"column {min(double)!r} is there twice")
    number = 0
    for cells in lines:
        if not cells:
            continue
        number += 1
        if len(cells) != len(header):
            count = f"{len(cells)} cells, the header has {len(header)}"
            raise TaskError(f"row {number} has {count}; put cells with commas in quotes")
        yield Row(number, {name: cell for name, cell in zip(header, cells, strict=True) if cell.strip()})


def _read_json_lines(text: str) -> Iterator[Row]:
    lines = [line for line in text.splitlines() if line.strip()]
    for number, line in enumerate(lines, start=1):
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            raise TaskError(f"row {number} is no JSON ({error.msg}); one object per line is expected") from error
        if not isinstance(value, dict):
            kind = type(value).__name__
            raise TaskError(f"row {number} is no JSON object but {kind}; one object per line is expected")
        yield Row(number, dict(_flatten(value)))


def _read_data_set(source: str, path: Path) -> Iterator[Row]:
    try:
        saved = (path / "dataset_info.json").is_file() or (path / "dataset_dict.json").is_file()
        found = load_from_disk(str(path)) if saved else load_dataset(source)
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise TaskError(
            f"{source!r} is neither a file ({', '.join(SUFFIXES)}) nor a directory nor a hub name that `datasets` can "
            f"load: {reason}"
        ) from error
    parts = dict(found) if isinstance(found, DatasetDict) else {"": found}
    for name, part in parts.items():
        if not isinstance(part, Dataset):
            raise TaskError(f"{source!r} is no plain table; save it with Dataset.save_to_disk first")
        for number, cells in enumerate(part, start=1):
            yield Row(number, dict(_flatten(cells)), name if len(parts) > 1 else "")


def _flatten(value: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, cell in value.items():
        if isinstance(cell, Mapping):
            yield from _flatten(cell, f"{before}{name}.")
        elif cell is not None and (not isinstance(cell, str) or cell.strip()):
            yield f"{before}{name}", cell
