"""The board of planted dictionaries: what each architecture finds of features that are known.

    leaderboards/synthetic/make.sh            all, about 6 minutes of processor time, on both cores

writes README.md, recovery.csv, claims.csv and made.json into leaderboards/synthetic.
"""

from __future__ import annotations

import csv
import hashlib
import json
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.dictionary.training.train import KINDS
from bench.harness.provenance import versions
from tests.synthetic.claims import interval, judge
from tests.synthetic.measuring import FLAT, RANDOM, TREE, Case, cases, measure
from tests.synthetic.texts import FIGURES, HEAD, RANKS, WHY

ROOT = Path(__file__).parents[2]
OUT = ROOT / "leaderboards" / "synthetic"
SEEDS = 5
RUNS = "runs.jsonl"
"""What is measured so far; gone when the board is written."""
MEASURED_BY = ("bench/dictionary/dictionary.py", "bench/dictionary/quality.py", "bench/dictionary/synthetic.py",
               "bench/dictionary/training/*.py", "tests/synthetic/measuring.py")  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A figure of an architecture at an L0 target: the mean over seeds with its 95 % Student-t interval."""

    data: str
    architecture: str
    target: float
    figure: str
    value: float
    low: float
    high: float
    seeds: int


def code() -> str:
    """SHA-256 of what the figures depend on."""
    paths = [path for pattern in MEASURED_BY for path in sorted(ROOT.glob(pattern))]
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


def made() -> dict[str, Any]:
    used = {name: version for name, version in versions().items() if name in ("python", "torch", "numpy")}
    return {"code": code(), "seeds": SEEDS, **used}


def summed(found: Sequence[tuple[Case, dict[str, float]]]) -> list[Row]:
    """Over seeds."""
    groups: dict[tuple[str, str, float], list[dict[str, float]]] = {}
    for case, figures in found:
        groups.setdefault((case.data, case.architecture, case.target), []).append(figures)
    rows = []
    for where, runs in groups.items():
        for figure in FIGURES:
            values = np.array([run[figure] for run in runs if figure in run])
            if len(values):
                rows.append(Row(*where, figure, *interval(values), len(values)))
    return rows


def rank(rows: Sequence[Row], data: str, target: float, figure: str, down: bool = True) -> list[Row]:
    """The architectures, the best first."""
    own = [row for row in rows if (row.data, row.target, row.figure) == (data, target, figure)]
    return sorted((row for row in own if row.architecture in KINDS), key=lambda row: row.value, reverse=down)


def write(found: dict[Case, dict[str, float]], out: Path, code_of: dict[str, Any]) -> None:
    """recovery.csv, claims.csv, README.md and made.json."""
    out.mkdir(parents=True, exist_ok=True)
    _csv(out / "recovery.csv", [asdict(row) for row in summed(list(found.items()))])
    _csv(out / "claims.csv", [
        {**asdict(one.claim), "target": one.target, "difference": one.difference, "low": one.low, "high": one.high,
         "holds": one.holds} for one in judge(found)
    ])  # fmt: skip
    (out / "README.md").write_text(page(*read(out)), encoding="utf-8")
    (out / "made.json").write_text(json.dumps(code_of, indent=1) + "\n", encoding="utf-8")


def _csv(path: Path, lines: Sequence[dict[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(lines[0]), lineterminator="\n")
        writer.writeheader()
        for line in lines:
            writer.writerow({k: f"{v:.4g}" if isinstance(v, float) else v for k, v in line.items()})


def read(folder: Path) -> tuple[list[Row], list[dict[str, str]]]:
    """The rows of recovery.csv, and the lines of claims.csv."""
    kinds = {"target": float, "value": float, "low": float, "high": float, "seeds": int}
    with (folder / "recovery.csv").open(newline="", encoding="utf-8") as file:
        rows = [Row(**{k: kinds.get(k, str)(v) for k, v in line.items()}) for line in csv.DictReader(file)]
    with (folder / "claims.csv").open(newline="", encoding="utf-8") as file:
        return rows, list(csv.DictReader(file))


def page(rows: Sequence[Row], claims: Sequence[dict[str, str]]) -> str:
    """The board as Markdown."""
    parts = [HEAD, _claims(claims), WHY]
    for data in (FLAT, TREE):
        for target in sorted({row.target for row in rows if row.data == data and row.architecture in KINDS}):
            parts += [f"\n## {data.capitalize()} features, L0 {target:g}\n", _table(rows, data, target)]
    return "\n".join([*parts, RANKS, _ranks(rows)]) + "\n"


def _claims(claims: Sequence[dict[str, str]]) -> str:
    lines = [_line("data", "L0", "claim", "difference", "holds", "source"), _line(*["---"] * 6)]
    for c in claims:
        between = f"{float(c['difference']):.3g} [{float(c['low']):.3g}, {float(c['high']):.3g}]"
        said = f"{c['first']} before {c['second']} by {FIGURES[c['figure']]}"
        lines.append(_line(c["data"], c["target"], said, between, f"**{c['holds']}**", c["source"]))
    return "\n".join(lines)


def _table(rows: Sequence[Row], data: str, target: float) -> str:
    shown = [name for name in FIGURES if any(row.figure == name and row.data == data for row in rows)]
    lines = [_line("architecture", *(FIGURES[name] for name in shown)), _line(*["---"] * (len(shown) + 1))]
    order = [row.architecture for row in rank(rows, data, target, "recovery")]
    for name in [*order, RANDOM]:
        own = {row.figure: row for row in rows if row.data == data and row.architecture == name
               and (row.target == target or name == RANDOM)}  # fmt: skip
        lines.append(_line(name, *(_cell(own.get(figure)) for figure in shown)))
    return "\n".join(lines)


def _cell(row: Row | None) -> str:
    if row is None:
        return "-"
    return f"{row.value:.0e}" if row.figure == "ev_error" else f"{row.value:.3g} [{row.low:.3g}, {row.high:.3g}]"


def _ranks(rows: Sequence[Row]) -> str:
    lines = [_line("data", "L0", "recovery, best first", "FVU, best first"), _line(*["---"] * 4)]
    for data, target in dict.fromkeys((row.data, row.target) for row in rows if row.architecture in KINDS):
        orders = [rank(rows, data, target, figure, down) for figure, down in (("recovery", True), ("fvu", False))]
        lines.append(_line(data, f"{target:g}", *(", ".join(row.architecture for row in one) for one in orders)))
    return "\n".join(lines)


def _line(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def kept(out: Path) -> dict[Case, dict[str, float]]:
    """The cases that this code has measured before: a killed run goes on."""
    if not (out / RUNS).is_file():
        return {}
    lines = [json.loads(line) for line in (out / RUNS).read_text(encoding="utf-8").splitlines()]
    return {Case(**line["case"]): line["figures"] for line in lines if line["code"] == code()}


def main(folder: Path = OUT, seeds: int = SEEDS, workers: int = 2) -> None:
    """Measure what is missing and write the board."""
    folder.mkdir(parents=True, exist_ok=True)
    found, asked = kept(folder), cases(seeds)
    missing = [case for case in asked if case not in found]
    with ProcessPoolExecutor(workers) as pool, (folder / RUNS).open("a", encoding="utf-8") as file:
        for case, figures in zip(missing, pool.map(measure, missing), strict=True):
            found[case] = figures
            file.write(json.dumps({"case": asdict(case), "figures": figures, "code": code()}) + "\n")
            file.flush()
            print(f"{len(found)} of {len(asked)}: {case}", file=sys.stderr)
    write({case: found[case] for case in asked}, folder, made())
    (folder / RUNS).unlink()


if __name__ == "__main__":
    main()
