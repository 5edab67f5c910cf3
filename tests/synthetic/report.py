"""The board of planted dictionaries: what each architecture finds of features that are known.

    leaderboards/synthetic/make.sh            all, about 6 minutes of processor time, on both cores

writes README.md, recovery.csv and made.json into leaderboards/synthetic.
"""

from __future__ import annotations

import csv
import hashlib
import json
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from bench.dictionary.training.train import KINDS
from bench.harness.provenance import versions
from tests.synthetic.measuring import FLAT, RANDOM, TREE, Case, cases, measure
from tests.synthetic.texts import FIGURES, HEAD, RANKING, TAIL

ROOT = Path(__file__).parents[2]
OUT = ROOT / "leaderboards" / "synthetic"
SEEDS = 5
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
    """Over seeds; without an interval where there are fewer than two."""
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


def interval(values: np.ndarray) -> tuple[float, float, float]:
    """Mean, low and high."""
    mean = float(values.mean())
    if len(values) < 2:
        return mean, float("nan"), float("nan")
    half = float(stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return mean, mean - half, mean + half


def rank(rows: Sequence[Row], data: str, target: float, figure: str, down: bool = True) -> list[Row]:
    """The architectures, the best first."""
    own = [row for row in rows if (row.data, row.target, row.figure) == (data, target, figure)]
    return sorted((row for row in own if row.architecture in KINDS), key=lambda row: row.value, reverse=down)


def write(rows: Sequence[Row], out: Path, code_of: dict[str, Any]) -> None:
    """recovery.csv, README.md and made.json."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / "recovery.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [f.name for f in fields(Row)], lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({k: f"{v:.4g}" if isinstance(v, float) else v for k, v in asdict(row).items()})
    (out / "README.md").write_text(page(read(out / "recovery.csv")), encoding="utf-8")
    (out / "made.json").write_text(json.dumps(code_of, indent=1) + "\n", encoding="utf-8")


def read(path: Path) -> list[Row]:
    with path.open(newline="", encoding="utf-8") as file:
        kinds = {"target": float, "value": float, "low": float, "high": float, "seeds": int}
        return [Row(**{k: kinds.get(k, str)(v) for k, v in line.items()}) for line in csv.DictReader(file)]


def page(rows: Sequence[Row]) -> str:
    """The board as Markdown."""
    parts = [HEAD]
    for data in (FLAT, TREE):
        for target in sorted({row.target for row in rows if row.data == data and row.architecture in KINDS}):
            parts += [f"\n## {data.capitalize()} features, L0 {target:g}\n", _table(rows, data, target)]
    return "\n".join([*parts, RANKING, _ranks(rows), TAIL])


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
    return "-" if row is None else f"{row.value:.3g} [{row.low:.3g}, {row.high:.3g}]" if row.figure != "ev_error" \
        else f"{row.value:.0e}"  # fmt: skip


def _ranks(rows: Sequence[Row]) -> str:
    lines = [_line("data", "L0", "recovery, best first", "FVU, best first"), _line(*["---"] * 4)]
    for data, target in dict.fromkeys((row.data, row.target) for row in rows if row.architecture in KINDS):
        orders = [rank(rows, data, target, figure, down) for figure, down in (("recovery", True), ("fvu", False))]
        lines.append(_line(data, f"{target:g}", *(", ".join(row.architecture for row in one) for one in orders)))
    return "\n".join(lines)


def _line(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    found = []
    with ProcessPoolExecutor(2) as pool:
        asked = cases(SEEDS)
        for case, figures in zip(asked, pool.map(measure, asked), strict=True):
            found.append((case, figures))
            print(f"{len(found)} of {len(asked)}: {case}", file=sys.stderr)
    write(summed(found), OUT, made())


if __name__ == "__main__":
    main()
