"""bench check: every clause is broken by a method that does just that, and kept by those that ship."""

import pytest

from bench.cli.main import main
from bench.contract import clauses
from tests.contract import broken

CLASSES = [c for c in vars(broken).values() if isinstance(c, type) and str(getattr(c, "name", "")).startswith("c_")]
BREAKS = {
    "c_good": None, "c_said": None, "c_restless": "determinism", "c_seeded": "determinism", "c_batches": "batch size",
    "c_backwards": "signs", "c_undercounts": "passes", "c_silent": "passes", "c_around": "passes", "c_peeks": "truth",
    "c_lists": "truth", "c_writes": "writing", "c_starts": "writing", "c_fails": "runs", "c_short": "runs",
    "c_site": None, "c_site_seeded": "determinism", "c_site_batches": "batch size", "c_site_around": "passes",
    "c_site_skewed": "runs",
}  # fmt: skip


TASK = "task=arithmetic"
"""The planted model that is opened soonest; ioi, the default, is what `bench new`'s own test and the slow one take."""
SHIPPED = ("eap_ig", "activation_norm", "oracle", "das method.steps=4", "logit_lens")
MORE = (
    "atp", "eap", "patching", "edge_patching", "attention_to_answer", "random", "random_layer", "das method.steps=20",
    "boundless_das method.steps=20", "dbm method.steps=20 method.stream=neurons", "leace", "lda", "linear_probe",
    "inlp", "ccs", "caa", "pca", "random_rotation", "identity", "full_vector", "oracle_site", "tuned_lens",
    "answer_settling", "sae_topk", "random method.level=site",
)  # fmt: skip


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What the probe sees of the broken methods, installed as a distribution, and of some that ship: one process."""
    home = tmp_path_factory.mktemp("broken")
    info = home / "site" / "brokenplug-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: brokenplug\nVersion: 1.0\n")
    lines = [f"{c.name} = tests.contract.broken:{c.__name__}" for c in CLASSES]
    (info / "entry_points.txt").write_text("[bench.methods]\n" + "\n".join(lines) + "\n")
    names = [*BREAKS, *SHIPPED]
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(info.parent))
        patch.setenv("CONTRACT_OUTSIDE", str(home / "outside.txt"))
        return dict(zip(names, clauses.ask([[*f"method={name}".split(), TASK] for name in names]), strict=True))


@pytest.mark.parametrize(("name", "clause"), BREAKS.items())
def test_each_clause_is_broken_by_who_breaks_it(seen, name, clause):
    found = list(clauses.judge(seen[name]))
    assert [c.name for c in found if not c.kept] == ([clause] if clause else []), [str(c) for c in found]
    assert len(found) == (3 if clause == "runs" else 7)


def test_the_call_ends_in_1_where_a_clause_is_broken(seen, monkeypatch, capsys):
    for name, code in (("c_good", 0), ("c_backwards", 1)):
        monkeypatch.setattr(clauses, "_ask", lambda calls, home, name=name: [seen[name]])
        assert main(["check", "method=eap"]) == code
        lines = capsys.readouterr().out.splitlines()
        assert [line[:4] for line in lines].count("FAIL") == code and len(lines) == 7


@pytest.mark.parametrize("name", SHIPPED)
def test_methods_that_ship_keep_it(seen, name):
    assert all(clause.kept for clause in clauses.judge(seen[name]))


def test_what_a_track_does_not_ask_for_is_said(seen):
    """Sites have no signed effects, and what choosing one costs depends on how many there are."""
    found = {clause.name: clause.text for clause in clauses.judge(seen["das method.steps=4"])}
    assert found["runs"].startswith("20 site scores of arithmetic")
    assert found["signs"].startswith("not asked of a site")
    assert found["passes"].endswith("all through the engine; a site need not declare them")


@pytest.mark.slow
def test_all_methods_that_ship_keep_it():
    for name, found in zip(MORE, clauses.ask([f"method={name}".split() for name in MORE]), strict=True):
        assert all(clause.kept for clause in clauses.judge(found)), [name, *map(str, clauses.judge(found))]


def test_every_broken_method_is_tried():
    assert {c.name for c in CLASSES} == set(BREAKS)


def test_wrong_calls(capsys):
    for call in (["check"], ["check", "eap"], ["check", "method=eap_igg"], ["check", "method=eap", "method.stps=1"]):
        assert main(call) == 2
    assert main(["check", "method=eap", "model=hf", "model.id=nowhere/at/all"]) == 2
