"""Recall and reasoning on the same entities."""

from tasks.recall_reasoning.task import RecallReasoning

__all__ = ["RecallReasoning"]
