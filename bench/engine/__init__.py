"""The intervention engine: exact, on any supported causal language model of ``transformers``."""

from bench.engine.architectures import ARCHITECTURES, ModelError, graph_of
from bench.engine.engine import Cost, Engine
from bench.engine.sources import Sources

__all__ = ["ARCHITECTURES", "Cost", "Engine", "ModelError", "Sources", "graph_of"]
