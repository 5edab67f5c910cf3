"""Indirect-object identification."""

from tasks.ioi.task import IOI

__all__ = ["IOI"]
