"""Does a method find the nodes that take over only once others are cut?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from bench.metric import HandCase
from bench.metrics.recall import RoleRecall


@dataclass
class BackupRecall(RoleRecall):
    """Share of the ``backup`` nodes that are among the ``k`` highest |scores|.

    ``k`` is how many nodes are ``required``, ``negative`` or ``backup``; the analytic floor is k / n, a random ranking.

    Source: defined by this project. In [0, 1], higher is better. Not defined without backup nodes.
    """

    name: ClassVar[str] = "backup_recall"
    role: ClassVar[str] = "backup"

    @classmethod
    def hand_case(cls) -> HandCase:
        """k = 3 of |5, 4, 2, 2, 1|; the backups are one of the two that tie for the third place, and the last."""
        scores = np.array([5.0, -4.0, -2.0, 2.0, 1.0])
        wanted = np.array([False, False, True, False, True])
        return HandCase({"scores": scores, "wanted": wanted, "k": np.array(3)}, {"": 0.5 / 2})
