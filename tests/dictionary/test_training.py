"""The training loop: resumed runs, errors that name the step, and planted features found again."""

import dataclasses

import pytest
import torch

from bench.dictionary.quality import quality
from bench.dictionary.synthetic import synthetic
from bench.dictionary.training import checkpoint
from bench.dictionary.training.errors import TrainingError
from bench.dictionary.training.settings import TrainingSettings
from bench.dictionary.training.streaming import InMemory
from bench.dictionary.training.train import KINDS, Trainer, train

torch.set_num_threads(1)
DATA = synthetic(1500, d=8, n_features=16, active=2.0)
SHORT = TrainingSettings(16, 2.0, steps=40, batch_size=64, lr=3e-3, dead_after=300, tolerance=100.0)


def stream(x=None, seed=0, batch_size=64, y=None):
    return InMemory(DATA.x if x is None else x, y, batch_size=batch_size, seed=seed)


class Killed(Exception):
    pass


def killer(at):
    def progress(done, total):
        if done == at:
            raise Killed

    return progress


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_run_goes_on_and_ends_with_the_same_weights(kind, tmp_path):
    whole = train(kind, SHORT, stream(), "stream0")
    with pytest.raises(Killed):
        train(kind, SHORT, stream(), "stream0", folder=tmp_path, progress=killer(30))
    _, words = checkpoint.read(tmp_path)
    assert words["done"] == 28  # of the checkpoints after every 4 steps, the last whole one
    steps = []
    again = train(kind, SHORT, stream(), "stream0", folder=tmp_path, progress=lambda done, total: steps.append(done))
    assert steps[0] == 29 and steps[-1] == 40
    for name, tensor in whole.dictionary.tensors.items():
        assert torch.equal(tensor, again.dictionary.tensors[name]), name
    assert again.summary == whole.summary and again.quality.fvu == whole.quality.fvu


def test_checkpoints_hold_numbers_and_json_alone_and_know_their_training(tmp_path):
    with pytest.raises(Killed):
        train("relu", SHORT, stream(), "stream0", folder=tmp_path, progress=killer(9))
    assert [path.name for path in tmp_path.iterdir()] == [checkpoint.NAME]
    other = dataclasses.replace(SHORT, lr=1e-3)
    with pytest.raises(TrainingError, match="is of another training"):
        train("relu", other, stream(), "stream0", folder=tmp_path)
    (tmp_path / checkpoint.NAME).write_bytes(b"\x80\x04pickle")
    with pytest.raises(TrainingError, match="cannot be read"):
        train("relu", SHORT, stream(), "stream0", folder=tmp_path)


def test_seeds_decide():
    runs = [train("topk", dataclasses.replace(SHORT, seed=s), stream(seed=s), "stream0").dictionary for s in (0, 0, 1)]
    assert torch.equal(runs[0].tensors["W_dec"], runs[1].tensors["W_dec"])
    assert not torch.allclose(runs[0].tensors["W_dec"], runs[2].tensors["W_dec"])


def test_batches_from_a_step_on_are_those_of_a_run_from_the_start():
    here = stream(torch.arange(1500.0)[:, None], seed=3)
    every = [x for x, _ in (batch for batch, _ in zip(here.batches(), range(50), strict=False))]
    for start in (0, 7, 21, 43):
        assert torch.equal(next(here.batches(start))[0], every[start])
    epoch = torch.cat(every[:21])  # 1350 tokens give 21 batches of 64: none twice
    assert len(torch.unique(epoch, dim=0)) == len(epoch)


def test_a_loss_that_is_no_number_is_an_error_with_its_step():
    class Spoilt(InMemory):
        def batches(self, start=0):
            for step, (x, y) in enumerate(super().batches(start), start + 1):
                yield (x * float("nan"), y) if step == 17 else (x, y)

    with pytest.raises(TrainingError, match="relu: the loss is nan at step 17 of 40"):
        train("relu", SHORT, Spoilt(DATA.x, batch_size=64), "stream0")


def test_a_target_that_is_not_reached_is_an_error_with_the_step():
    strict = dataclasses.replace(SHORT, l0=0.5, tolerance=0.05, tune=0.0)
    with pytest.raises(TrainingError, match="L0 target 0.5 was not reached: .* after step 40 of 40"):
        train("relu", strict, stream(), "stream0")


def test_a_coefficient_that_runs_away_is_an_error_with_the_step():
    hasty = dataclasses.replace(SHORT, l0=15.9, tune=2.0, warmup=0.0, decay=0.0)
    with pytest.raises(TrainingError, match="L0 target 15.9 cannot be reached: at step .* of 40"):
        train("gated", hasty, stream(), "stream0")


def test_activations_of_nothing_are_an_error():
    with pytest.raises(TrainingError, match="at stream0 have a mean norm of 0"):
        train("relu", SHORT, stream(torch.zeros(500, 8)), "stream0")
    with pytest.raises(TrainingError, match="gives 45 tokens in a buffer; a batch needs 64"):
        train("relu", SHORT, stream(DATA.x[:50]), "stream0")


