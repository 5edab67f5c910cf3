"""The contract between the harness and a method: what `bench check` holds a plug-in to, and a project to start from."""

from bench.contract.clauses import Clause, check
from bench.contract.opening import planted_job

__all__ = ["Clause", "check", "planted_job"]
