"""What `bench regress` says: a line for each row that is not the same, and all rows as CSV and Markdown."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from bench.regress.compare import MISSING, MOVED, NEW, SAME
from bench.regress.judge import COLUMNS, EXAMPLES, FIGURE, RANKS, Row

ORDER = (MOVED, MISSING, NEW, SAME)
SHOWN = 40
GRADES = {RANKS: "the ranks change", FIGURE: "the figure moved", EXAMPLES: "only single examples moved"}


def frame(rows: Sequence[Row]) -> pd.DataFrame:
    """All rows, what moved first."""
    table = pd.DataFrame([row.values() for row in rows], columns=list(COLUMNS))
    order = table.status.map({status: i for i, status in enumerate(ORDER)})
    grade = table.grade.map({RANKS: 0, FIGURE: 1, EXAMPLES: 2}).fillna(3)
    return table.assign(_a=order, _b=grade).sort_values(["_a", "_b"], kind="stable").drop(columns=["_a", "_b"])


def text(table: pd.DataFrame, stale: Sequence[str] = (), notes: Sequence[str] = ()) -> str:
    """For the terminal; at most ``SHOWN`` lines of each kind."""
    lines = []
    for status in ORDER[:-1]:
        found = [_line(row) for row in table[table.status == status].to_dict("records")]
        lines += found[:SHOWN] + ([f"... and {len(found) - SHOWN} more"] if len(found) > SHOWN else [])
    if stale:
        lines.append("the committed board and what is frozen do not belong together; freeze again after `bench board`:")
        lines += [f"  {line}" for line in stale[:SHOWN]]
    return "\n".join([*lines, *notes, summary(table)]) + "\n"


def summary(table: pd.DataFrame) -> str:
    """``152 rows: 150 same, 2 moved, 0 missing, 0 new``"""
    counts = Counter(table.status)
    parts = ", ".join(f"{counts[status]} {status}" for status in (SAME, MOVED, MISSING, NEW))
    return f"{len(table)} rows: {parts}"


def write(table: pd.DataFrame, out: Path, said: str) -> None:
    """regress.csv and regress.md into ``out``."""
    out.mkdir(parents=True, exist_ok=True)
    table.to_csv(out / "regress.csv", index=False, float_format="%.10g", lineterminator="\n")
    (out / "regress.md").write_text("\n".join(_markdown(table, said)), encoding="utf-8")


def _markdown(table: pd.DataFrame, said: str) -> Iterator[str]:
    yield "# Regression\n"
    yield f"{summary(table)}.\n"
    for grade, meaning in GRADES.items():
        found = table[(table.status == MOVED) & (table.grade == grade)]
        if len(found):
            yield f"## Moved: {meaning}\n"
            yield from (f"- {_line(row)}" for row in found.to_dict("records"))
            yield ""
    for status in (MISSING, NEW):
        found = table[table.status == status]
        if len(found):
            yield f"## {status.capitalize()}\n"
            yield from (f"- {_line(row)}" for row in found.to_dict("records"))
            yield ""
    yield f"```\n{said.strip()}\n```\n"


def _line(row: dict[str, object]) -> str:
    where = f"{row['task']} on {row['model']}, {row['level']}: {row['method']} {row['metric']}"
    under = "" if row["ablation"] == "none" else f" ({row['ablation']})"
    head = f"{row['status']}: {where}{under}, seeds {row['seeds']}"
    if row["status"] == NEW:
        return f"{head}: {_number(row['new'])}"
    if row["status"] == MISSING:
        return f"{head}: was {_number(row['old'])}; {row['reason']}"
    return f"{head}: {_moved(row)}"


def _moved(row: dict[str, object]) -> str:
    bounds = f" [{_number(row['low'])}, {_number(row['high'])}]" if math.isfinite(_float(row["low"])) else ""
    parts = [f"{_number(row['old'])} -> {_number(row['new'])}, difference {_number(row['difference'])}{bounds}"]
    if row["better"]:
        parts[0] += " (better)" if row["better"] == "yes" else " (worse)"
    if row["examples"]:
        parts.append(f"{row['examples']} examples beyond the tolerance, the largest by {_number(row['worst'])}")
    if row["grade"] == RANKS:
        parts.append(f"rank {_number(row['rank_old'])} -> {_number(row['rank_new'])}")
    parts.append(GRADES.get(str(row["grade"]), ""))
    if row["reason"]:
        parts.append(str(row["reason"]))
    return "; ".join(part for part in parts if part)


def _float(value: object) -> float:
    return float(value)  # type: ignore[arg-type]


def _number(value: object) -> str:
    number = _float(value)
    return "-" if not math.isfinite(number) else f"{number:.4g}"
