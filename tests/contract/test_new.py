"""bench new: the project is small, installs, runs, passes its own test, and is refused where it would be in the way."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.cli.main import main

ROOT = Path(__file__).parents[2]


def run(call, cwd, site):
    paths = [str(site), str(ROOT), *(str(Path(p).resolve()) for p in sys.path if p)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    return subprocess.run([sys.executable, *call], cwd=cwd, env=environment, capture_output=True, text=True)


def test_a_new_method_installs_and_passes_its_own_test(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["new", "method", "my_method"]) == 0
    project = tmp_path / "my_method"
    source = (project / "my_method.py").read_text()
    assert len(source.splitlines()) < 60
    site = tmp_path / "site"
    install = [
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "--target",
        str(site),
        ".",
    ]
    done = run(install, project, site)
    assert done.returncode == 0, done.stderr
    done = run(["-m", "pytest", "-q", "-p", "no:cacheprovider"], project, site)  # with `bench check` among its tests
    assert done.returncode == 0 and "3 passed" in done.stdout, done.stdout + done.stderr
    done = run(["-m", "ruff", "check", "--select", "E,F,W,B,UP", "--line-length", "120", "."], project, site)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "name", ["eap", "json", "numpy", "MyMethod", "my-method", "2fast", "class", "a__b", "../x", "x" * 60]
)
def test_bad_names_are_refused(tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    assert main(["new", "method", name]) == 2
    assert not list(tmp_path.iterdir())


def test_what_is_there_stays(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").mkdir()
    (tmp_path / "linked").symlink_to(tmp_path / "nowhere")
    for name in ("taken", "linked"):
        assert main(["new", "method", name]) == 2
        assert "is there already" in capsys.readouterr().err
    assert not list((tmp_path / "taken").iterdir())
    assert main(["new", "task", "x"]) == 2 and main(["new"]) == 2
