"""Recall and reasoning: a fact that the weights hold against a two-hop answer that the prompt holds."""

from tasks.recall_reasoning.task import RecallReasoning

__all__ = ["RecallReasoning"]
