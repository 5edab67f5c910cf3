"""Circuits whose components are the latents of dictionaries, and what each dictionary leaves over."""
