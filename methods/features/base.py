"""What methods of level ``feature`` share: the latents, and walking over the training examples."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.features.declared import handed
from bench.features.latents import LEVEL, Latents
from bench.method import Handed, Job, Method
from methods.features.dictionaries import digest_of_files, is_made, latents_of, shown


@dataclass
class FeatureMethod(Method):
    """Signed scores of every latent, and of the error at every site. A subclass says :meth:`of_latents`."""

    level: ClassVar[str] = LEVEL
    dictionaries: str = "sae_topk"
    """See :mod:`methods.features.dictionaries`."""
    dictionary_seed: int = 0
    """Of dictionaries that are trained: the method itself has no chance in it."""
    digest: str = field(default="", metadata={"label": False})
    """Of the files; filled in, so that other dictionaries under the same names are another explanation."""

    def __post_init__(self) -> None:
        if isinstance(self.dictionaries, Sequence) and not isinstance(self.dictionaries, str):
            self.dictionaries = "+".join(self.dictionaries)
        if not self.dictionaries:
            raise ValueError("dictionaries= is empty: name folders, sae_topk, or neurons")
        self.digest = digest_of_files(self.dictionaries)

    @abstractmethod
    def of_latents(self, job: Job, latents: Latents) -> NDArray[np.float64]:
        """``[n_components]`` in the order of ``latents.names``."""

    def explain(self, job: Job) -> Handed:
        """See :meth:`bench.method.Method.explain`."""
        latents = latents_of(job, self.dictionaries, self.dictionary_seed)
        return handed(latents, self.of_latents(job, latents), self.extra(job))

    def scores(self, job: Job) -> NDArray[np.float64]:
        """The components' scores; their names are in what :meth:`explain` hands over."""
        return np.asarray(self.explain(job).scores)

    def label(self) -> str:
        """Folders go by their last parts."""
        return super().label().replace(f"dictionaries={self.dictionaries}", f"dictionaries={shown(self.dictionaries)}")

    @property
    def trains(self) -> bool:
        """Whether dictionaries are trained, which takes passes of its own."""
        return is_made(self.dictionaries) and not self.dictionaries.startswith("neurons")

    def extra(self, job: Job) -> dict[str, Any]:
        return {"latents": shown(self.dictionaries)}
