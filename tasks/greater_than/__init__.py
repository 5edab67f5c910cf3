"""Greater-than: years."""

from tasks.greater_than.task import GreaterThan

__all__ = ["GreaterThan"]
