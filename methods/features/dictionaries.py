"""Which latents: dictionaries from files, from the store, trained on the task's prompts, or the coordinates themselves.

=============================  ====================================================================================
``sae_topk``                   trained as ``method=sae_topk`` does with its defaults (preset ``smoke``), on the training
                               prompts, at ``attn0``, ``m0``, ``attn1``, ... of every layer; the other architectures'
                               names do as well
``sae_topk@m0+m1``             the same at these sites
``neurons``, ``neurons@n0``    the coordinates as they are, without error: MLP neurons, and heads' outputs in front of
                               the out-projection (``a0``, ``n0``, ``a1``, ...)
``folder+folder``              dictionaries in files of any layout that ``method=dictionary_file`` reads, or
                               explanations of the dictionary track (folders that hold an ``explanation.json``)
=============================  ====================================================================================
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import torch

from bench.dictionary.dictionary import Dictionary
from bench.dictionary.files import declared
from bench.dictionary.formats import load
from bench.dictionary.sites import parse
from bench.explanation import JSON_NAME
from bench.explanation import load as load_explanation
from bench.features.latents import Latents
from bench.graph import ComponentGraph
from bench.method import Job
from methods.dictionaries.base import DictionaryMethod
from methods.dictionaries.sae_batchtopk import SaeBatchTopK
from methods.dictionaries.sae_gated import SaeGated
from methods.dictionaries.sae_jumprelu import SaeJumpRelu
from methods.dictionaries.sae_matryoshka import SaeMatryoshka
from methods.dictionaries.sae_relu import SaeRelu
from methods.dictionaries.sae_topk import SaeTopK
from methods.dictionaries.untrained import Untrained

if TYPE_CHECKING:
    from bench.engine import Engine

MAKERS: dict[str, type[DictionaryMethod]] = {
    cls.name: cls for cls in (SaeTopK, SaeRelu, SaeGated, SaeBatchTopK, SaeJumpRelu, SaeMatryoshka, Untrained)
}
NEURONS = "neurons"
_MADE: WeakKeyDictionary[Engine, dict[tuple[str, ...], tuple[Latents, float]]] = WeakKeyDictionary()
"""What was trained on a model, with the forwards that it took, by what it depends on."""


def is_made(asked: str) -> bool:
    """Whether the words ask for dictionaries that are made, rather than read from files."""
    return asked.partition("@")[0] in (NEURONS, *MAKERS)


def folders(asked: str) -> list[Path]:
    """The folders that the words name."""
    return [Path(part).expanduser() for part in asked.split("+")]


def digest_of_files(asked: str) -> str:
    """Of all files in the folders, so that other dictionaries under the same names give other explanations."""
    if is_made(asked):
        return ""
    found = hashlib.sha256()
    for folder in folders(asked):
        inside = sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else [folder]
        for path in inside:
            found.update(path.name.encode() + (path.read_bytes() if path.is_file() else b""))
    return found.hexdigest()


def shown(asked: str) -> str:
    """As boards call them: folders by their last part."""
    return asked if is_made(asked) else "+".join(folder.name for folder in folders(asked))


def n_sites(asked: str, graph: ComponentGraph) -> int:
    """How many dictionaries the words ask for on a model with this graph."""
    return len(sites_of(asked, graph)) if is_made(asked) else len(folders(asked))


def sites_of(asked: str, graph: ComponentGraph) -> list[str]:
    """The sites at which dictionaries are made."""
    name, _, given = asked.partition("@")
    if given:
        return given.split("+")
    kinds = ("a", "n") if name == NEURONS else ("attn", "m")
    return [f"{kind}{layer}" for layer in range(graph.n_layers) for kind in kinds]


def latents_of(job: Job, asked: str, seed: int) -> Latents:
    """The latents that the words ask for, on the job's model; raises ``DictionaryError`` where they do not fit.

    What is trained is trained once for all methods of a job, and each pays for it in passes.
    """
    if not is_made(asked):
        return Latents([read(folder) for folder in folders(asked)]).on(job.engine)
    if asked.partition("@")[0] == NEURONS:
        return Latents(list(coordinates(job.engine, sites_of(asked, job.graph)))).on(job.engine)
    known = _MADE.setdefault(job.engine, {})
    key = (asked, str(seed), _digest_of_prompts(job))
    if key not in known:
        before = job.engine.cost.forwards
        known[key] = Latents(list(_trained(job, asked, seed))).on(job.engine), 0.0
        known[key] = known[key][0], job.engine.cost.forwards - before
    else:
        job.engine.cost.add(known[key][1])
    return known[key][0]


def read(folder: Path) -> Dictionary:
    """A dictionary from a folder: an explanation of the dictionary track, or files of any layout."""
    return declared(load_explanation(folder)) if (folder / JSON_NAME).is_file() else load(folder)


def coordinates(engine: Engine, sites: Sequence[str]) -> Iterator[Dictionary]:
    """Each coordinate at a site as a latent; nothing is left over."""
    for site in sites:
        eye = torch.eye(parse(site).width(engine))
        zero = torch.zeros(len(eye))
        yield Dictionary("linear", site, {"W_enc": eye, "W_dec": eye.clone(), "b_enc": zero, "b_dec": zero.clone()})


def _trained(job: Job, asked: str, seed: int) -> Iterator[Dictionary]:
    maker = MAKERS[asked.partition("@")[0]]
    for site in sites_of(asked, job.graph):
        scratch = None if job.scratch is None else job.scratch / site
        there = replace(job, seed=seed, scratch=scratch)
        method = maker(site=site)
        yield method.make(there, method.stream(there, site), site)[0]


def _digest_of_prompts(job: Job) -> str:
    found = hashlib.sha256()
    for split in ("train", "validation"):
        for batch in job.batches(split):
            for ids, mask in zip(batch.clean.ids.cpu(), batch.clean.mask.cpu(), strict=True):
                found.update(ids[mask].numpy().tobytes() + b"|")
    return found.hexdigest()
