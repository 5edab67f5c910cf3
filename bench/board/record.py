"""What a board knows about one cell."""

from __future__ import annotations

from dataclasses import dataclass

from bench.metric import Measurement

CURVE = ("site", "l0", "text")
"""Parameters of dictionaries that say where on a curve one lies, and of what."""
NATURAL = "natural"
"""The variant of a small model that was trained on the task alone: its circuit is measured, not planted."""


def natural(model: str, planted: bool) -> bool:
    """Whether nothing was planted in the model of this label: it has no ceiling, and its boards are never pooled with
    those of planted models."""
    return not planted or f"variant={NATURAL}" in model


def kind_of_truth(model: str, planted: bool) -> str:
    """What a title says of a model."""
    if not planted:
        return "natural: no known circuit, no ceiling"
    if natural(model, planted):
        return "trained on the task alone: circuit measured, no ceiling"
    return "planted: the circuit is known"


@dataclass(frozen=True)
class CellRecord:
    """One method on one task and model with one set of seeds: its state, its cost and what was measured on it."""

    track: str
    task: str
    model: str
    model_seed: int | None
    data_seed: int | None
    method_seed: int | None
    """None where the method has no chance in it."""
    method: str
    """The label, with the parameters that differ from the default."""
    method_baseline: bool
    level: str
    counterfactual: str
    split: str
    status: str
    reason: str
    key: str
    planted: bool
    """Whether there is a truth to hold the method against."""
    n: int = 0
    """Examples in the scored split."""
    forwards: float | None = None
    """Full-model passes per example."""
    backwards: float | None = None
    seconds: float | None = None
    trained_on: tuple[str, ...] = ()
    """Metrics (``cpr_mib``) or metrics under an ablation (``cpr_mib/mean``) that the method was trained on."""
    measurements: tuple[Measurement, ...] = ()
    score_keys: tuple[str, ...] = ()
    """Key of each of ``measurements``."""
    author: str = ""
    """Of a submission, as its link and date; empty for what the project ran."""
    link: str = ""
    date: str = ""
    mark: str = ""
    """``public truth`` or ``verified``."""
    variable: str = ""
    """Of the task's causal model, in the `variable` track; with the site that was found and the subspace's rank."""
    site: str = ""
    rank: int | None = None
    l0: float | None = None
    """Active latents per token that a dictionary was asked for (of a file: that it declares)."""
    control: bool = False
    """Whether a dictionary is there to be held against."""
    beside: bool = False
    """Floor or ceiling on a submission's own examples: it has no row of its own."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "trained_on", tuple(self.trained_on))  # JSON knows lists

    @property
    def seeds(self) -> tuple[int | None, int | None, int | None]:
        """Model, data and method seed."""
        return (self.model_seed, self.data_seed, self.method_seed)

    @property
    def natural(self) -> bool:
        """Whether nothing was planted in the model."""
        return natural(self.model, self.planted)

    @property
    def method_name(self) -> str:
        """The method's name without parameters."""
        return self.method.split("[")[0]

    @property
    def architecture(self) -> str:
        """Of a dictionary: the method without its site, L0 and text, so what one line of a drawing has in common."""
        if self.track != "dictionary":
            return ""
        name, _, inside = self.method.rstrip("]").partition("[")
        kept = [part for part in inside.split(",") if part and part.partition("=")[0] not in CURVE]
        return name + (f"[{','.join(kept)}]" if kept else "")

    def was_trained_on(self, metric: str, ablation: str) -> bool:
        """Whether the method was trained on the very metric (and ablation) that scores it."""
        return metric in self.trained_on or f"{metric}/{ablation}" in self.trained_on
