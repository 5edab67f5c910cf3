"""Circuits of latents: attribution and patching of what dictionaries make of activations."""
