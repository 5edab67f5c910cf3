"""Regression: stored explanations, scored again with the current code and held against frozen figures."""
