"""The natural model of entity tracking: nothing planted, prompts with few boxes first.

On two to seven boxes at once the training stays where it names one of the objects told, whichever.
"""

from __future__ import annotations

from bench.planting.natural.planting import NaturalPlanting
from bench.planting.natural.training import Schedule
from tasks.entity_tracking.plant import planting
from tasks.entity_tracking.plant_prompts import sample_few

natural = NaturalPlanting(planting, schedule=Schedule(lr=1e-3, pairs=64), curriculum=(sample_few,))
