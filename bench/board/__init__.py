"""Boards: a pure function from the store's records to rows, and from rows to CSV, Markdown, HTML and text."""

from bench.board.record import CellRecord
from bench.board.rows import COLUMNS, rows
from bench.board.text import text
from bench.board.write import write

__all__ = ["COLUMNS", "CellRecord", "rows", "text", "write"]
