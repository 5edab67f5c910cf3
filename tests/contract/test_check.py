"""bench check: every clause is broken by a method that does just that, and kept by those that ship."""

import pytest

from bench.cli.main import main
from bench.contract import check
from tests.contract import broken

CLASSES = [c for c in vars(broken).values() if isinstance(c, type) and str(getattr(c, "name", "")).startswith("c_")]
BREAKS = {
    "c_good": None, "c_said": None, "c_restless": "determinism", "c_seeded": "determinism", "c_batches": "batch size",
    "c_backwards": "signs", "c_undercounts": "passes", "c_silent": "passes", "c_around": "passes", "c_peeks": "truth",
    "c_lists": "truth", "c_writes": "writing", "c_starts": "writing", "c_fails": "runs", "c_short": "runs",
}  # fmt: skip


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """The broken methods as an installed distribution, here and in the processes that are started."""
    home = tmp_path / "site" / "brokenplug-1.0.dist-info"
    home.mkdir(parents=True)
    (home / "METADATA").write_text("Metadata-Version: 2.1\nName: brokenplug\nVersion: 1.0\n")
    lines = [f"{c.name} = tests.contract.broken:{c.__name__}" for c in CLASSES]
    (home / "entry_points.txt").write_text("[bench.methods]\n" + "\n".join(lines) + "\n")
    monkeypatch.syspath_prepend(str(home.parent))
    monkeypatch.setenv("CONTRACT_OUTSIDE", str(tmp_path / "outside.txt"))
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("name", "clause"), BREAKS.items())
def test_each_clause_is_broken_by_who_breaks_it(installed, capsys, name, clause):
    assert main(["check", f"method={name}"]) == (1 if clause else 0)
    lines = capsys.readouterr().out.splitlines()
    failed = [line[6:18].strip() for line in lines if line.startswith("FAIL")]
    assert failed == ([clause] if clause else []), lines
    assert len(lines) == (3 if clause == "runs" else 7)


def test_every_broken_method_is_tried():
    assert {c.name for c in CLASSES} == set(BREAKS)


@pytest.mark.parametrize("name", ["eap_ig", "activation_norm", "oracle"])
def test_methods_that_ship_keep_it(name):
    assert all(clause.kept for clause in check([f"method={name}"]))


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["atp", "eap", "patching", "edge_patching", "attention_to_answer", "random", "random_layer"]
)
def test_all_methods_that_ship_keep_it(name):
    assert all(clause.kept for clause in check([f"method={name}"]))


def test_wrong_calls(capsys):
    for call in (["check"], ["check", "eap"], ["check", "method=eap_igg"], ["check", "method=eap", "method.stps=1"]):
        assert main(call) == 2
    assert main(["check", "method=eap", "model=hf", "model.id=nowhere/at/all"]) == 2
