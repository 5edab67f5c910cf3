"""The control of a frozen random encoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from methods.dictionaries.trained import TrainedDictionary


@dataclass
class FrozenEncoder(TrainedDictionary):
    """A TopK autoencoder whose encoder is random and never trained; its bias and the decoder are.

    What it scores owes nothing to directions that latents learned to read. L0 is matched by k = ``l0``.
    Source: Korznikov et al. 2026 (sanity checks of sparse autoencoders by frozen components).
    No sign: the one score is the explained variance on held-out text. Cost: one forward per context of the text, or
    per example of the task where it is the text, once where ``buffer`` holds it all, else once per pass over it.
    """

    name: ClassVar[str] = "dictionary_frozen_encoder"
    control: ClassVar[bool] = True
    kind: ClassVar[str] = "topk"
    frozen: ClassVar[str] = "encoder"
