"""Path-finding in trees."""

from tasks.path_finding.task import PathFinding

__all__ = ["PathFinding"]
