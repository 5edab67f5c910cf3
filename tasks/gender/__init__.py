"""Pronouns by gender."""

from tasks.gender.task import Gender

__all__ = ["Gender"]
