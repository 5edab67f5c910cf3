"""Errors of the harness, by what they mean for the call."""

from __future__ import annotations

import re


class CallError(ValueError):
    """The call was wrong (exit code 2); the message says what to do."""


class StoreError(RuntimeError):
    """The store cannot be read or written; the message says what to do. Nothing finished is lost."""


_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{4,}\b")
_PATH = re.compile(r"(?<![\w:.<])(?:~|\.{1,2})?(?:/[\w.+@%\-]+)+/?|\b[A-Za-z]:\\[^\s'\"]+")


def plain(text: str, limit: int = 400) -> str:
    """``text`` on one line without addresses in memory, and with only the last part of each path."""
    text = _ADDRESS.sub("0x...", " ".join(text.split()))
    text = _PATH.sub(lambda found: _last(found.group()), text)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def reason(error: BaseException) -> str:
    """What went wrong, for a board: the message, and the type where the message alone says little."""
    message = str(error).strip()
    name = type(error).__name__
    if not message:
        return name
    return plain(f"{name}: {message}")


def _last(path: str) -> str:
    parts = [part for part in re.split(r"[/\\]", path) if part not in ("", "~", ".", "..")]
    return parts[-1] if parts else path
