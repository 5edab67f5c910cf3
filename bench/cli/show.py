"""What a verb shows at its end: the board of its cells, and tracebacks where they are asked for."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

from bench.board.record import CellRecord


def print_board(records: Sequence[CellRecord]) -> None:
    """Print the board of these records."""
    from bench.board import rows, text

    width = _width()
    print(text(rows(records), width) if width else text(rows(records)), end="")


def show_tracebacks() -> None:
    """Send what goes wrong inside a cell to stderr, tracebacks and all."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logging.getLogger("bench").addHandler(handler)


def tracebacks_shown() -> bool:
    """Whether :func:`show_tracebacks` was called."""
    return any(type(handler) is logging.StreamHandler for handler in logging.getLogger("bench").handlers)


def _width() -> int:
    """The terminal's width; 0 in a pipe, where the board's own holds."""
    import shutil

    return max(80, shutil.get_terminal_size().columns) if sys.stdout.isatty() else 0
