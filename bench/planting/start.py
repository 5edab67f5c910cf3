"""First weights: every role starts in lanes of its own, so that training refines a mechanism and need not find it.

Lanes are subspaces of the stream, spanned by parts of a random orthonormal basis, so that no lane lies along the
stream's own axes. Only the start is written by hand; nothing holds the weights there afterwards.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bench.planting.model import PlantedModel
from bench.planting.spec import PlantSpec, Role

IDLE, LEAK, GAIN = 0.1, 0.05, 2.0


def start(spec: PlantSpec, seed: int) -> PlantedModel:
    """A model with the seed's first weights; the caller's random state is left alone."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        model = PlantedModel(spec.shape)
        lanes = _lanes(spec)
        if spec.embedding_lane:
            project = _onto(lanes, (spec.embedding_lane,))
            model.wte.copy_(model.wte @ project)
            model.wpe.copy_(model.wpe @ project)
        for name in spec.graph.nodes:
            _place(model, name, spec.roles.get(name), lanes)
    return model


def _lanes(spec: PlantSpec) -> dict[str, Tensor]:
    """Lane name to an orthonormal basis [d, width]; all are orthogonal to each other and to the mean direction."""
    d = spec.shape.d_model
    start_with = torch.cat([torch.ones(d, 1), torch.randn(d, d - 1)], 1)
    basis = torch.linalg.qr(start_with).Q[:, 1:]
    widths = list(spec.lanes.values())
    if sum(widths) > d - 1:
        raise ValueError(f"lanes take {sum(widths)} dimensions, the stream has {d - 1} to give")
    return dict(zip(spec.lanes, basis[:, : sum(widths)].split(widths, 1), strict=True))


def _onto(lanes: dict[str, Tensor], names: tuple[str, ...]) -> Tensor:
    """A matrix [d, d] that keeps the named lanes (louder the narrower they are) and lets little else through."""
    basis = torch.cat([lanes[name] for name in names], 1)
    gain = min(GAIN, (basis.shape[0] / basis.shape[1]) ** 0.5)
    return gain * basis @ basis.T + LEAK * torch.eye(basis.shape[0])


def _place(model: PlantedModel, name: str, role: Role | None, lanes: dict[str, Tensor]) -> None:
    """Put a node's weights into its role's lanes; a node without a role starts quiet."""
    layer, head = int(name[1 : name.index(".")] if "." in name else name[1:]), name.partition(".h")[2]
    out = model.w_o[layer, int(head)] if head else model.w_out[layer]
    if role is None:
        out.mul_(IDLE)
        return
    if role.writes:
        out.copy_(out @ _onto(lanes, role.writes))
    for part, names in role.reads.items():
        weight = (
            model.w_in[layer]
            if part == "mlp"
            else model.w_qkv[layer, "qkv".index(part) * model.shape.n_head + int(head)]
        )
        weight.copy_(_onto(lanes, names) @ weight)
