"""Hallucination: context against memory, and false premises."""

from tasks.hallucination.task import Hallucination

__all__ = ["Hallucination"]
