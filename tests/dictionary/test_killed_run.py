"""`bench run` of a dictionary, killed in the middle of its training and called again."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors import SafetensorError
from safetensors.numpy import load_file

from bench.cli.main import main
from bench.dictionary.training import checkpoint
from tests.harness.conftest import in_child

WORDS = ["run", "task=ioi", "method=sae_topk", "model=planted", "seed=0", "method.l0=2", "method.expansion=2",
         "method.batch_size=64", "metric=l0", "threads=1", "task.sizes.train=60",
         "task.sizes.validation=40"]  # fmt: skip
SMALL = [*WORDS, "method.steps=40", "method.checkpoints=8"]


def weights(store: Path) -> dict[str, np.ndarray]:
    """The tensors of the trained dictionary; the baselines beside it have others' shapes."""
    (found,) = [p for p in store.glob("explanations/*") if '"sae_topk' in (p / "explanation.json").read_text()]
    return load_file(found / "scores.safetensors")


def trained(store: Path) -> bool:
    return any('"sae_topk' in p.read_text() for p in store.glob("explanations/*/explanation.json"))


def differing(ours: dict[str, np.ndarray], others: dict[str, np.ndarray]) -> set[str]:
    assert set(ours) == set(others) and len(ours) >= 4
    return {name for name, tensor in ours.items() if tensor.tobytes() != others[name].tobytes()}


def killed_after(store: Path, n: int) -> None:
    """What a child does: the run, until it is killed right after its n-th checkpoint."""
    real, written = checkpoint.write, []

    def write(*args):
        real(*args)
        written.append(args)
        if len(written) == n:
            os.kill(os.getpid(), signal.SIGKILL)

    checkpoint.write = write
    main([*SMALL, f"store={store}"])


def moved(store: Path) -> None:
    """Shift what the checkpoint has of the decoder: a run that starts from it ends elsewhere."""
    (folder,) = store.glob("checkpoints/*")
    tensors, words = checkpoint.read(folder)
    tensors["parameter.W_dec"] = tensors["parameter.W_dec"].flip(0)
    checkpoint.write(folder, tensors, words)


def test_a_run_killed_in_its_training_goes_on_from_the_checkpoint_to_the_same_bits(tmp_path, capfd):
    stores = {name: tmp_path / name for name in ("whole", "killed", "moved")}
    assert in_child(lambda: killed_after(stores["killed"], 5)) == -signal.SIGKILL
    assert not trained(stores["killed"])
    (folder,) = stores["killed"].glob("checkpoints/*")
    assert checkpoint.read(folder)[1]["done"] == 25
    shutil.copytree(stores["killed"], stores["moved"])
    moved(stores["moved"])
    for store in stores.values():
        assert main([*SMALL, f"store={store}"]) == 0
    whole = weights(stores["whole"])
    assert differing(weights(stores["killed"]), whole) == set()
    assert "W_dec" in {name.rpartition(".")[2] for name in differing(weights(stores["moved"]), whole)}
    assert not list(stores["killed"].glob("checkpoints/*")), "a finished training leaves no checkpoint"


@pytest.mark.slow
def test_kill_9_in_the_middle_of_a_long_training(tmp_path):
    words = [*WORDS, "method.steps=3000", "method.checkpoints=100"]

    def start(store: str) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-m", "interpassay", *words, f"store={tmp_path / store}"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip

    def done(store: str) -> int:
        try:
            return max((checkpoint.read(f)[1]["done"] for f in (tmp_path / store).glob("checkpoints/*")), default=0)
        except (checkpoint.TrainingError, SafetensorError, TypeError, OSError):
            return 0  # between two writes

    process = start("killed")
    while process.poll() is None and done("killed") < 1000:
        time.sleep(0.05)
    assert process.poll() is None, "it ended before it could be killed"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not trained(tmp_path / "killed") and 1000 <= done("killed") < 3000
    assert start("killed").wait() == 0 and start("whole").wait() == 0
    assert differing(weights(tmp_path / "killed"), weights(tmp_path / "whole")) == set()
