"""bench check method=NAME [OVERRIDE ...]: does a method keep the contract? One line per clause; 1 when one is broken.

  bench check method=my_method                     on the planted model of ioi
  bench check method=my_method method.steps=3 task=induction model.seed=1
  bench check method=das variable=D                one of the variable track; the task's first variable if left out

runs          one finite score per component, and what else its track hands over can be read back
determinism   the same seed gives the same; another one too, unless the method says stochastic
batch size    batches of 16 and of 5 give the same, to 1e-5 of the largest value
signs         scores point the way of exact effects: positive helps the answer (circuit track)
passes        forwards and backwards as the method declares them, and all of them through the engine
truth         no file of a planted model is read
writing       nothing is written outside the folder that it runs in, no process started, no connection made

Outside the circuit track the scores and tensors of the explanation are compared (a subspace by its projection), what
steps of an optimiser have found to 1e-2; no signs are asked for, and passes need not be declared.
The method runs in a process of its own, watched through Python's audit events: that finds mistakes, it is no prison.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.cli.calls import only_overrides
from bench.cli.compose import composer
from bench.harness.errors import CallError
from bench.registry import discover


def main(arguments: Sequence[str]) -> int:
    """Print the clauses; the exit code."""
    _, overrides = only_overrides(arguments, "check", "method=NAME")
    registries = discover()
    names = [word.split("=", 1)[1] for word in overrides if word.startswith("method=")]
    if len(names) != 1:
        raise CallError("which method? bench check method=NAME")
    registries.methods.load(names[0])
    with composer(overrides, registries) as hydra:
        hydra.config(overrides)
    from bench.contract import check

    clauses = check(overrides)
    for clause in clauses:
        print(clause)
    return 0 if all(clause.kept for clause in clauses) else 1