@pytest.mark.parametrize("wrong", [{"l0": 0.0}, {"l0": 16.0}, {"steps": 0}, {"frozen": "both"}, {"decay": 1.0}])
def test_settings_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValueError, match="="):
        dataclasses.replace(SHORT, **wrong)


@pytest.mark.parametrize(("frozen", "name"), [("decoder", "W_dec"), ("encoder", "W_enc")])
def test_what_is_frozen_stays_random(frozen, name):
    settings = dataclasses.replace(SHORT, frozen=frozen)
    start = KINDS["topk"](settings).start(DATA.x, DATA.x)
    end = train("topk", settings, stream(), "stream0").dictionary.tensors
    for other in ("W_dec", "W_enc"):
        assert torch.equal(start[other], end[other]) == (other == name)
    assert float((start["W_enc"].T - start["W_dec"]).abs().max()) > 0.1  # drawn apart


@pytest.mark.parametrize("kind", ["gated", "topk", "batchtopk", "jumprelu", "matryoshka"])
def test_decoder_rows_keep_their_norm(kind):
    rows = train(kind, SHORT, stream(), "stream0").dictionary.tensors["W_dec"]
    assert rows.norm(dim=1).tolist() == pytest.approx([1.0] * 16, abs=1e-5)


def test_dead_latents_start_anew_where_the_error_is():
    settings = dataclasses.replace(SHORT, resamplings=1, dead_after=100)
    trainer = Trainer(KINDS["relu"](settings), stream(), "stream0")
    with torch.no_grad():
        trainer.parameters["b_enc"][:5] = -100.0
    before = trainer.parameters["W_dec"].detach()[:5].clone()
    trained = trainer.run()
    assert trained.summary["resampled"] >= 5 and trained.summary["dead_latents"] == "resample"
    assert float(trainer.parameters["b_enc"].detach()[:5].min()) > -1.0
    assert float((trainer.parameters["W_dec"][:5].detach() - before).abs().max()) > 0.1


def test_the_dictionary_reads_activations_as_they_come():
    """Scale and bias are in it: its explained variance on raw activations is what training saw on scaled ones."""
    x = DATA.x * 37.0 + 5.0
    trained = train("batchtopk", dataclasses.replace(SHORT, steps=150), stream(x), "stream0")
    found = quality(trained.dictionary, [(x[1350:], x[1350:])])
    assert found.fvu == pytest.approx(trained.quality.fvu, rel=1e-6) and found.explained_variance > 0.4
    assert trained.dictionary.l0 == pytest.approx(found.l0, abs=1e-5) == pytest.approx(2.0, rel=0.2)


def test_a_transcoder_learns_a_map_between_two_spaces():
    generator = torch.Generator().manual_seed(1)
    y = DATA.x @ torch.randn(8, 6, generator=generator)
    settings = dataclasses.replace(SHORT, steps=200, l0=4.0, tolerance=100.0)
    trained = train("topk", settings, stream(y=y), "m0", reads="mlp_in0")
    dictionary = trained.dictionary
    assert (dictionary.architecture, dictionary.activation, dictionary.reads) == ("transcoder", "topk", "mlp_in0")
    assert not dictionary.apply_b_dec_to_input and dictionary.d_out == 6
    assert trained.quality.explained_variance > 0.5


def test_no_jumprelu_latent_starts_dead_or_always_active_however_large_the_mean():
    x = DATA.x + 50 * torch.nn.functional.normalize(torch.ones(8), dim=0)
    architecture = KINDS["jumprelu"](SHORT)
    p = architecture.start(x, x)
    share = architecture.parts(p, x, x, 1.0, torch.zeros(16, dtype=torch.bool)).active.double().mean(dim=0)
    assert float(share.min()) > 0.1 and float(share.max()) < 0.5  # 1/4, but for tokens without a feature, all alike


def test_a_revived_jumprelu_latent_gets_a_threshold_that_it_can_reach():
    architecture = KINDS["jumprelu"](SHORT)
    p = architecture.start(DATA.x, DATA.x)
    p["log_threshold"][3] = 9.0
    architecture.revive(p, torch.tensor([3]), torch.eye(8)[:1], torch.eye(8)[:1])
    others = torch.arange(16) != 3
    assert float(p["log_threshold"][3]) == pytest.approx(float(p["log_threshold"][others].mean()))
    read = float(p["b_dec"] @ p["W_enc"][:, 3] + p["b_enc"][3])
    assert read == pytest.approx(0.0, abs=1e-5)  # the mean token is at 0


def test_resampling_ends_when_the_architecture_says():
    for kind, last in (("relu", 20), ("jumprelu", 30)):
        trainer = Trainer(KINDS[kind](SHORT), stream(), "stream0")
        assert [step for step in range(1, 41) if trainer._resamples(step)] == list(range(5, last + 1, 5)), kind
