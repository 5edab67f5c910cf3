"""Mutated submissions: rejected with the place named, or equal in meaning; nothing executed, nothing written."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from bench.submit.checking import read
from tests.submit.mutants import ALL, EITHER, EQUAL, MARKER, MUTANTS, REJECTED, original
from tests.submit.samples import put, tarred, zipped

ROOT = Path(__file__).parents[2]
BATCH = 50


class Worker:
    """A limited process that answers about one path after the other."""

    def __init__(self, good, home):
        archives = [good.with_name(f"good{suffix}") for suffix in (".zip", ".tgz")]
        archives[0].write_bytes(zipped(original()[0]))
        archives[1].write_bytes(tarred(original()[0], "w:gz"))
        paths = os.pathsep.join(str(Path(p).resolve()) for p in [ROOT, *sys.path] if p)
        environment = {**os.environ, "PYTHONPATH": str(paths), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        call = [sys.executable, str(Path(__file__).with_name("worker.py")), str(good), *map(str, archives)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(call, cwd=home, env=environment, **pipes)

    def ask(self, path):
        self.process.stdin.write(json.dumps(str(path)) + "\n")
        self.process.stdin.flush()

    def answer(self):
        line = self.process.stdout.readline()
        return json.loads(line) if line else {"broken": f"the worker ended with {self.process.wait()}: over a limit?"}

    def close(self):
        self.process.stdin.close()
        self.process.wait()


@pytest.fixture
def workers(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    good = put(tmp_path / "good", original()[0])
    found = [Worker(good, home) for _ in range(2)]
    yield found
    for worker in found:
        worker.close()
    assert not list(home.iterdir()) and not Path(MARKER).exists(), "something was written"


def verdict(answer, digest):
    """What became of a mutant, or what went wrong."""
    if answer.get("events"):
        return f"did {answer['events']}"
    if "digest" in answer:
        return EQUAL if answer["digest"] == digest else "accepted, and means something else"
    if "rejected" in answer:
        return REJECTED if answer["place"] and answer["rejected"].startswith(answer["place"]) else "no place named"
    return answer["broken"]


def run_mutants(count, seed, workers, home):
    digest = read(put(home / "original", original()[0])).digest
    kinds = sorted(MUTANTS)
    seen, wrong = Counter(), []
    for start in range(0, count, BATCH):
        asked = []
        for number in range(start, min(start + BATCH, count)):
            kind = kinds[number % len(kinds)]
            make, expected = MUTANTS[kind]
            path = make(np.random.default_rng([seed, number]), home / f"m{number}")
            asked.append((kind, number, expected, path))
        for pair in zip(asked[::2], asked[1::2], strict=False):
            for worker, (*_, path) in zip(workers, pair, strict=True):
                worker.ask(path)
            for worker, (kind, number, expected, path) in zip(workers, pair, strict=True):
                answer = worker.answer()
                found = verdict(answer, digest)
                seen[kind, found] += 1
                if found != expected and not (expected == EITHER and found in (EQUAL, REJECTED)):
                    wrong.append(f"{kind} {number} ({path.name}): {found}, expected {expected}; {answer}")
        for *_, path in asked:
            remove(path)
    assert not wrong, f"{len(wrong)} of {count}:\n" + "\n".join(wrong[:20])
    return seen


def remove(path):
    import shutil

    shutil.rmtree(path) if path.is_dir() else path.unlink()
    for name in ALL:
        path.with_name(f"{path.name}-{name}").unlink(missing_ok=True)


def test_500_mutants_are_rejected_or_mean_the_same(workers, tmp_path):
    home = tmp_path / "mutants"
    home.mkdir()
    seen = run_mutants(500, 0, workers, home)
    assert {kind for kind, _ in seen} == set(MUTANTS)


@pytest.mark.slow
def test_10_000_mutants_are_rejected_or_mean_the_same(workers, tmp_path):
    home = tmp_path / "mutants"
    home.mkdir()
    run_mutants(10_000, 1, workers, home)


def test_a_worker_sees_what_a_checker_must_not_do(tmp_path):
    """The watch itself: a hook that saw nothing would pass every mutant."""
    code = Path(__file__).with_name("worker.py").read_text().replace(
        "return {\"digest\": read(Path(path)).digest}",
        "import pickle; return pickle.loads(b'cposix\\nsystem\\n(Vtrue\\ntR.') or {}",
    )  # fmt: skip
    script = tmp_path / "worker.py"
    script.write_text(code.replace('assert "digest" in warm, warm', ""))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(str(p) for p in [ROOT, *sys.path] if p)}
    call = [sys.executable, str(script), "x"]
    done = subprocess.run(call, input='"x"\n', env=environment, capture_output=True, text=True, cwd=tmp_path)
    events = json.loads(done.stdout.splitlines()[-1])["events"]
    assert any("pickle.find_class" in event for event in events) and any("os.system" in event for event in events)
