"""Scoring: selection of circuits, their curves, ablations and intervals; pure functions on arrays wherever possible."""
