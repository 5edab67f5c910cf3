"""Arithmetic with one operator."""

from tasks.arithmetic.task import Arithmetic

__all__ = ["Arithmetic"]
