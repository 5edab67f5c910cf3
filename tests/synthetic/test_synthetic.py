"""The board of planted dictionaries: its parts by hand, a small run of the whole, and what is committed."""

import json

import numpy as np
import pytest
import torch
from scipy import stats

from bench.dictionary.synthetic import absorption, hierarchical
from tests.synthetic import report
from tests.synthetic.claims import CLAIMS, Claim, Judged, judge
from tests.synthetic.measuring import CHILDREN, FLAT, PARENTS, RANDOM, TARGETS, TREE, WIDTH, Case, cases, measure

torch.set_num_threads(1)


def test_children_are_never_without_their_parent_and_one_at_a_time():
    data = hierarchical(4000, d=40, bias=2.0)
    on = (data.codes > 0).numpy()
    children = on[:, PARENTS:].reshape(len(on), PARENTS, CHILDREN)
    assert children.sum(axis=2).max() == 1
    assert not (children.any(axis=2) & ~on[:, :PARENTS]).any()
    assert on.sum(axis=1).mean() == pytest.approx(1.5 * 1.75, abs=0.06)
    assert data.features @ data.features.T == pytest.approx(np.eye(40), abs=1e-5)
    assert torch.allclose(data.codes @ data.features + data.bias, data.x, atol=1e-5)


def test_absorption_is_1_where_children_take_their_parents_over_and_0_where_nothing_does():
    data = hierarchical(4000, d=40)
    assert absorption(data.features, data.codes, data, PARENTS, CHILDREN) == 0.0
    children = data.codes[:, PARENTS:].reshape(len(data.codes), PARENTS, CHILDREN).sum(dim=2)
    absorbed = data.codes.clone()
    absorbed[:, :PARENTS] *= children == 0
    assert absorption(data.features, absorbed, data, PARENTS, CHILDREN) == 1.0


@pytest.mark.parametrize("case", [Case(FLAT, "batchtopk", 3.0, 0), Case(TREE, "matryoshka", 3.0, 0)], ids=str)
def test_a_short_training_beats_random_directions_and_explained_variance_is_right(case):
    found, random = measure(case, steps=150, n=4000), measure(Case(case.data, RANDOM, case.target, 0), n=4000)
    assert found["recovery"] > random["recovery"] + 0.1
    assert found["ev_error"] < 1e-3 and found["l0"] == pytest.approx(3.0, rel=0.3)
    assert ("absorption" in found) == (case.data == TREE)


def figures(case: Case) -> dict[str, float]:
    """Made up: batchtopk's FVU is .1 lower than topk's, give or take the seed."""
    fvu = 0.2 - 0.1 * (case.architecture == "batchtopk") + 0.01 * case.seed * (case.architecture == "topk")
    own = {"absorption": 0.1} if case.data == TREE else {}
    trained = {"fvu": fvu, "l0": 3.0, "dead": 0.0, "ev_error": 1e-7, **own}
    return {"recovery": 0.9, "matched": 0.8, **(trained if case.architecture != RANDOM else {})}


def test_claims_are_paired_over_seeds():
    found = {case: figures(case) for case in cases(5)}
    judged = {(one.claim, one.target): one for one in judge(found)}
    assert len(judged) == sum(len(TARGETS[claim.data]) for claim in CLAIMS)
    (claim,) = (c for c in CLAIMS if (c.figure, c.first, c.second) == ("fvu", "batchtopk", "topk"))
    one = judged[claim, 3.0]
    expected = stats.ttest_1samp([-0.1 - 0.01 * s for s in range(5)], 0).confidence_interval()
    assert (one.difference, one.low, one.high) == pytest.approx((-0.12, *expected)) and one.holds == "yes"
    assert {o.holds for o in judge({c: f for c, f in found.items() if c.seed == 0})} == {"open"}  # one seed
    lower, higher = (Claim(FLAT, figure, "a", "b", "") for figure in ("fvu", "recovery"))
    cases_ = (
        (lower, 0.1, 0.2, "no"),
        (higher, 0.1, 0.2, "yes"),
        (higher, -0.2, -0.1, "no"),
        (lower, -0.1, 0.1, "open"),
    )
    for made, low, high, holds in cases_:
        assert Judged(made, 3.0, (low + high) / 2, low, high).holds == holds


def test_the_page_has_every_architecture_at_every_target(tmp_path):
    report.write({case: figures(case) for case in cases(5)}, tmp_path, {"code": "x"})
    page = (tmp_path / "README.md").read_text()
    rows, claims = report.read(tmp_path)
    assert page == report.page(rows, claims) and len(claims) == 20
    assert page.count("| batchtopk | 0.9 [0.9, 0.9] |") == 4 and page.count(f"| {RANDOM} |") == 4
    (row,) = (r for r in rows if (r.data, r.architecture, r.target, r.figure) == (FLAT, "topk", 3.0, "fvu"))
    assert row.value == pytest.approx(0.22) and row.low < 0.22 < row.high and row.seeds == 5
    assert [r.architecture for r in report.rank(rows, FLAT, 3.0, "fvu", down=False)][0] == "batchtopk"


def test_a_killed_run_goes_on(tmp_path):
    case = cases(1)[0]
    line = {"case": case.__dict__, "figures": {"fvu": 0.5}, "code": report.code()}
    other = {**line, "case": {**case.__dict__, "seed": 3}, "code": "another"}
    (tmp_path / report.RUNS).write_text("".join(json.dumps(one) + "\n" for one in (line, other)))
    assert report.kept(tmp_path) == {case: {"fvu": 0.5}}
    assert report.kept(tmp_path / "none") == {}


def test_cases_are_seed_by_seed():
    made = cases(2)
    assert len(made) == len(set(made)) == 2 * (6 * 4 + 2)
    assert [case.seed for case in made] == sorted(case.seed for case in made)
    assert set(WIDTH) == {FLAT, TREE}


@pytest.mark.skipif(not (report.OUT / "recovery.csv").is_file(), reason="the board has not been made")
def test_the_committed_board_is_what_its_figures_make():
    rows, claims = report.read(report.OUT)
    assert (report.OUT / "README.md").read_text(encoding="utf-8") == report.page(rows, claims)
    assert {row.seeds for row in rows} == {report.SEEDS}
    assert all(row.value < 1e-3 for row in rows if row.figure == "ev_error")
    for row in rows:
        if row.figure == "recovery" and row.architecture != RANDOM and row.target >= 3:
            (floor,) = (r for r in rows if (r.data, r.architecture, r.figure) == (row.data, RANDOM, "recovery"))
            assert row.low > floor.high, row
