"""The boards as one offline page."""

from bench.board.page.build import page
from bench.board.page.look import Look, Looks
from bench.board.page.provenance import Provenance

__all__ = ["Look", "Looks", "Provenance", "page"]
