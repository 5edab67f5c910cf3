"""JumpReLU: a learned threshold per latent, trained through straight-through estimators."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from bench.dictionary.training.architecture import Architecture, Parameters, Parts, squared

FEW = 8192
"""Activations that the first thresholds are taken from."""


class Jump(torch.autograd.Function):
    """p where p > theta, else 0. d/dtheta = -(theta / eps) K((p - theta) / eps), K = 1 on [-1/2, 1/2]; equation 11."""

    @staticmethod
    def forward(ctx: Any, p: Tensor, theta: Tensor, width: float) -> Tensor:
        ctx.save_for_backward(p, theta)
        ctx.width = width
        return p * (p > theta)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        (p, theta), grad = ctx.saved_tensors, grads[0]
        return grad * (p > theta), (-theta / ctx.width * _window(p, theta, ctx.width) * grad).sum(dim=0), None


class Step(torch.autograd.Function):
    """1 where p > theta, else 0. d/dtheta = -(1 / eps) K((p - theta) / eps); nothing flows to p; equation 12."""

    @staticmethod
    def forward(ctx: Any, p: Tensor, theta: Tensor, width: float) -> Tensor:
        ctx.save_for_backward(p, theta)
        ctx.width = width
        return (p > theta).to(p.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, Tensor, None]:
        (p, theta), grad = ctx.saved_tensors, grads[0]
        return None, (-_window(p, theta, ctx.width) / ctx.width * grad).sum(dim=0), None


def _window(p: Tensor, theta: Tensor, width: float) -> Tensor:
    return ((p - theta).abs() < width / 2).to(p.dtype)


class JumpRelu(Architecture):
    """\\|y - y^\\|^2 + lambda (L0 / target - 1)^2, L0 the batch's mean, activations scaled to a mean norm of 1.

    Thresholds are exp(log_threshold). Each starts where its latent is active on twice the share of the first
    activations that the target gives it, in place of the paper's 0.001: the published runs are long enough for them to
    get there. b_enc starts by taking the mean off, which is not taken off the input: with a large mean half of the
    latents would never be active. What is never active gets no gradient, and thresholds go on taking latents out of
    reach while the rate is high, so that resampling goes on as long. Lambda grows while L0 is
    further than 5 % from its target, since a fixed one settles where its pull and the error's are equal.
    Source: Rajamanoharan et al. 2024, arXiv:2407.14435, equations 9 to 12 and the target loss of its appendix.
    """

    name, activation = "jumprelu", "jumprelu"
    lr, betas, apply_b_dec, coefficient = 7e-5, (0.0, 0.999), False, 1.0
    resampled_until, revived = 0.8, 1.0

    def unit(self, d: int) -> float:
        return 1.0

    def own(self, x: Tensor, encoder: Tensor) -> Parameters:
        mean = x.mean(dim=0)
        p = (x[:FEW] - mean) @ encoder
        share = min(0.5, 2 * self.settings.l0 / self.settings.d_sae)
        rank = max(1, round((1 - share) * len(p)))  # torch.quantile takes 16 million numbers at most
        start = p.kthvalue(rank, dim=0).values
        return {"b_enc": -(mean @ encoder), "log_threshold": start.clamp(min=1e-3).log()}

    def parts(self, p: Parameters, x: Tensor, y: Tensor, coefficient: float, dead: Tensor) -> Parts:
        pre = self.pre(p, x) + p["b_enc"]
        theta, width = p["log_threshold"].exp(), self.settings.bandwidth
        codes: Tensor = Jump.apply(pre.relu(), theta, width)
        l0: Tensor = Step.apply(pre, theta, width)
        error = y - self.decode(p, codes)
        off = l0.sum(dim=-1).mean() / self.settings.l0 - 1
        return Parts(squared(error) + coefficient * off.square(), error.detach(), codes.detach() > 0)

    def revive(self, p: Parameters, which: Tensor, inputs: Tensor, directions: Tensor) -> None:
        """As of all; the threshold too starts anew, at the living ones' geometric mean, and the mean is taken off."""
        super().revive(p, which, inputs, directions)
        alive = torch.ones(len(p["log_threshold"]), dtype=torch.bool, device=which.device)
        alive[which] = False
        if bool(alive.any()):
            p["log_threshold"][which] = p["log_threshold"][alive].mean()
        if not self.transcodes:  # there b_dec is in another space
            p["b_enc"][which] = -(p["b_dec"] @ p["W_enc"][:, which])

    def finish(self, p: Parameters, batches: Iterable[Tensor]) -> tuple[Parameters, dict[str, Any]]:
        tensors = {name: tensor for name, tensor in p.items() if name != "log_threshold"}
        return {**tensors, "threshold": p["log_threshold"].exp()}, {}
