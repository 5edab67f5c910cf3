"""Subject-verb agreement."""

from tasks.sva.task import SVA

__all__ = ["SVA"]
