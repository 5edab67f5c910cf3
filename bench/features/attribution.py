"""First-order effects of latents and errors: differences of two runs times gradients at the sites.

The gradient of the objective m with respect to a latent is the decoder's row times the gradient at its site, since a
site's y is linear in its latents and its error. Gradients are those of the model as it is: on their way back they
pass by the dictionaries of earlier sites as if these were not there (Marks et al. 2024, arXiv:2403.19647, appendix A).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from bench.data import Tokens
from bench.engine.gradients import Objective
from bench.engine.sites import Site, Tap
from bench.features.latents import Found, Latents, Recorded, chain

if TYPE_CHECKING:
    from bench.engine import Engine

CELLS = 1 << 24
"""Codes that are held at once."""


def recorded_gradients(
    engine: Engine, latents: Latents, tokens: Tokens, objective: Objective
) -> tuple[Recorded, list[Tensor]]:
    """A run, and per site the gradient of the summed objective there, ``[B, T, d_out]``. 1 forward, 1 backward."""
    kept: dict[Site, Tensor] = {}

    def keeper(site: Site) -> Tap:
        def keep(x: Tensor) -> Tensor:
            kept[site] = x.view_as(x)
            return kept[site]

        return keep

    def leaf(x: Tensor) -> Tensor:
        return x.detach().requires_grad_()

    pairs = latents.pairs
    wanted = dict.fromkeys(at.engine_site(engine) for pair in pairs for at in pair)
    taps = chain([(Site("stream", 0), leaf), *((site, keeper(site)) for site in wanted)])
    logits = engine.put(tokens, taps, grad=True)
    at = [site.engine_site(engine) for _, site in pairs]
    with torch.enable_grad():
        once = list(dict.fromkeys(at))
        gradients = dict(zip(once, torch.autograd.grad(objective(logits).sum(), [kept[s] for s in once]), strict=True))
    kept = {site: x.detach() for site, x in kept.items()}
    found = tuple(Found(*(place.read(kept[place.engine_site(engine)]) for place in pair)) for pair in pairs)
    there = [site.read(gradients[place]) for (_, site), place in zip(pairs, at, strict=True)]
    return Recorded(found, logits.detach(), kept), there


def line_gradients(
    engine: Engine,
    latents: Latents,
    which: int,
    tokens: Tokens,
    clean: Recorded,
    corrupt: Recorded,
    objective: Objective,
    shares: Sequence[float],
) -> Tensor:
    """``[B, T, d_out]``: the gradient at one site, averaged over a line on which all its components move together.

    What is at the site goes from the corrupt run (share 0) to the clean one (1), and the rest of the run is the clean
    one's, recomputed from there; that is the same line in latents and error, which add up to it. Layers in front of the
    site are not run again: ``clean`` needs the stream that enters the site's layer (:func:`entrances`). Per share 1
    forward and 1 backward.
    """
    site = latents.sites[which]
    place = site.engine_site(engine)
    first = engine.graph.n_layers if place.kind == "final" else place.layer
    hidden = clean.sites[entrances(engine, latents)[which]]
    ends = clean.found[which].writes, corrupt.found[which].writes
    total = torch.zeros_like(ends[0], dtype=torch.float32)
    for share in shares:
        with torch.enable_grad():
            moved = (ends[1] + share * (ends[0] - ends[1])).detach().requires_grad_()
            logits = engine.put(tokens, {place: site.tap(_given(moved))}, True, first, hidden)
            total += torch.autograd.grad(objective(logits).sum(), moved)[0]
    return total / len(shares)


def entrances(engine: Engine, latents: Latents) -> list[Site]:
    """The streams that enter the sites' layers."""
    places = [site.engine_site(engine) for site in latents.sites]
    return [place if place.kind == "final" else Site("stream", place.layer) for place in places]


def _given(value: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda x: value


@torch.no_grad()
def effects(latents: Latents, which: int, clean: Found, corrupt: Found, gradient: Tensor, real: Tensor) -> Tensor:
    """``[d_sae + 1]``, fp64: (clean - corrupt) . gradient of each latent, then of the error, summed over ``real``.

    ``real`` ``[B, T]`` bool are the tokens that count. Codes are made for some tokens at a time.
    """
    dictionary = latents.dictionaries[which]
    decoder = dictionary.tensors["W_dec"]
    total = torch.zeros(dictionary.d_sae + 1, dtype=torch.float64, device=gradient.device)
    a, b, g = clean.select(real), corrupt.select(real), gradient[real].float()
    step = max(1, CELLS // dictionary.d_sae)
    for start in range(0, len(g), step):
        part = slice(start, start + step)
        here, there = (
            latents.split(which, Found(end.reads[part], end.writes[part])) for end in (a, b)
        )  # fmt: skip
        total[:-1] += ((here.codes - there.codes) * (g[part] @ decoder.T)).double().sum(dim=0)
        total[-1] += ((here.error - there.error) * g[part]).double().sum()
    return total
