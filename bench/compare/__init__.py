"""Paired comparisons of methods: within each task over examples and seeds, then over tasks."""

from bench.compare.comparison import Comparison, Wanted, compare
from bench.compare.report import report

__all__ = ["Comparison", "Wanted", "compare", "report"]
