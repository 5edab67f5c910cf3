"""What methods that train a dictionary share: sizes and rates, and the loop."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from bench.dictionary.dictionary import Dictionary
from bench.dictionary.quality import Quality
from bench.dictionary.sites import parse
from bench.dictionary.training.recording import Recorded
from bench.dictionary.training.settings import TrainingSettings
from bench.dictionary.training.train import KINDS, Trainer
from bench.method import Job
from methods.dictionaries.base import DictionaryMethod

TRAINING = ("expansion", "steps", "lr", "dead_after", "warmup", "decay", "tune", "tolerance", "bandwidth", "mixed",
            "checkpoints")  # fmt: skip
"""What presets say and controls that are not trained take no notice of."""


@dataclass
class TrainedDictionary(DictionaryMethod):
    """Its defaults are the preset ``smoke``, about a minute on one CPU thread; ``preset=small`` and ``preset=paper``
    (``conf/preset``) are longer. Betas are the architecture's as published, whatever the preset."""

    kind: ClassVar[str]
    frozen: ClassVar[str] = "none"
    expansion: float = 4.0
    """Latents per dimension of the site."""
    steps: int = 800
    lr: float | None = field(default=2e-3, metadata={"label": False})
    """None: the architecture's as published, for runs as long as those."""
    dead_after: int = field(default=100_000, metadata={"label": False})
    """Tokens without activity after which a latent counts as dead."""
    warmup: float = field(default=0.05, metadata={"label": False})
    decay: float = field(default=0.2, metadata={"label": False})
    tune: float = field(default=0.02, metadata={"label": False})
    """How fast the sparsity coefficient follows L0: the largest change of its logarithm per step."""
    tolerance: float = field(default=0.2, metadata={"label": False})
    """How far L0 on held-out text may end from ``l0``, as a share of it; beyond that the training has failed."""
    bandwidth: float = field(default=1e-2, metadata={"label": False})
    """Of JumpReLU's straight-through estimators. The published 1e-3 is for runs long enough to average its noise."""
    mixed: bool = field(default=True, metadata={"label": False})
    """bfloat16 products on a GPU."""
    checkpoints: int = field(default=10, metadata={"label": False})
    """How many are written over the steps, where the run has a place for them."""

    def settings(self, d_out: int, seed: int) -> TrainingSettings:
        """For a site of ``d_out`` dimensions."""
        return TrainingSettings(
            d_sae=max(2, round(self.expansion * d_out)), l0=self.l0, steps=self.steps, batch_size=self.batch_size,
            lr=self.lr, warmup=self.warmup, decay=self.decay, dead_after=self.dead_after, tune=self.tune,
            tolerance=self.tolerance, bandwidth=self.bandwidth, frozen=self.frozen, seed=seed, mixed=self.mixed,
        )  # fmt: skip

    def make(self, job: Job, stream: Recorded, site: str) -> tuple[Dictionary, Quality, dict[str, Any]]:
        settings = self.settings(parse(site).width(job.engine), job.seed)
        reads = self.reads_of(site)
        trainer = Trainer(
            KINDS[self.kind](settings, reads != site), stream, site, reads, folder=job.scratch,
            checkpoints=self.checkpoints, progress=job.progress, provenance=self.made_from(),
        )  # fmt: skip
        trained = trainer.run()
        return trained.dictionary, trained.quality, {"training": trained.summary}
