"""How much a submission may be, and how it is refused."""

from __future__ import annotations

import re

MIB = 2**20
MAX_FILE = 64 * MIB
"""Bytes of each file. The largest supported graph (Llama-3.1-8B, 1.6 million edges) takes 45 MiB of names."""
MAX_ARCHIVE = 96 * MIB
MAX_MEMBERS = 16
"""Of an archive, folders included; of a folder."""
MAX_RATIO = 100
"""Bytes per compressed byte, for members above :data:`MIB`: deflate reaches 1,032 on zeros, honest files about 20."""
MAX_VALUES = 2_000_000
"""Values in one JSON file."""
MAX_OPENED = 200_000
"""Objects and arrays in one JSON file."""
MAX_DEPTH = 16
MAX_DIGITS = 40
"""Of a number in a JSON file."""
MAX_TEXT = 300
"""Characters of any one text, components included."""
MAX_HEADER = 16 * 1024
"""Bytes of a safetensors header; one tensor takes about 80."""

LINK = re.compile(r"https?://[\w.-]+(:\d+)?(/[\w.~!$&()*+,;=:@%/?#-]*)?", re.ASCII)
"""Addresses that may stand behind a name on a page."""


class Rejected(ValueError):
    """A submission that is refused; the message names the place and what is wrong with it."""

    def __init__(self, place: str, problem: str) -> None:
        super().__init__(f"{place}: {problem}")
        self.place = place
        self.problem = problem


def shown(value: object, limit: int = 60) -> str:
    """Something of a stranger's in a message: on one line, short, control characters escaped."""
    text = ascii(value[: 2 * limit] if isinstance(value, str | bytes) else value)
    return text if len(text) <= limit else text[: limit - 3] + "..."
