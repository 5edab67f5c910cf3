"""Exact effects: one forward for each node or edge."""
