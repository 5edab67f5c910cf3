"""The training loop: one for all architectures."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.dictionary.dictionary import Dictionary
from bench.dictionary.quality import Quality, quality
from bench.dictionary.training import checkpoint
from bench.dictionary.training.architecture import RESAMPLE, Architecture, Parameters, Parts
from bench.dictionary.training.errors import TrainingError
from bench.dictionary.training.jumprelu import JumpRelu
from bench.dictionary.training.relu import Gated, Relu
from bench.dictionary.training.resampling import resample
from bench.dictionary.training.settings import TrainingSettings
from bench.dictionary.training.streaming import Stream
from bench.dictionary.training.topk import BatchTopK, Matryoshka, TopK
from bench.dictionary.training.tuning import Coefficient

KINDS: dict[str, type[Architecture]] = {
    kind.name: kind for kind in (Relu, Gated, TopK, BatchTopK, JumpRelu, Matryoshka)
}
CALIBRATION = 64
"""Batches of the stream that a threshold is calibrated on."""
TENTHS = 10


@dataclass
class Trained:
    """What comes out."""

    dictionary: Dictionary
    quality: Quality
    """On held-out activations."""
    summary: dict[str, Any]
    """Plain values: the loss over tenths of the steps, the coefficient, how dead latents were dealt with."""


@dataclass
class Trainer:
    """One training. ``folder``, where given, gets checkpoints and is resumed from."""

    architecture: Architecture
    stream: Stream
    site: str
    reads: str = ""
    folder: Path | None = None
    checkpoints: int = 10
    """How many are written over the steps."""
    progress: Callable[[int, int], None] = lambda done, total: None
    provenance: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.settings = self.architecture.settings
        self.coefficient = Coefficient.of(self.architecture)
        self.done, self.resampled = 0, 0
        self.losses: list[float] = []
        x, y = self.stream.first()
        self.scale, self.output_scale = self._scale(x, self.reads or self.site), self._scale(y, self.site)
        self.parameters = self.architecture.start(x * self.scale, y * self.output_scale)
        self.quiet = torch.zeros(self.settings.d_sae, dtype=torch.long, device=x.device)
        self.optimizer = self._optimizer()

    # -- the loop

    def run(self) -> Trained:
        """Train to the end; raises :class:`TrainingError` with the step where a loss or parameter is no number, or
        the L0 target is not reached."""
        self._resume()
        settings, every = self.settings, max(1, self.settings.steps // max(1, self.checkpoints))
        for step, (x, y) in zip(range(self.done + 1, settings.steps + 1), self.stream.batches(self.done), strict=False):
            self._step(step, x * self.scale, y * self.output_scale)
            self.done = step
            if self.folder is not None and step % every == 0 and step < settings.steps:
                self._save()
            self.progress(step, settings.steps)
        return self._finish()

    def _step(self, step: int, x: Tensor, y: Tensor) -> None:
        settings, p = self.settings, self.parameters
        for group in self.optimizer.param_groups:
            group["lr"] = self._lr() * settings.rate(step)
        self.optimizer.zero_grad()
        with torch.enable_grad(), self._precision(x):
            dead = self.quiet > settings.dead_after
            parts = self.architecture.parts(p, x, y, self.coefficient.at(self.architecture, step), dead)
        value = float(parts.loss.detach())
        self._demand(math.isfinite(value), f"the loss is {value}", step)
        parts.loss.backward()
        with torch.no_grad():
            self._project()
            trained = [tensor for tensor in p.values() if tensor.requires_grad]
            torch.nn.utils.clip_grad_norm_(trained, settings.clip)
            self.optimizer.step()
            self._demand(all(bool(torch.isfinite(t).all()) for t in trained), "the parameters are not finite", step)
            self._normalise()
            self._watch(step, x, parts)
        self.losses.append(float(parts.error.square().sum(dim=-1).mean()))

    def _watch(self, step: int, x: Tensor, parts: Parts) -> None:
        """Follow L0 and dead latents."""
        fired = parts.active.any(dim=0)
        self.quiet = torch.where(fired, 0, self.quiet + len(x))
        self.coefficient.follow(self.architecture, step, parts.l0)
        if self.architecture.dead == RESAMPLE and self._resamples(step):
            which = (self.quiet > self.settings.dead_after).nonzero().flatten()
            self.resampled += resample(self.architecture, self.parameters, self.optimizer, which, x, parts, step)
            self.quiet[which] = 0

    def _resamples(self, step: int) -> bool:
        n = self.settings.resamplings
        until = self.architecture.resampled_until * self.settings.steps
        return n > 0 and step % max(1, self.settings.steps // (2 * n)) == 0 and step <= until

    # -- the decoder's norms

    def _project(self) -> None:
        """Take the part along each decoder row off its gradient, where the rows keep their norm."""
        decoder = self.parameters["W_dec"]
        if self.architecture.unit_decoder and decoder.grad is not None:
            along = (decoder.grad * decoder).sum(dim=1, keepdim=True)
            decoder.grad -= along * decoder

    def _normalise(self) -> None:
        decoder = self.parameters["W_dec"]
        if self.architecture.unit_decoder and decoder.requires_grad:
            decoder /= decoder.norm(dim=1, keepdim=True).clamp(min=1e-12)

    # -- the end

    @torch.no_grad()
    def _finish(self) -> Trained:
        calibration = (x * self.scale for x, _ in islice(self.stream.batches(), CALIBRATION))
        detached = {name: tensor.detach() for name, tensor in self.parameters.items()}
        tensors, words = self.architecture.finish(detached, calibration)
        dictionary = self._dictionary(tensors, words)
        seen = quality(dictionary, self._held_out())
        self._demand_l0(seen.l0)
        final = replace(dictionary, l0=round(seen.l0, 6))
        return Trained(final, seen, self._summary())

    def _dictionary(self, tensors: Parameters, words: dict[str, Any]) -> Dictionary:
        kind, transcodes = self.architecture, self.architecture.transcodes
        return Dictionary(
            "transcoder" if transcodes else kind.name, self.site, tensors, kind.activation, self.reads or self.site,
            apply_b_dec_to_input=kind.centres, scaling="constant", scale=self.scale,
            output_scale=self.output_scale if transcodes else None,
            provenance={**self.provenance, "training": self.settings.plain()}, **words,
        )  # fmt: skip

    def _held_out(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Held-out batches; where the stream has none, the first ones of training."""
        found = False
        for pair in self.stream.held_out():
            found = True
            yield pair
        if not found:
            yield from islice(self.stream.batches(), CALIBRATION)

    def _demand_l0(self, l0: float) -> None:
        settings = self.settings
        if self.architecture.tuned and abs(l0 / settings.l0 - 1) > settings.tolerance:
            raise TrainingError(
                f"the L0 target {settings.l0:g} was not reached: it is {l0:.3g} on held-out activations after step"
                f" {self.done} of {settings.steps}, with the coefficient at {self.coefficient.value:.2g}"
            )

    def _summary(self) -> dict[str, Any]:
        size = max(1, math.ceil(len(self.losses) / TENTHS))
        parts = [self.losses[i : i + size] for i in range(0, len(self.losses), size)]
        return {
            "steps": self.done, "loss_curve": [round(sum(part) / len(part), 6) for part in parts],
            "coefficient": self.coefficient.value if self.architecture.tuned else None,
            "dead_latents": self.architecture.dead, "resampled": self.resampled,
            "dead_at_end": int((self.quiet > self.settings.dead_after).sum()),
        }  # fmt: skip

    # -- checkpoints

    def _save(self) -> None:
        assert self.folder is not None
        tensors = {f"parameter.{name}": tensor for name, tensor in self.parameters.items()} | {"quiet": self.quiet}
        for name, tensor in self.parameters.items():
            moments = self.optimizer.state.get(tensor, {})
            tensors |= {f"{part}.{name}": moments[part].clone() for part in ("exp_avg", "exp_avg_sq") if moments}
        words = {"done": self.done, "coefficient": asdict(self.coefficient), "losses": self.losses,
                 "resampled": self.resampled, "identity": self._identity()}  # fmt: skip
        checkpoint.write(self.folder, tensors, words)

    def _resume(self) -> None:
        found = None if self.folder is None else checkpoint.read(self.folder)
        if found is None:
            return
        tensors, words = found
        if words["identity"] != self._identity():
            raise TrainingError(f"{checkpoint.NAME} is of another training; remove it to begin anew")
        self.done, self.losses, self.resampled = words["done"], words["losses"], words["resampled"]
        self.coefficient = Coefficient(**words["coefficient"])
        self.quiet = tensors["quiet"].to(self.quiet.device)
        with torch.no_grad():
            for name, tensor in self.parameters.items():
                tensor.copy_(tensors[f"parameter.{name}"])
                if f"exp_avg.{name}" in tensors:
                    moments = {part: tensors[f"{part}.{name}"].to(tensor) for part in ("exp_avg", "exp_avg_sq")}
                    self.optimizer.state[tensor] = {"step": torch.tensor(float(self.done)), **moments}

    def _identity(self) -> dict[str, Any]:
        return {"architecture": self.architecture.name, "site": self.site, "reads": self.reads,
                "settings": self.settings.plain(), "scale": self.scale, "provenance": self.provenance}  # fmt: skip

    # -- small things

    def _optimizer(self) -> torch.optim.Optimizer:
        frozen = self.architecture.frozen()
        trained = [t.requires_grad_() for name, t in self.parameters.items() if name not in frozen]
        return torch.optim.Adam(trained, lr=self._lr(), betas=self.settings.betas or self.architecture.betas)

    def _lr(self) -> float:
        if self.settings.lr is not None:
            return self.settings.lr
        kind = self.architecture
        return kind.lr / math.sqrt(self.settings.d_sae / 2**14) if kind.name == "topk" else kind.lr

    def _scale(self, x: Tensor, site: str) -> float:
        norm = float(x.norm(dim=1).mean())
        if not math.isfinite(norm) or norm == 0:
            raise TrainingError(f"the activations at {site} have a mean norm of {norm}; nothing can be learned of them")
        return self.architecture.unit(x.shape[1]) / norm

    def _precision(self, x: Tensor) -> contextlib.AbstractContextManager[Any]:
        if self.settings.mixed and x.device.type == "cuda":
            return torch.autocast("cuda", torch.bfloat16)
        return contextlib.nullcontext()

    def _demand(self, kept: bool, problem: str, step: int) -> None:
        if not kept:
            raise TrainingError(f"{self.architecture.name}: {problem} at step {step} of {self.settings.steps}")


def train(kind: str, settings: TrainingSettings, stream: Stream, site: str, **options: Any) -> Trained:
    """Train a dictionary of one of :data:`KINDS`; options are :class:`Trainer`'s."""
    transcodes = options.get("reads", "") not in ("", site)
    return Trainer(KINDS[kind](settings, transcodes), stream, site, **options).run()
