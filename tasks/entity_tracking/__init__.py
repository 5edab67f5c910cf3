"""Entity tracking: objects in boxes."""

from tasks.entity_tracking.task import EntityTracking

__all__ = ["EntityTracking"]
