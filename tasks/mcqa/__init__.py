"""Multiple-choice questions."""

from tasks.mcqa.task import MCQA

__all__ = ["MCQA"]
