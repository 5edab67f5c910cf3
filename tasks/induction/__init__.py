"""Induction with trigger bigrams."""

from tasks.induction.task import Induction

__all__ = ["Induction"]
