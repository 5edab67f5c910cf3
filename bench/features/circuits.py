"""Running circuits of latents: what is cut carries another prompt's latent, or its mean, or nothing.

At every site the state is that of the very run: latents and errors that are kept are encoded from what the circuit
has there, downstream of what was cut before. Everything between the sites runs as it is. So the circuit with all
components is the model, and under counterfactual ablation one without a site's components has the other prompt's
activations there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from bench.data import Batch, Tokens
from bench.features.attribution import entrances
from bench.features.latents import Change, Found, Latents, State, exchanging

if TYPE_CHECKING:
    from bench.engine import Engine

States = tuple[State, ...]
"""Per site; of one prompt and one position where it is the same everywhere."""


@torch.no_grad()
def run_kept(engine: Engine, latents: Latents, tokens: Tokens, kept: Tensor, ablated: States) -> Tensor:
    """Logits ``[B, V]`` when what is not ``kept`` (bool ``[n_components]``) carries ``ablated``. 1 forward."""
    changes: list[Change | None] = []
    for where, state in zip(latents.slices, ablated, strict=True):
        flags = kept[where]
        changes.append(None if bool(flags.all()) else _mixing(flags, state))
    return engine.tap(tokens, exchanging(engine, latents, changes))


def _mixing(kept: Tensor, ablated: State) -> Change:
    def change(own: State) -> State:
        error = own.error if bool(kept[-1]) else ablated.error.expand_as(own.error)
        return State(torch.where(kept[:-1], own.codes, ablated.codes), error)

    return change


@torch.no_grad()
def states(engine: Engine, latents: Latents, tokens: Tokens) -> States:
    """What every site has in the run on ``tokens``, taken apart. 1 forward."""
    recorded = latents.record(engine, tokens)
    return tuple(latents.split(which, found) for which, found in enumerate(recorded.found))


@torch.no_grad()
def mean_states(engine: Engine, latents: Latents, batches: Iterable[Batch]) -> States | None:
    """Each component's mean over all real tokens of the clean prompts, ``[1, 1, ...]``; None where there are none.

    Summed in fp64. 1 forward per example.
    """
    sums: list[list[Tensor]] = []
    count = 0
    for batch in batches:
        found = states(engine, latents, batch.clean)
        mask = batch.clean.mask
        added = [[x[mask].double().sum(dim=0) for x in (state.codes, state.error)] for state in found]
        sums = [[x + y for x, y in zip(a, b, strict=True)] for a, b in zip(sums, added, strict=True)] if sums else added
        count += int(mask.sum())
    return tuple(State(*((x / count).float()[None, None] for x in pair)) for pair in sums) if sums else None


def no_states(latents: Latents) -> States:
    """Nothing is written: what stays of a site is the decoder's bias."""
    return tuple(
        State(torch.zeros_like(d.tensors["W_dec"][:, 0])[None, None], torch.zeros_like(d.tensors["b_dec"])[None, None])
        for d in latents.dictionaries
    )


@torch.no_grad()
def single_effects(
    engine: Engine, latents: Latents, batch: Batch, read: Callable[[Tensor], Tensor]
) -> Iterator[tuple[int, Tensor]]:
    """The number of each component with m(clean) - m(clean with it from the corrupt run), ``[B]``.

    ``read`` maps logits to m, and is given the clean ones first. Latents that are the same in both runs are left out;
    the layers in front of a site are not run again. 2 forwards, and 1 for each that differs and for each error.
    """
    into = entrances(engine, latents)
    clean, corrupt = latents.record(engine, batch.clean, into), latents.record(engine, batch.corrupt)
    whole = read(clean.logits)
    for which, site in enumerate(latents.sites):
        place = site.engine_site(engine)
        first = engine.graph.n_layers if place.kind == "final" else place.layer
        for index, move in _moves(latents, which, clean.found[which], corrupt.found[which], batch.clean.mask):
            taps = {place: site.tap(_moved(move))}
            logits = engine.put(batch.clean, taps, False, first, clean.sites[into[which]])
            yield latents.slices[which].start + index, whole - read(logits)


def _moves(latents: Latents, which: int, clean: Found, corrupt: Found, real: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Per component of a site that differs, how far it moves what is there, ``[B, T, d_out]``; the error comes last."""
    here, there = latents.split(which, clean), latents.split(which, corrupt)
    decoder = latents.dictionaries[which].tensors["W_dec"]
    delta = (there.codes - here.codes) * real[..., None]
    for index in delta.flatten(0, 1).ne(0).any(dim=0).nonzero()[:, 0].tolist():
        yield index, delta[..., index, None] * decoder[index]
    yield len(decoder), (there.error - here.error) * real[..., None]


def _moved(move: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda x: x + move.to(x.dtype)
