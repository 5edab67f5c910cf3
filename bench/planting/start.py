"""First weights: every role starts in lanes of its own, so that training refines a mechanism and need not find it.

Lanes are subspaces of the stream, spanned by parts of a random orthonormal basis, so that no lane lies along the
stream's own axes. Only the start is written by hand; nothing holds the weights there afterwards.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bench.planting.architectures import build
from bench.planting.model import PlantedModel
from bench.planting.spec import PlantSpec, Role

IDLE, LEAK, GAIN = 0.1, 0.05, 2.0


def start(spec: PlantSpec, seed: int) -> PlantedModel:
    """A model with the seed's first weights, at random where no node has a role; the caller's random state is kept."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        model = build(spec.shape)
        if not spec.roles:
            return model
        lanes = _lanes(spec)
        if spec.embedding_lane:
            project = _onto(lanes, (spec.embedding_lane,))
            for table in model.embeddings():
                table.copy_(table @ project)
        placed: dict[int, tuple[str, tuple[str, ...]]] = {}
        for name in spec.graph.nodes:
            _place(model, name, spec.roles.get(name), lanes, placed)
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


def _place(
    model: PlantedModel,
    name: str,
    role: Role | None,
    lanes: dict[str, Tensor],
    placed: dict[int, tuple[str, tuple[str, ...]]],
) -> None:
    """Put a node's weights into its role's lanes; a node without a role starts quiet.

    `placed` holds, by address, the weights that read lanes already and for whom: under grouped-query attention the
    first head of a group places k and v, and the others must ask for the same.
    """
    layer, head = int(name[1 : name.index(".")] if "." in name else name[1:]), name.partition(".h")[2]
    parts = model.start_parts(layer, int(head) if head else None)
    if role is None:
        for weight in parts["out"]:
            weight.mul_(IDLE)
        return
    if role.writes:
        for weight in parts["out"]:
            weight.copy_(weight @ _onto(lanes, role.writes))
    for part, names in role.reads.items():
        for weight in parts[part]:
            other, its = placed.setdefault(weight.data_ptr(), (name, names))
            if set(its) != set(names):
                raise ValueError(
                    f"{name} and {other} share {part} but read lanes {names} and {its} with it; give them the same "
                    "lanes, or put them into different groups of heads"
                )
            if other == name:
                weight.copy_(_onto(lanes, names) @ weight)
