"""`hydra/launcher=` end to end: who loses what when a cell raises and another is killed, and what the next run does.

The launchers are extras; without them these tests are skipped. What needs none is in test_handout.py.
"""

import os
import subprocess
import sys

import pytest

from bench.cli.main import main
from bench.harness.store import Store
from tests.harness.conftest import PLUGIN, runs_of

PACKAGES = {"joblib": "hydra_joblib_launcher", "submitit_local": "hydra_submitit_launcher"}
SETTINGS = {"joblib": ["hydra.launcher.n_jobs=2"], "submitit_local": ["hydra.launcher.timeout_min=10"]}


@pytest.fixture(params=PACKAGES)
def launcher(request):
    pytest.importorskip(
        f"hydra_plugins.{PACKAGES[request.param]}", reason=f"the {request.param} extra is not installed"
    )
    return request.param


@pytest.fixture
def bench(plugin, tiny_gpt2, tmp_path):
    """`bench run` of 12 cells in 4 jobs, one of them per seed: exit code, what it printed, what it said."""

    def run(store, *words, cwd=tmp_path, **more):
        path = os.pathsep.join([str(PLUGIN), *(place for place in sys.path if place)])
        environment = {**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1", **more}
        call = ["run", "task=toy", "model=hf", f"model.id={tiny_gpt2}", "method=toy_fixed,toy_moody", "seed=0,1,2,3"]
        call += ["metric=toy_curve,toy_sum", "threads=1", f"store={tmp_path / store}", *words]
        done = subprocess.run(
            [sys.executable, "-m", "interpassay", *call], env=environment, cwd=cwd, capture_output=True, text=True
        )
        return done.returncode, done.stdout, done.stderr

    return run


def cells(root) -> dict:
    """State and reason of each cell that is known, by method and seed."""
    found = {}
    for cell in Store(root).cells():
        found[cell["record"]["method"], cell["record"]["data_seed"]] = cell["status"], cell.get("reason", "")
    return found


DEADLY = {"TOY_RAISES_AT": "1", "TOY_DIES_AT": "2"}


@pytest.mark.slow
def test_one_cell_raises_and_one_is_killed(launcher, bench, plugin, tmp_path):
    words = [f"hydra/launcher={launcher}", *SETTINGS[launcher]]
    code, _, said = bench("store", *words, **DEADLY)
    assert code == 1 and f"{launcher}: " in said and "of 4 jobs did not end" in said, said
    found = cells(tmp_path / "store")
    assert found["toy_moody", 2][0] == "killed" and "its worker" in found["toy_moody", 2][1]
    assert found["toy_fixed", 2][0] == "ok"  # done before, by the same worker
    assert ("random", 2) not in found  # the rest of the job is lost with either launcher
    if launcher == "submitit_local":  # and nothing else
        assert found.pop(("toy_moody", 1)) == ("failed", "RuntimeError: not today")
        assert len(found) == 10 and [s for s, _ in found.values()].count("ok") == 9
        assert "the launcher's logs are in store/launches/" in said
    else:
        assert not (tmp_path / "store" / "launches").exists()
    finished = {place for place, (status, _) in found.items() if status == "ok"}
    before = len(runs_of(plugin))
    code, shown, said = bench("store", *words)
    assert code == 0 and f"12 cells, {len(finished)} of them done before" in said, said
    again = runs_of(plugin)[before:]
    assert len(again) == 8 - len([place for place in finished if place[0] != "random"])
    code, serial, _ = bench("serial")
    assert code == 0 and shown == serial
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"store", "serial"}


@pytest.mark.slow
def test_isolated_cells_die_alone_even_under_joblib(launcher, bench, tmp_path):
    code, _, said = bench("store", f"hydra/launcher={launcher}", *SETTINGS[launcher], "isolate=true", **DEADLY)
    found = cells(tmp_path / "store")
    assert code == 1 and "did not end" not in said and "Traceback" not in said, said
    assert found.pop(("toy_moody", 1)) == ("failed", "RuntimeError: not today")
    assert found.pop(("toy_moody", 2)) == ("killed", "its process was ended by signal 9 (out of memory?)")
    assert len(found) == 10 and {status for status, _ in found.values()} == {"ok"}
    assert not (tmp_path / "store" / "launches").exists()


@pytest.mark.slow
def test_modules_in_the_working_directory_do_not_stand_in_for_ours_in_workers(launcher, bench, tmp_path):
    here = tmp_path / "here"
    here.mkdir()
    for name in ("tasks", "bench", "conf"):
        (here / f"{name}.py").write_text("raise SystemExit('somebody else')\n")
    code, _, said = bench("store", f"hydra/launcher={launcher}", *SETTINGS[launcher], cwd=here)
    assert code == 0, said
    assert len(cells(tmp_path / "store")) == 12
    assert {path.name for path in here.iterdir()} == {"tasks.py", "bench.py", "conf.py"}


CALLS = {
    "hydra/launcher=jobli": "Did you mean joblib?",
    "hydra.launcher.nothing=1": "there is no hydra.launcher.nothing",
    "hydra/launcher=basic,joblib": "a launcher's settings cannot be swept",
}


@pytest.mark.parametrize("call", CALLS)
def test_a_wrong_call_says_what_is_wrong(call, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["run", "task=ioi", "method=atp", call]) == 2
    assert CALLS[call] in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "extra"), [("joblib", "joblib"), ("submitit_slurm", "submitit"), ("ray", "ray")])
def test_a_launcher_that_is_not_installed_names_the_extra(name, extra, capsys, tmp_path, monkeypatch):
    from bench.cli.compose import Composer

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Composer, "options", lambda self, group: ["basic"])
    assert main(["run", "task=ioi", "method=atp", f"hydra/launcher={name}"]) == 2
    assert f"pip install 'interpassay[{extra}]'" in capsys.readouterr().err


def test_the_extras_are_those_of_pyproject():
    import tomllib
    from pathlib import Path

    from bench.cli.launchers import EXTRAS

    stated = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert set(EXTRAS.values()) <= set(stated["optional-dependencies"])


def test_slurm_that_is_not_there_is_a_wrong_call(plugin, tiny_gpt2, tmp_path, monkeypatch, capsys):
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="the submitit extra is not installed")
    import shutil

    if shutil.which("srun"):
        pytest.skip("there is Slurm here")
    monkeypatch.chdir(tmp_path)
    words = ["task=toy", "method=toy_fixed", "model=hf", f"model.id={tiny_gpt2}", "metric=toy_sum"]
    assert main(["run", *words, "hydra/launcher=submitit_slurm", "hydra.launcher.partition=any"]) == 2
    assert "hydra/launcher=submitit_slurm could not start" in capsys.readouterr().err
    assert not (tmp_path / "results" / "launches").exists()
