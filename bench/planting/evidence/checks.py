"""What a task's planted models are measured on, and what its claim holds beside the spec's roles and edges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

ROLES = ("negative", "backup", "inert")


@dataclass(frozen=True)
class Bound:
    """An accuracy that is asked for beside the others: on pairs of `kinds` within [least, most]."""

    kinds: dict[str, float]
    least: float = 0.0
    most: float = 1.0


@dataclass(frozen=True)
class Checks:
    """What to measure. Kinds of pairs are the names that the task's `fresh` knows, with their weights.

    mixed: what most figures are taken on. settings: named kinds on which nodes and edges may show what they cost (the
    largest cost counts, since a node of one circuit costs nothing on the other's prompts); None is `mixed` alone.
    kinds: kinds measured one by one. odd: kinds whose sources have no answer, for strictness; () where there are none.
    control: kinds on which the whole circuit is cut, whose sources say nothing of the base's answer.

    chains: pairs of variables (X, Y) for "X from the source, Y's nodes put back: the base's answer"; None: each
    variable and the next. movers: nodes judged with the backups intact and cut; None: those of the last variable
    where there is a backup. without: roles (of negative, backup, inert) that the model is not meant to have.
    circuits: for models that hold several, name to required nodes. bounds: accuracies by name.

    pair_chance: with the circuit cut the answer beats the wrong one this often, give or take .1; None where that is
    not asked for. vocabulary_chance: how often it comes out first of all words then, .1 more at most; None: one in
    the answers that occur. about: a paragraph for readers of the evidence: prompts, kinds, mechanism.
    """

    mixed: dict[str, float] = field(default_factory=lambda: {"random": 1.0})
    settings: dict[str, dict[str, float]] | None = None
    kinds: tuple[str, ...] = ("random",)
    odd: dict[str, float] = field(default_factory=dict)
    control: dict[str, float] = field(default_factory=lambda: {"random": 1.0})
    chains: tuple[tuple[str, str], ...] | None = None
    movers: tuple[str, ...] | None = None
    without: tuple[str, ...] = ()
    circuits: dict[str, tuple[str, ...]] = field(default_factory=dict)
    bounds: dict[str, Bound] = field(default_factory=dict)
    pair_chance: float | None = 0.5
    vocabulary_chance: float | None = None
    about: str = ""

    def renamed(self, rename: Callable[[str], str]) -> Checks:
        """The same for nodes that go by other names."""
        return replace(
            self,
            movers=None if self.movers is None else tuple(map(rename, self.movers)),
            circuits={name: tuple(map(rename, nodes)) for name, nodes in self.circuits.items()},
        )
