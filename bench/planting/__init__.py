"""Planting: training small transformers whose circuit is known (SIIT, InterpBench: Gupta et al. 2024)."""
