"""Templates of identity rules. ``caret`` is the one of Yang et al. 2025 (arXiv:2502.20332); the others are ours.

Every slot is read in the same way (with a space in front of it everywhere, or nowhere), so that a word is the same
token wherever it stands.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Template:
    """An ``item`` has the slots ``{A}``, ``{B}`` and ``{C}``, the ``query`` has ``{A}`` and ``{B}``."""

    start: str
    item: str
    query: str
    glued: bool
    """Whether the answer follows without a space."""

    def text(self, shots: int) -> str:
        """The template of a prompt with so many items; item i has the slots ``{Ai}``, ``{Bi}``, ``{Ci}``."""
        items = (self.item.format(A=f"{{A{i}}}", B=f"{{B{i}}}", C=f"{{C{i}}}") for i in range(1, shots + 1))
        return self.start + "".join(items) + self.query


TEMPLATES: dict[str, Template] = {
    "caret": Template("", "{A}^{B}^{C}\n", "{A}^{B}^", True),
    "comma": Template("Sets:", " {A}, {B}, {C};", " {A}, {B},", False),
    "say": Template("", "Say {A}, {B}, {C}. ", "Say {A}, {B},", False),
}


def glued(prompt: str) -> bool:
    """Whether an answer to the user's own prompt follows without a space: behind such a sign, as in `hat^box^`."""
    signs = (re.escape(t.query.rpartition("}")[2]) for t in TEMPLATES.values() if t.glued)
    return re.search(rf"\w({'|'.join(signs)})$", prompt) is not None
