"""Floors and the ceiling: chance, plain statistics of the activations, the planted truth."""
