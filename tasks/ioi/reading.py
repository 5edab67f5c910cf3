"""Reading a prompt that somebody else wrote."""

from __future__ import annotations

import re


def name_positions(prompt: str, answer: str, wrong: str) -> dict[str, tuple[int, int]] | None:
    """Spans of characters of IO, S1 and S2 where the prompt says ``answer`` once and ``wrong`` twice; else None."""
    io, s = (
        [found.span() for found in re.finditer(rf"\b{re.escape(word.strip())}\b", prompt)] for word in (answer, wrong)
    )
    return {"IO": io[0], "S1": s[0], "S2": s[1]} if len(io) == 1 and len(s) == 2 else None
