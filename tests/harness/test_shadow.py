"""Somebody else's ``bench``, ``tasks``, ``methods`` or ``conf`` is named by its path."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import interpassay


def call(folder: Path, *words: str, path: str = "") -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([path, str(interpassay.HOME)] if path else [])}
    code = "import sys, interpassay; sys.exit(interpassay.main(sys.argv[1:]))"
    return subprocess.run(
        [sys.executable, "-c", code, *words], cwd=folder, env=environment, capture_output=True, text=True
    )


@pytest.mark.parametrize("name", interpassay.PACKAGES)
def test_a_module_in_the_working_directory_is_named(tmp_path, name):
    """``python -c`` and ``python -m`` put the working directory first."""
    (tmp_path / f"{name}.py").write_text("raise RuntimeError('imported')\n")
    done = call(tmp_path, "list", "methods")
    assert done.returncode == 2
    assert f"`{name}` resolves to {tmp_path / name}.py; expected {interpassay.HOME / name}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_package_on_the_python_path_is_named(tmp_path):
    (tmp_path / "theirs" / "conf").mkdir(parents=True)
    (tmp_path / "theirs" / "conf" / "__init__.py").write_text("")
    done = call(tmp_path, "list", "methods", path=str(tmp_path / "theirs"))
    assert done.returncode == 2 and str(tmp_path / "theirs" / "conf") in done.stderr


def test_a_clean_directory_is_fine(tmp_path):
    assert interpassay.shadows() == []
    assert call(tmp_path, "--version").returncode == 0
