"""Explanations of level ``feature``: signed scores of latents and errors, and the dictionaries that they are of.

``extra["dictionaries"]`` has the words of each dictionary, in order; the tensors of the one at ``m2`` are called
``m2/W_enc`` and so on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.dictionary.dictionary import DictionaryError
from bench.dictionary.files import arrays, describe, of_description
from bench.explanation import Explanation, ExplanationError
from bench.features.latents import Latents
from bench.method import Handed


def handed(latents: Latents, scores: NDArray[Any], extra: Mapping[str, Any] | None = None) -> Handed:
    """An explanation's parts: ``scores`` ``[n_components]`` in the order of ``latents.names``."""
    tensors = {f"{d.site}/{name}": tensor for d in latents.dictionaries for name, tensor in arrays(d).items()}
    words = {"dictionaries": [describe(d) for d in latents.dictionaries], **(extra or {})}
    return Handed(latents.names, np.asarray(scores), tensors, words)


def declared(explanation: Explanation) -> Latents:
    """The latents of an explanation; raises :class:`ExplanationError` naming what breaks it."""
    described = explanation.extra.get("dictionaries")
    if not isinstance(described, list) or not all(isinstance(words, Mapping) for words in described):
        raise ExplanationError("an explanation of level feature lacks the words of its dictionaries")
    found = []
    try:
        for words in described:
            prefix = f"{words.get('site')}/"
            own = {name[len(prefix) :]: x for name, x in explanation.tensors.items() if name.startswith(prefix)}
            found.append(of_description(words, own))
        return Latents(found)
    except (DictionaryError, TypeError) as error:
        raise ExplanationError(str(error)) from error
