"""What `bench regress --rerun` says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from bench.regress.compare import MISSING, MOVED, NEW, SAME
from bench.regress.rerun import LEVEL, Rerun

PLACE = ("task", "model", "level", "method", "metric", "ablation", "counterfactual")


def rerun_text(rows: Sequence[Rerun]) -> str:
    """A line for each row that is not the same, and how many are."""
    lines = [_line(row) for status in (MOVED, MISSING, NEW) for row in rows if row.status == status]
    counts = Counter(row.status for row in rows)
    noise = sum(1 for row in rows if row.reason and row.status == SAME)
    parts = ", ".join(f"{counts[status]} {status}" for status in (SAME, MOVED, MISSING, NEW))
    tested = sum(1 for row in rows if row.status in (SAME, MOVED))
    lines.append(f"{len(rows)} rows under new seeds: {parts}; {noise} of the same differ within the noise of seeds")
    lines.append(f"(Student's t within models, one variance; p under {LEVEL} / {tested} rows counts as moved)")
    return "\n".join(lines) + "\n"


def write_rerun(rows: Sequence[Rerun], out: Path) -> None:
    """rerun.csv into ``out``."""
    out.mkdir(parents=True, exist_ok=True)
    lines = [
        dict(zip(PLACE, row.place, strict=True))
        | {"status": row.status, "old": row.old, "new": row.new, **row.test._asdict(), "reason": row.reason}
        for row in rows
    ]
    pd.DataFrame(lines).to_csv(out / "rerun.csv", index=False, float_format="%.10g", lineterminator="\n")


def _line(row: Rerun) -> str:
    task, model, level, method, metric, ablation, _ = row.place
    under = "" if ablation == "none" else f" ({ablation})"
    head = f"{row.status}: {task} on {model}, {level}: {method} {metric}{under}"
    if row.status == MOVED:
        t = row.test
        return f"{head}: {row.old:.4g} -> {row.new:.4g}, {t.difference:+.4g} [{t.low:.4g}, {t.high:.4g}], p = {t.p:.2g}"
    value = row.new if row.status == NEW else row.old
    return f"{head}: {value:.4g}" + (f"; {row.reason}" if row.reason else "")
