"""First weights that match: heads start by looking for equal codes, and by copying them from lane to lane."""

from bench.planting.matching.planting import Matched
from bench.planting.matching.weights import Codes, matched

__all__ = ["Codes", "Matched", "matched"]
