"""Activations at several sites taken apart into latents and errors, and put together again.

With a dictionary at a site, what is there is written as

    y = sum over latents i of c_i W_dec_i + error + constant,

where c are the codes in the scale of the activations and the constant is the decoder's bias. So any latent, and the
error as a whole, can be exchanged for what it is in another run, and all of them together give that run's y (Marks et
al. 2024, arXiv:2403.19647, section 3.1). Where a dictionary scales every token on its own or has a skip connection,
its bias and the skip depend on the token and count as error.

Components are called ``m2/f17`` and ``m2/error``, in the order of the sites, a site's error behind its latents.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from bench.data import Tokens
from bench.dictionary.dictionary import Dictionary, DictionaryError
from bench.dictionary.judging import check_fit
from bench.dictionary.sites import DictionarySite, parse
from bench.engine.sites import Site, Tap

if TYPE_CHECKING:
    from bench.engine import Engine

LEVEL = "feature"
ERROR = "error"


@dataclass(frozen=True)
class Found:
    """What one run has at a dictionary's two sites; for all but transcoders these are one."""

    reads: Tensor
    """``[..., d_in]``"""
    writes: Tensor
    """``[..., d_out]``"""

    def select(self, index: Tensor) -> Found:
        """The rows, or tokens, at ``index``."""
        return Found(self.reads[index], self.writes[index])


@dataclass(frozen=True)
class State:
    """What is at a site, taken apart."""

    codes: Tensor
    """``[..., d_sae]``, in the scale of the activations."""
    error: Tensor
    """``[..., d_out]``"""


class Latents:
    """The components that dictionaries at several sites make."""

    def __init__(self, dictionaries: Sequence[Dictionary]) -> None:
        """Raises ``DictionaryError`` where two are at one site, or there is none."""
        self.dictionaries = tuple(dictionaries)
        sites = [d.site for d in self.dictionaries]
        if not sites:
            raise DictionaryError("a circuit of latents needs a dictionary")
        if twice := sorted({site for site in sites if sites.count(site) > 1}):
            raise DictionaryError(f"two dictionaries are at {twice[0]}: a circuit of latents has one for each site")
        self.sites = tuple(parse(site) for site in sites)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """``[n_components]``"""
        return tuple(f"{d.site}/{part}" for d in self.dictionaries for part in (*_numbered(d.d_sae), ERROR))

    @cached_property
    def slices(self) -> tuple[slice, ...]:
        """Where each site's components are among all; its error is the last of them."""
        stops = [0]
        for d in self.dictionaries:
            stops.append(stops[-1] + d.d_sae + 1)
        return tuple(slice(a, b) for a, b in zip(stops, stops[1:], strict=False))

    @cached_property
    def digest(self) -> str:
        """Of all that the components' meaning depends on."""
        found = hashlib.sha256()
        for d in self.dictionaries:
            words = (d.site, d.reads, d.activation, d.k, d.apply_b_dec_to_input, d.scaling, d.scale, d.output_scale)
            found.update(repr(words).encode())
            for name in sorted(d.tensors):
                found.update(name.encode() + d.tensors[name].detach().cpu().contiguous().numpy().tobytes())
        return found.hexdigest()

    def on(self, engine: Engine) -> Latents:
        """The same on the engine's device; raises ``DictionaryError`` where a site is not there or of another width."""
        for dictionary in self.dictionaries:
            check_fit(dictionary, engine)
        return Latents([dictionary.to(engine.device) for dictionary in self.dictionaries])

    # -- taking apart

    def split(self, which: int, found: Found) -> State:
        """The latents and the error at site number ``which``."""
        dictionary = self.dictionaries[which]
        codes = dictionary.encode(found.reads.float())
        codes = codes * dictionary.gain(found.reads.float())
        return State(codes, found.writes.float() - codes @ dictionary.tensors["W_dec"] - self.constant(which))

    def join(self, which: int, state: State) -> Tensor:
        """``[..., d_out]``: what :meth:`split` took apart."""
        return state.codes @ self.dictionaries[which].tensors["W_dec"] + state.error + self.constant(which)

    def constant(self, which: int) -> Tensor:
        """``[d_out]``: the decoder's bias where it is the same at every token, else 0."""
        dictionary = self.dictionaries[which]
        bias = dictionary.tensors["b_dec"]
        return torch.zeros_like(bias) if dictionary.needs_input else bias * dictionary.gain(bias)

    # -- recording

    def record(self, engine: Engine, tokens: Tokens, more: Sequence[Site] = ()) -> Recorded:
        """What a run on ``tokens`` has at every site. 1 forward."""
        kept: dict[Site, Tensor] = {}

        def keeper(site: Site) -> Tap:
            def keep(x: Tensor) -> Tensor:
                kept[site] = x
                return x

            return keep

        wanted = dict.fromkeys([*(at.engine_site(engine) for pair in self.pairs for at in pair), *more])
        logits = engine.tap(tokens, {site: keeper(site) for site in wanted})
        found = [
            Found(*(at.read(kept[at.engine_site(engine)]).detach() for at in pair)) for pair in self.pairs
        ]  # fmt: skip
        return Recorded(tuple(found), logits, kept)

    @cached_property
    def pairs(self) -> tuple[tuple[DictionarySite, DictionarySite], ...]:
        return tuple((parse(d.reads), parse(d.site)) for d in self.dictionaries)


@dataclass(frozen=True)
class Recorded:
    """One run."""

    found: tuple[Found, ...]
    """Per site, ``[B, T, ...]``."""
    logits: Tensor
    """``[B, V]``"""
    sites: dict[Site, Tensor]
    """Everything that was kept, as the engine has it."""


def chain(taps: Sequence[tuple[Site, Tap]]) -> dict[Site, Tap]:
    """Taps by site, several at one site one after the other."""
    joined: dict[Site, Tap] = {}
    for site, tap in taps:
        joined[site] = tap if site not in joined else _after(joined[site], tap)
    return joined


def _after(first: Tap, second: Tap) -> Tap:
    return lambda x: second(first(x))


def _numbered(n: int) -> tuple[str, ...]:
    return tuple(f"f{i}" for i in range(n))


Change = Callable[[State], State]


def exchanging(engine: Engine, latents: Latents, changes: Sequence[Change | None]) -> dict[Site, Tap]:
    """Taps that put ``changes[s]`` of this very run's state at each site; None leaves a site as it is."""
    taps: list[tuple[Site, Tap]] = []
    for which, (change, (reads, site)) in enumerate(zip(changes, latents.pairs, strict=True)):
        if change is None:
            continue
        seen: list[Tensor] = []
        transcoder = latents.dictionaries[which].is_transcoder
        if transcoder:
            taps.append((reads.engine_site(engine), _keeping(reads, seen)))
        put = _putting(latents, which, change, seen if transcoder else None)
        taps.append((site.engine_site(engine), site.tap(put)))
    return chain(taps)


def _keeping(reads: DictionarySite, seen: list[Tensor]) -> Tap:
    def keep(x: Tensor) -> Tensor:
        seen.append(reads.read(x))
        return x

    return keep


def _putting(latents: Latents, which: int, change: Change, seen: list[Tensor] | None) -> Callable[[Tensor], Tensor]:
    def put(y: Tensor) -> Tensor:
        x = y if seen is None else seen.pop()
        return latents.join(which, change(latents.split(which, Found(x, y)))).to(y.dtype)

    return put
