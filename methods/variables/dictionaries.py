"""Where methods of the `variable` track get a sparse dictionary from: trained on the task's prompts, or from a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import torch

from bench.data import Tokens, pad
from bench.dictionary.accepting import accept, quality_on
from bench.dictionary.dictionary import Dictionary
from bench.dictionary.formats import Given, load
from bench.dictionary.judging import check_fit
from bench.dictionary.quality import Quality
from bench.dictionary.training.recording import Recorded
from bench.harness.keys import file_digest
from bench.method import Job, Skip
from bench.objectives import objective
from bench.variable.data import VariableData
from bench.variable.method import VariableMethod
from bench.variable.places import Place, PlaceError
from methods.dictionaries.base import DictionaryMethod
from methods.dictionaries.frozen_decoder import FrozenDecoder
from methods.dictionaries.frozen_encoder import FrozenEncoder
from methods.dictionaries.sae_batchtopk import SaeBatchTopK
from methods.dictionaries.sae_gated import SaeGated
from methods.dictionaries.sae_jumprelu import SaeJumpRelu
from methods.dictionaries.sae_matryoshka import SaeMatryoshka
from methods.dictionaries.sae_relu import SaeRelu
from methods.dictionaries.sae_topk import SaeTopK
from methods.dictionaries.untrained import Untrained

MADE: dict[str, type[DictionaryMethod]] = {
    "batchtopk": SaeBatchTopK, "topk": SaeTopK, "jumprelu": SaeJumpRelu, "relu": SaeRelu, "gated": SaeGated,
    "matryoshka": SaeMatryoshka, "frozen_decoder": FrozenDecoder, "frozen_encoder": FrozenEncoder, "random": Untrained,
}  # fmt: skip
"""What can be made on the spot, the last three as controls."""
NEAR = 2.0
"""A dictionary from a file has an L0 within this factor of the one that it declares."""
ROWS = 32
"""Prompts per run where a dictionary from a file is tried."""


@dataclass
class OnLatents(VariableMethod):
    """Base of methods over the latents of a dictionary at the chosen site.

    ``dictionary`` is one of :data:`MADE`, made with the smoke settings of :mod:`methods.dictionaries` (in fewer and
    smaller batches) on all tokens but the first of the train prompts (those of validation are held out), without any
    label and with the method's seed; or a folder in a layout of :mod:`bench.dictionary.formats`. A folder's site is the
    only one that is looked at, and it is accepted as ``dictionary_file`` accepts it, on the train prompts.
    """

    dictionary: str = "batchtopk"
    dictionary_digest: str = field(default="", metadata={"label": False})
    """Of a folder's files; filled in, so that other files under the same name are another explanation."""
    l0: float = 8.0
    """Active latents per token, of a dictionary that is made."""
    expansion: float = 4.0
    """Its latents per dimension of the site."""
    dictionary_steps: int = 300
    """Steps of its training."""
    dictionary_batch: int = field(default=256, metadata={"label": False})
    """Tokens of a step: the prompts of a task have a few thousand in all."""
    accept: bool = True

    def __post_init__(self) -> None:
        after = getattr(super(), "__post_init__", None)
        if after is not None:
            after()
        if self.dictionary in MADE:
            return
        path = self._path()
        if not path.exists():
            raise ValueError(f"dictionary={path.name}: there is no such folder; made are {', '.join(MADE)}")
        inside = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
        self.dictionary_digest = file_digest(*inside)

    def label(self) -> str:
        """A folder goes by its name."""
        shown = super().label()
        if self.dictionary in MADE:
            return shown
        return shown.replace(f"dictionary={self.dictionary}", f"dictionary={self._path().name}")

    def places(self, data: VariableData) -> list[Place]:
        found = super().places(data)
        if self.dictionary in MADE:
            return found
        site = self._load().site
        kept = [place for place in found if place.nodes == (site,)]
        if not kept:
            raise PlaceError(f"the dictionary is one of {site}, and that is none of {', '.join(map(str, found))}")
        return kept

    def rank_at(self, data: VariableData, place: Place) -> int:
        """As many latents as other methods have dimensions; :attr:`rank` may ask for more than these have."""
        return super().rank_at(data, place) if self.rank is None else self.rank

    def dictionary_at(self, data: VariableData, place: Place, seed: int) -> Dictionary:
        """The dictionary of a place's node; its passes are those of its recordings. Methods of one seed share it."""
        if len(place.nodes) != 1:
            raise Skip(f"{place} is several nodes side by side; a dictionary is of one")
        node = place.nodes[0]
        if self.dictionary not in MADE:
            return data.once(("dictionary", self.dictionary_digest), lambda: self._tried(data))
        recipe = (self.dictionary, self.l0, self.expansion, self.dictionary_steps, self.dictionary_batch)
        return data.once(("dictionary", node, seed, *recipe), lambda: self._made(data, node, seed))

    # -- made

    def _made(self, data: VariableData, node: str, seed: int) -> Dictionary:
        cls = MADE[self.dictionary]
        wanted: dict[str, Any] = {
            "l0": self.l0, "expansion": self.expansion, "steps": self.dictionary_steps,
            "batch_size": self.dictionary_batch,
        }  # fmt: skip
        known = {f.name for f in fields(cls)}
        maker = cls(**{name: value for name, value in wanted.items() if name in known})
        job = Job(data.engine, lambda split: iter(()), {}, objective("logit_diff"), "", seed)
        stream = Recorded(
            data.engine, _prompts(data, "train"), _prompts(data, "validation"), node, batch_size=maker.batch_size,
            buffer=maker.buffer, drop=maker.drop, seed=seed,
        )  # fmt: skip
        with torch.random.fork_rng(devices=[]):
            found, quality, _ = maker.make(job, stream, node)
        words = {"method": maker.name, "text": "train prompts", "drop": maker.drop, "seed": seed}
        return _with(found, {**words, "held_out": _figures(quality)})

    # -- from a folder

    def _path(self) -> Path:
        return Path(self.dictionary).expanduser()

    def _load(self) -> Dictionary:
        return load(self._path(), "auto", Given())

    def _tried(self, data: VariableData) -> Dictionary:
        found = self._load()
        check_fit(found, data.engine)
        prompts = _prompts(data, "train")
        quality = quality_on(found, data.engine, (prompts.select(rows) for rows in _rows(prompts)))
        if self.accept:
            accept(found, quality, NEAR)
        return _with(found, {"train_prompts": _figures(quality)})


def _with(dictionary: Dictionary, words: Mapping[str, Any]) -> Dictionary:
    return replace(dictionary.to("cpu"), provenance={**dictionary.provenance, **words})


def _figures(quality: Quality) -> dict[str, float]:
    return {"explained_variance": quality.explained_variance, "l0": quality.l0, "dead": quality.dead}


def _prompts(data: VariableData, split: str) -> Tokens:
    """All of a split in one batch, on the engine's device."""
    rows = [row["ids"] for row in data.rows(split)]
    return pad(rows, data.engine.pad_id, "right").to(data.engine.device)


def _rows(tokens: Tokens) -> list[torch.Tensor]:
    return list(torch.arange(len(tokens), device=tokens.ids.device).split(ROWS))
