"""For which share of tokens and atoms a dictionary's decomposition is the only sparse one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from bench.dictionary.atoms import coherences, stability
from bench.dictionary.judging import activations, of, parts
from bench.explanation import Explanation
from bench.metric import Arrays, HandCase, ScoreContext, Undefined
from bench.metrics.dictionaries import OnTokens
from bench.metrics.latent_overlap import WIDEST


@dataclass
class AtomStability(OnTokens):
    """q* = sup {q: mu_q < 1 / (2 K_q - 1)} (:mod:`bench.dictionary.atoms`), the stability of decoder rows as atoms.

    mu_q is the q-quantile of the coherence of two rows in the atomic inner product, K_q that of the active latents of a
    counted token. Its companion there, R2, is ``explained_variance``. No interval. Few active latents raise it whatever
    they are, as with an empty code: read it beside R2. Undefined with fewer counted tokens than dimensions.

    Source: Hu et al. 2025 (arXiv:2509.20784). Bounds [0, 1]; higher is better. Cost: 1 forward per row.
    """

    name: ClassVar[str] = "atom_stability"
    direction: ClassVar[int] = 1
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    resampled: ClassVar[bool | None] = False

    def measure(self, explanation: Explanation, context: ScoreContext) -> Arrays:
        dictionary = of(explanation, context.engine)
        if dictionary.d_sae > WIDEST:
            raise Undefined(f"{dictionary.d_sae:,} latents; the pairs of up to {WIDEST:,} can be compared")
        moment, tokens = torch.zeros(dictionary.d_out, dictionary.d_out, dtype=torch.float64), 0
        active = np.zeros(dictionary.d_sae + 1, dtype=np.int64)
        with torch.no_grad():
            for part in parts(context, self.material):
                x, y = (found[part.counted] for found in activations(context.engine, dictionary, part.tokens))
                moment += (y.double().T @ y.double()).cpu()
                tokens += len(y)
                on = (dictionary.encode(x) != 0).sum(dim=-1).cpu().numpy()
                active += np.bincount(on, minlength=len(active))
        if tokens < dictionary.d_out:
            raise Undefined(f"{tokens} tokens are too few for the second moment of {dictionary.d_out} dimensions")
        return {"coherence": coherences(dictionary.tensors["W_dec"].cpu(), moment / tokens), "active": active}

    def reduce(self, arrays: Arrays, weights: NDArray[Any] | None = None) -> Mapping[str, NDArray[Any]]:
        return {"": np.asarray(stability(arrays["coherence"], arrays["active"]))}

    @classmethod
    def hand_case(cls) -> HandCase:
        """Half of the tokens have 2 active atoms (bound 1/3) and half 3 (1/5); mu_q is .1, .2, .3, .4: q* is .5."""
        arrays = {"coherence": np.array([0.1, 0.2, 0.3, 0.4]), "active": np.array([0, 0, 5, 5])}
        return HandCase(arrays, {"": 0.5})
