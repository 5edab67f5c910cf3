"""`bench new method NAME`: a small project that can be installed, tested and changed."""

from __future__ import annotations

import importlib.util
import keyword
import re
import sys
from pathlib import Path

from bench.harness.errors import CallError
from bench.registry import Registries

PYPROJECT = """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "{name}"
version = "0.1.0"
description = "A method for interpassay"
requires-python = ">=3.11"
dependencies = ["interpassay"]

[project.entry-points."bench.methods"]
{name} = "{name}:{cls}"

[tool.setuptools]
py-modules = ["{name}"]

[tool.pytest.ini_options]
pythonpath = ["."]
"""
METHOD = '''\
"""{cls}: say here what it does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from bench.graph import ComponentGraph
from bench.method import Job, Method


@dataclass
class {cls}(Method):
    """Activation difference times gradient, which is attribution patching: change it into your own.

    Score of node u = sum over positions of (u(clean) - u(corrupt)) . dm/du, with m the objective, at the clean run.
    Source: yours. Sign: positive = helps the answer. Cost: 2 forwards and 1 backward per example.
    """

    name: ClassVar[str] = "{name}"
    level: ClassVar[str] = "node"  # or "edge": one score per name in job.graph.names(level)
    version: ClassVar[str] = "1"  # raise it when scores change: stored results are then run again
    stochastic: ClassVar[bool] = False  # True where job.seed changes the scores
    scale: float = 1.0  # a parameter: bench run method={name} method.scale=2

    def passes(self, graph: ComponentGraph) -> tuple[float, float]:
        """Forwards and backwards per example; `bench check` holds what was counted against it."""
        return 2.0, 1.0

    def scores(self, job: Job) -> np.ndarray:
        total, count = np.zeros(len(job.graph.names(self.level))), 0
        for batch in job.batches("train"):  # "validation" is for choices; methods never see "test"
            corrupt = job.engine.sources(batch.corrupt)
            found = job.engine.node_attribution(
                batch.clean, lambda clean, c=corrupt: clean - c, lambda logits, b=batch: job.objective(logits, b)
            )
            total += found.detach().double().sum(dim=1).cpu().numpy()  # [n_components, B], summed in fp64
            count += len(batch)
        return self.scale * total / count  # divided once, so that the batch size has no say
'''
TEST = '''\
"""On a small planted model, whose circuit is known."""

import numpy as np
import pytest
from bench.contract import check, planted_job
from bench.registry import discover
from {name} import {cls}


def test_one_finite_score_per_component():
    job = planted_job("ioi")
    scores = {cls}().scores(job)
    assert scores.shape == (len(job.graph.names({cls}.level)),)
    assert np.isfinite(scores).all() and np.abs(scores).max() > 0


def test_parameters_are_in_the_name():
    assert {cls}().label() == "{name}"
    assert {cls}(scale=2.0).label() == "{name}[scale=2.0]"


@pytest.mark.skipif("{name}" not in discover().methods.names(), reason="not installed: pip install -e .")
def test_the_contract_is_kept():
    broken = [str(clause) for clause in check(["method={name}"]) if not clause.kept]
    assert not broken
'''
README = """\
# {name}

A method for interpassay, a benchmark of interpretability methods.

    pip install -e . && pytest           # the method, and the contract that it keeps
    bench check method={name}
    bench run task=ioi method={name},eap_ig,atp model=planted seed=0,1,2

`{name}.py` is all there is to change.
"""


def write_method(name: str, home: Path, registries: Registries) -> Path:
    """Write the project ``name`` as a new folder in ``home``; raises :class:`CallError`."""
    check_name(name, registries)
    folder = home / name
    if folder.exists() or folder.is_symlink():
        raise CallError(f"{folder} is there already: move it away, or take another name")
    words = {"name": name, "cls": "".join(part.capitalize() for part in name.split("_"))}
    files = {"pyproject.toml": PYPROJECT, f"{name}.py": METHOD, f"tests/test_{name}.py": TEST, "README.md": README}
    (folder / "tests").mkdir(parents=True)
    for path, text in files.items():
        (folder / path).write_text(text.format(**words), encoding="utf-8")
    return folder


def check_name(name: str, registries: Registries) -> None:
    """Refuse what cannot be a method's and a module's name, or is one already."""
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) or len(name) > 40 or keyword.iskeyword(name):
        raise CallError(
            f"{name!r} cannot name a method: use small letters, digits and single underscores, as in my_method"
        )
    if name in registries.methods.names():
        raise CallError(f"there is a method {name} already, of {registries.methods.entry(name)}; take another name")
    if name in sys.stdlib_module_names or importlib.util.find_spec(name) is not None:
        raise CallError(f"{name} is the name of an installed module; take another name")
