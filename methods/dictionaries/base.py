"""What methods of the `dictionary` track share: a site, text, and the activations of the one on the other."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from bench.data import Tokens, pad
from bench.dictionary.dictionary import Dictionary, DictionaryError
from bench.dictionary.files import handed
from bench.dictionary.quality import Quality, quality
from bench.dictionary.text import TextError, pack, read_texts, split
from bench.dictionary.training.errors import TrainingError
from bench.dictionary.training.recording import Recorded
from bench.method import Handed, Job, Method, Skip

KEPT = "dictionary activations"
"""Of the job's shared results: what was recorded last."""


@dataclass
class DictionaryMethod(Method):
    """A registered method of the `dictionary` track. A subclass says what :meth:`make` makes of activations.

    ``text`` is read and packed as :mod:`bench.dictionary.text` says, and a tenth is held out; without it the text is
    the prompts of the task's train split, and those of its validation split are held out.
    """

    control: ClassVar[bool] = False
    """Whether it is there to be held against, and drawn apart."""
    level: ClassVar[str] = "dictionary"
    track: ClassVar[str] = "dictionary"
    stochastic: ClassVar[bool] = True
    placed: ClassVar[str] = "stream"
    """The kind of the default site, in the middle of the model."""
    l0: float = 8.0
    """Active latents per token."""
    site: str | None = None
    """Like ``stream3``, ``m2`` or ``n2`` (:mod:`bench.dictionary.sites`); None: the middle layer's."""
    text: str | None = None
    text_digest: str = field(default="", metadata={"label": False})
    """Of a text file; filled in, so that another text under the same name is another explanation."""
    context: int = field(default=128, metadata={"label": False})
    """Tokens of a packed context."""
    contexts: int | None = field(default=1000, metadata={"label": False})
    """How many of them are read at most; None: all."""
    drop: int = field(default=1, metadata={"label": False})
    """The first tokens of each context, which are left out: their activations are many times the others'."""
    batch_size: int = field(default=1024, metadata={"label": False})
    """Tokens of a training step."""
    buffer: int = field(default=262144, metadata={"label": False})
    """Tokens whose activations are shuffled together, and kept where they are all."""

    def __post_init__(self) -> None:
        if self.text is not None and (path := Path(self.text).expanduser()).is_file():
            self.text_digest = hashlib.sha256(path.read_bytes()).hexdigest()

    @abstractmethod
    def make(self, job: Job, stream: Recorded, site: str) -> tuple[Dictionary, Quality, dict[str, Any]]:
        """A dictionary at ``site``, how good it is on held-out activations, and what else is to be said of it."""

    def explain(self, job: Job) -> Handed:
        """See :meth:`bench.method.Method.explain`; one component, the site, scored by its explained variance."""
        site = self.site_of(job)
        dictionary, found, extra = self.make(job, self.stream(job, site), site)
        if not np.isfinite(found.explained_variance):
            raise TrainingError(f"the held-out activations at {site} have no variance")
        seen = {"explained_variance": found.explained_variance, "l0": found.l0, "dead": found.dead, "tokens": found.n}
        dictionary = replace(dictionary, provenance={**dictionary.provenance, **self.made_from(), "seed": job.seed})
        words = {"l0": self.l0, "control": self.control, "held_out": seen}
        return handed(dictionary, found.explained_variance, {**words, **extra})

    def scores(self, job: Job) -> NDArray[np.float64]:
        """Explained variance on held-out activations, ``[1]``."""
        return np.asarray(self.explain(job).scores)

    def label(self) -> str:
        """A text file goes by its name."""
        shown = super().label()
        return shown if self.text is None else shown.replace(f"text={self.text}", f"text={Path(self.text).name}")

    # -- what it works on

    def site_of(self, job: Job) -> str:
        return self.site or f"{self.placed}{job.graph.n_layers // 2}"

    def reads_of(self, site: str) -> str:
        """What is read to write ``site``."""
        return site

    def made_from(self) -> dict[str, Any]:
        """Provenance: the method, and where its activations come from."""
        text = None if self.text is None else Path(self.text).name
        return {"method": self.name, "text": text, "text_sha256": self.text_digest or None, "context": self.context,
                "drop": self.drop}  # fmt: skip

    def stream(self, job: Job, site: str) -> Recorded:
        """Activations on the text; raises ``TextError`` or ``DictionaryError`` where either does not fit."""
        try:
            train, held = self._text(job) if self.text is not None else self._prompts(job)
            return Recorded(
                job.engine, train, held, site, self.reads_of(site), batch_size=self.batch_size, buffer=self.buffer,
                drop=self.drop, seed=job.seed, shared=self._kept(job, site),
            )  # fmt: skip
        except DictionaryError as error:
            raise Skip(str(error)) from error

    def _kept(self, job: Job, site: str) -> dict[str, Any]:
        """Where the activations of a site on a text lie for all cells of the job, until another site or text comes."""
        key = (site, self.reads_of(site), self.text, self.text_digest, self.context, self.contexts, self.drop)
        if job.shared.get(KEPT, (None,))[0] != key:
            job.shared[KEPT] = key, {}
        kept: dict[str, Any] = job.shared[KEPT][1]
        return kept

    def _text(self, job: Job) -> tuple[Tokens, Tokens]:
        assert self.text is not None
        if job.engine.tokenizer is None:
            raise TextError("the model has no tokenizer to read text with")
        both = split(pack(job.engine.tokenizer, read_texts(self.text), self.context, self.contexts))
        train, held = (Tokens(ids, torch.ones_like(ids, dtype=torch.bool)) for ids in (both.train, both.held_out))
        return train, held

    def _prompts(self, job: Job) -> tuple[Tokens, Tokens]:
        def prompts(which: str) -> Iterator[list[int]]:
            for batch in job.batches(which):
                clean = batch.clean
                yield from (ids[mask].tolist() for ids, mask in zip(clean.ids, clean.mask, strict=True))

        train, held = (pad(list(prompts(which)), job.engine.pad_id, "right") for which in ("train", "validation"))
        return train, held


def held_out(dictionary: Dictionary, stream: Recorded) -> Quality:
    """How good a dictionary is on the held-out activations."""
    return quality(dictionary, stream.held_out())
