"""What a piece of Python code does outside: audit events (PEP 578), kept while it runs.

Seen is what Python itself opens, writes, removes, starts or connects to. Compiled code that opens files past Python is
not seen, and code that means harm can get around any such hook: this finds mistakes, it is no prison.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

TRUTH = "circuit.json"
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = {
    "os.rename": (0, 1), "os.remove": (0,), "os.rmdir": (0,), "os.mkdir": (0,), "os.symlink": (1,), "os.link": (0, 1),
    "os.truncate": (0,), "os.chmod": (0,), "os.chown": (0,), "os.utime": (0,), "shutil.rmtree": (0,),
    "shutil.copyfile": (1,), "shutil.move": (0, 1), "sqlite3.connect": (0,),
}  # fmt: skip
"""Events that change files, and which of their arguments are paths."""
PROCESSES = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty")
LIMIT = 20


class Watch:
    """Records, while ``active``, reading of planted truth, and writing outside of ``home``."""

    def __init__(self, home: Path, secret: Iterable[Path]) -> None:
        self.home = os.path.realpath(home)
        self.secret = tuple(os.path.realpath(path) for path in secret)
        self.active = False
        self.peeked: list[str] = []
        self.wrote: list[str] = []
        self._busy = False
        sys.addaudithook(self._hook)

    def _hook(self, event: str, details: tuple[Any, ...]) -> None:
        if not self.active or self._busy:
            return
        self._busy = True
        try:
            self._take(event, details)
        finally:
            self._busy = False

    def _take(self, event: str, details: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = details
            writes = bool(set(mode) & set("wax+")) if isinstance(mode, str) else bool((flags or 0) & WRITES)
            self._file(path, writes)
        elif event in ("os.listdir", "os.scandir") and details and details[0] is not None:
            self._file(details[0], False)
        elif event in CHANGES:
            for index in CHANGES[event]:
                self._file(details[index], True)
        elif event in PROCESSES:
            self._note(self.wrote, f"starts another process ({event}), which nobody watches")
        elif event == "socket.connect":
            self._note(self.wrote, f"connects to {details[1]}")

    def _file(self, path: Any, writes: bool) -> None:
        if isinstance(path, int) or path is None:
            return
        full = os.path.realpath(os.fsdecode(path))
        if full.endswith(f"/{TRUTH}") or any(full == root or full.startswith(f"{root}/") for root in self.secret):
            self._note(self.peeked, "/".join(full.split("/")[-3:]))
        if writes and not full.startswith(f"{self.home}/") and full not in (self.home, os.devnull):
            self._note(self.wrote, f"writes {full}")

    @staticmethod
    def _note(found: list[str], text: str) -> None:
        if text not in found and len(found) < LIMIT:
            found.append(text)
