"""bfloat16 products: parameters and losses stay float32, and what is trained is about as good.

Training takes them on a GPU. Here the same context runs on the processor, so that what the losses do under it is
tried; that a GPU gives it too is one line, and is not.
"""

import dataclasses

import pytest
import torch

from bench.dictionary.training.train import KINDS, Trainer
from tests.dictionary.test_training import SHORT, stream

torch.set_num_threads(1)
LONGER = dataclasses.replace(SHORT, steps=80)


class Mixed(Trainer):
    def _precision(self, x):
        return torch.autocast("cpu", torch.bfloat16)


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_and_losses_stay_float32_under_bfloat16_products(kind):
    trainer = Mixed(KINDS[kind](LONGER), stream(), "stream0")
    x, y = next(trainer.stream.batches())
    with trainer._precision(x):
        assert (x @ x.T).dtype == torch.bfloat16
        dead = torch.zeros(16, dtype=torch.bool)
        parts = trainer.architecture.parts(trainer.parameters, x * trainer.scale, y * trainer.scale, 1.0, dead)
    assert parts.loss.dtype == parts.error.dtype == torch.float32
    mixed = trainer.run()
    plain = Trainer(KINDS[kind](LONGER), stream(), "stream0").run()
    assert all(tensor.dtype == torch.float32 for tensor in mixed.dictionary.tensors.values())
    assert mixed.quality.fvu == pytest.approx(plain.quality.fvu, rel=0.1)
    assert mixed.quality.fvu != plain.quality.fvu
