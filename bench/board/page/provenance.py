"""What made the boards: versions, code, hardware, dates and the models' revisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bench.board.page.markup import details, table, text, th


@dataclass(frozen=True)
class Provenance:
    """By name what is true of the boards, and of how many cells; all of it is plain text."""

    boards: Mapping[str, str] = field(default_factory=dict)
    """Of the command that wrote the page: the hash of its code."""
    cells: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """``{"torch": {"2.6.0": 525}}``"""
    models: Sequence[tuple[str, str, str, str]] = ()
    """Task, model, seed and revision."""


def provenance(found: Provenance) -> str:
    """The section's content."""
    body = [
        f'<tr><th scope="row">{text(name)}</th><td>{text(value)}</td><td>the boards</td></tr>'
        for name, value in found.boards.items()
    ]
    for name, values in found.cells.items():
        for i, (value, n) in enumerate(values.items()):
            shown = text(name) if not i else f'<span class="again">{text(name)}</span>'
            cells = f"{n} cell{'s' * (n != 1)}"
            body.append(f'<tr><th scope="row">{shown}</th><td>{text(value)}</td><td>{cells}</td></tr>')
    if not body:
        return '<p class="note">Nothing is known of what made these boards.</p>'
    content = table("What made the boards and their cells", [th("what"), th("value"), th("of")], body)
    several = [name for name, values in found.cells.items() if len(values) > 1 and name != "run on"]
    if several:
        content += (
            f'<p class="note">Cells differ in {text(", ".join(several))}: they were not all made by the same code or'
            " on the same machine.</p>"
        )
    if found.models:
        rows = ["<tr>" + "".join(f"<td>{text(part)}</td>" for part in model) + "</tr>" for model in found.models]
        columns = [th("task"), th("model"), th("seed", "number"), th("revision (SHA-256 of the weights, or a commit)")]
        content += details(f"{len(rows)} models", table("Models and their revisions", columns, rows))
    return content
