"""The causal model of path-finding: from the goal back to the root, one step at a time."""

from __future__ import annotations

from collections.abc import Mapping

from bench.task import CausalModel
from tasks.path_finding.trees import Problem, ancestors


class PathFindingCausalModel(CausalModel):
    """``A1`` is the goal's parent, ``A2`` its parent, and so on; ``answer`` is the last of them below the root.

    A step that would reach the root, and all after it, is empty. The values of a prompt also hold its inputs: ``root``,
    ``goal`` and ``tree``, the edges in the order of the prompt. Where a step is set to a node that is not below the
    base's root, or too deep for the steps that are left, or is empty in one of the two prompts, nothing is predicted:
    the answer is empty.
    """

    def __init__(self, depth: int) -> None:
        self.steps = tuple(f"A{i}" for i in range(1, depth))
        self.variables = (*self.steps, "answer")
        self.classes = tuple((name,) for name in self.variables)
        self.positions: Mapping[str, str] = dict.fromkeys(self.variables, "END")

    def values(self, problem: Problem) -> dict[str, str]:
        """All values of a prompt that asks for the way from the root to the goal, two edges away or more."""
        tree = " ".join(f"{parent}>{child}" for parent, child in problem.edges)
        path = ancestors(problem.parents, problem.goal)
        inputs = {"root": problem.root, "goal": problem.goal, "tree": tree}
        return {**inputs, **self._from(0, path), "answer": path[-1]}

    def interchange(self, base: Mapping[str, str], source: Mapping[str, str], variable: str) -> dict[str, str]:
        """See :class:`bench.task.CausalModel`; can be applied again to its own result, to set several variables."""
        if variable not in self.variables:
            raise KeyError(f"no variable {variable!r}; the variables are {', '.join(self.variables)}")
        node = source[variable]
        if variable == "answer":
            return {**base, "answer": node}
        parents = {child: parent for parent, child in (edge.split(">") for edge in base["tree"].split())}
        path = [node, *ancestors(parents, node)] if base[variable] and node in parents else []
        step = self.steps.index(variable)
        reached = 0 < len(path) <= len(self.steps) - step
        return {**base, **self._from(step, path or [node]), "answer": path[-1] if reached else ""}

    def _from(self, step: int, path: list[str]) -> dict[str, str]:
        """The steps from number ``step`` on, the nodes of ``path`` first and then empty."""
        left = len(self.steps) - step
        return dict(zip(self.steps[step:], [*path, *[""] * left][:left], strict=True))
