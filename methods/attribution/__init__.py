"""Gradient approximations of patching: all components at once."""
