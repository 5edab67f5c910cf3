"""Templates of path-finding. ``paper`` is the one of Brinkmann et al. 2024 (arXiv:2402.11917); the others are ours.

Every slot is read in the same way (with a space in front of it everywhere, or nowhere), so that a name is the same
token wherever it stands.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Template:
    """An ``edge`` has the slots ``{P}`` and ``{C}`` (parent and child); the ``query`` has ``{GOAL}`` and ``{ROOT}``."""

    start: str
    edge: str
    between: str
    query: str
    glued: bool
    """Whether the answer follows without a space."""

    def text(self, edges: int) -> str:
        """The template of a prompt with so many edges; edge i has the slots ``{Pi}`` and ``{Ci}``."""
        made = (self.edge.format(P=f"{{P{i}}}", C=f"{{C{i}}}") for i in range(1, edges + 1))
        return self.start + self.between.join(made) + self.query


TEMPLATES: dict[str, Template] = {
    "lines": Template("", "{P}>{C}", "\n", "\n{GOAL}:{ROOT}>", True),
    "paper": Template("", "{P}>{C}", ",", "|{GOAL}:{ROOT}>", True),
    "rooms": Template("Rooms:", " {P} leads to {C}", ",", ". To get from {ROOT} to {GOAL}, first go to", False),
}


def glued(prompt: str) -> bool:
    """Whether an answer to the user's own prompt follows without a space: behind such a sign, as in `57:10>`."""
    signs = (re.escape(t.query.rpartition("}")[2]) for t in TEMPLATES.values() if t.glued)
    return re.search(rf"\w({'|'.join(signs)})$", prompt) is not None
