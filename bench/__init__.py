"""interpassay: a benchmark of interpretability methods."""

__version__ = "0.1.0"
