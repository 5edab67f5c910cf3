"""Entity tracking: which object is in the box that the query names."""

from tasks.entity_tracking.task import EntityTracking

__all__ = ["EntityTracking"]
