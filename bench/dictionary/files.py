"""Dictionaries as files and as explanations: safetensors for numbers, JSON for words; nothing that can be executed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from bench.dictionary.dictionary import Dictionary, DictionaryError
from bench.explanation import Explanation, ExplanationError
from bench.method import Handed

JSON_NAME = "dictionary.json"
TENSORS_NAME = "dictionary.safetensors"
WORDS = tuple(f.name for f in fields(Dictionary) if f.name != "tensors")


def describe(dictionary: Dictionary) -> dict[str, Any]:
    """Everything but the tensors, as plain values."""
    words = {name: getattr(dictionary, name) for name in WORDS}
    return {**words, "groups": list(dictionary.groups), "provenance": dict(dictionary.provenance)}


def of_description(described: Mapping[str, Any], tensors: Mapping[str, Any]) -> Dictionary:
    """A dictionary from :func:`describe`'s words and its tensors; raises :class:`DictionaryError`."""
    if unknown := sorted(set(described) - set(WORDS)):
        raise DictionaryError(f"a dictionary has no {', '.join(unknown)}")
    if missing := sorted({"architecture", "site"} - set(described)):
        raise DictionaryError(f"a dictionary lacks {', '.join(missing)}")
    for name, tensor in tensors.items():
        if str(tensor.dtype).rpartition(".")[2] != "float32":
            raise DictionaryError(f"{name} is {tensor.dtype}; float32 is needed")
    words = {**described, "groups": tuple(described.get("groups") or ())}
    return Dictionary(tensors={name: torch.as_tensor(tensor) for name, tensor in tensors.items()}, **words)


def arrays(dictionary: Dictionary) -> dict[str, NDArray[np.float32]]:
    """The tensors, for a safetensors file of an explanation."""
    found = {name: tensor.detach().to("cpu", torch.float32) for name, tensor in dictionary.tensors.items()}
    return {name: np.ascontiguousarray(tensor.numpy()) for name, tensor in found.items()}


def handed(dictionary: Dictionary, score: float, extra: Mapping[str, Any] | None = None) -> Handed:
    """An explanation's parts: one component, the site, scored by the explained variance that the maker saw."""
    words = {"site": dictionary.site, "l0": dictionary.l0, "dictionary": describe(dictionary), **(extra or {})}
    return Handed((dictionary.site,), np.array([score]), arrays(dictionary), words)


def declared(explanation: Explanation) -> Dictionary:
    """The dictionary of an explanation; raises :class:`ExplanationError` naming what breaks it."""
    described = explanation.extra.get("dictionary")
    if not isinstance(described, Mapping):
        raise ExplanationError("an explanation of the dictionary track lacks the words of its dictionary")
    try:
        return of_description(described, explanation.tensors)
    except (DictionaryError, TypeError) as error:
        raise ExplanationError(str(error)) from error


def save(dictionary: Dictionary, folder: str | Path) -> None:
    """Write ``dictionary.json`` and ``dictionary.safetensors`` into ``folder``, which is made."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    numbers = {name: tensor.detach().cpu().float().contiguous() for name, tensor in dictionary.tensors.items()}
    save_file(numbers, folder / TENSORS_NAME)
    (folder / JSON_NAME).write_text(json.dumps(describe(dictionary), indent=1, sort_keys=True) + "\n")


def load(folder: str | Path) -> Dictionary:
    """Read what :func:`save` wrote; raises :class:`DictionaryError`."""
    folder = Path(folder)
    try:
        described = json.loads((folder / JSON_NAME).read_text())
        tensors = load_file(folder / TENSORS_NAME)
    except (OSError, ValueError, SafetensorError) as error:
        raise DictionaryError(f"{folder.name} holds no dictionary that can be read: {error}") from error
    return of_description(described, tensors)
