"""The track from run to board: what `bench run`, `score` and `board` write, against distributions computed here."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import spearmanr

from bench.board.page.layers import charts
from bench.board.rows import COLUMNS
from bench.board.view import sections
from bench.cli.main import main
from bench.contract.opening import open_cell
from bench.objectives import logit_diff
from tasks.ioi import IOI

SIZES = ["task.sizes.train=12", "task.sizes.validation=8", "task.sizes.test=40"]
TASK = "ioi[sizes.test=40,sizes.train=12,sizes.validation=8]"
METHODS = "logit_lens,tuned_lens,head_pursuit,patchscopes,trajectory_continuity,answer_settling,random"
METRICS = "metric=kl_to_final,agreement,rank_agreement,above_control"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The board as it was written, and its folder."""
    home = tmp_path_factory.mktemp("readout")
    store = f"store={home / 'store'}"
    assert main(["run", f"method={METHODS}", "task=ioi", "seed=0", METRICS, *SIZES, store]) == 0
    assert main(["score", "metric=calibration", store]) == 0
    assert main(["board", store, f"out={home / 'board'}"]) == 0
    return pd.read_csv(home / "board" / "readout.csv"), home


@pytest.fixture(scope="module")
def direct():
    """Logits of the lens at each layer by ``transformers`` alone, the model's own, and right and wrong answers."""
    from transformers import AutoModelForCausalLM

    _, opened = open_cell(["task=ioi", "method=logit_lens", *SIZES])
    model = AutoModelForCausalLM.from_pretrained(IOI().planted()[0]).eval()
    rows = opened.examples["test"]
    layers, own = [], []
    with torch.no_grad():
        for row in rows:
            out = model(torch.tensor([row["ids"]]), output_hidden_states=True)
            streams = torch.stack([h[0, -1] for h in out.hidden_states[:-1]])  # transformers norms the last one
            layers.append(model.lm_head(model.transformer.ln_f(streams)))
            own.append(out.logits[0, -1])
    return torch.stack(layers).double(), torch.stack(own).double(), opened


def figure(board, method, metric, column="score", level="layer"):
    found = board[(board.method == method) & (board.metric == metric) & (board.level == level)]
    assert len(found) == 1, (method, metric, len(found))
    return found.iloc[0][column]


def test_the_columns_are_the_promised_ones_and_every_row_says_how_it_ended(written):
    board, _ = written
    assert tuple(board.columns[: len(COLUMNS)]) == COLUMNS
    assert set(board.track) == {"readout"} and set(board.task) == {TASK} and set(board.n) == {40}
    assert set(board.level) == {"layer", "head"}
    assert set(board.status) == {"ok", "skipped"}
    skipped = board[board.status == "skipped"]
    assert skipped.score.isna().all() and skipped.reason.str.len().min() > 10
    ok = board[board.status == "ok"]
    assert not ok[["method", "level", "metric"]].duplicated().any()
    assert ok.ceiling.isna().all() and ok.normalized.isna().all()
    assert set(skipped.loc[skipped.metric == "kl_to_final", "method"]) == {"trajectory_continuity", "answer_settling"}


def test_kl_and_agreement_of_the_logit_lens_are_those_of_transformers(written, direct):
    board, _ = written
    layers, own, _ = direct
    final = own.log_softmax(dim=-1)
    read = layers.log_softmax(dim=-1)
    kl = (final.exp()[:, None] * (final[:, None] - read)).sum(dim=-1).mean(dim=0)
    agrees = (read.argmax(dim=-1) == final.argmax(dim=-1)[:, None]).double().mean(dim=0)
    for layer in range(layers.shape[1]):
        assert figure(board, "logit_lens", f"kl_to_final[layer={layer}]") == pytest.approx(float(kl[layer]), abs=1e-4)
        assert figure(board, "logit_lens", f"agreement[layer={layer}]") == pytest.approx(float(agrees[layer]))
    assert figure(board, "logit_lens", "kl_to_final") == pytest.approx(float(kl.mean()), abs=1e-4)
    last = layers.shape[1]
    for method in ("logit_lens", "tuned_lens", "random", "patchscopes"):
        assert figure(board, method, f"kl_to_final[layer={last}]") == pytest.approx(0, abs=1e-9)
        assert figure(board, method, f"agreement[layer={last}]") == 1
    assert figure(board, "tuned_lens", "kl_to_final") < figure(board, "logit_lens", "kl_to_final")


def test_p_is_the_share_of_deals_of_the_readouts_that_are_as_near(written, direct):
    """Against deals drawn here; and the embedding of the last token, which is `to` in every prompt, knows of none."""
    board, _ = written
    layers, own, _ = direct
    final, rng = own.log_softmax(dim=-1), np.random.default_rng(5)
    for layer in (0, 3, 4):
        read = layers[:, layer].log_softmax(dim=-1)
        crossed = ((final.exp() * final).sum(dim=-1)[:, None] - final.exp() @ read.T).numpy()
        value = np.diag(crossed).mean()
        drawn = np.array([crossed[np.arange(40), rng.permutation(40)].mean() for _ in range(4000)])
        expected = (1 + (drawn <= value + 1e-9).sum()) / 4001
        assert figure(board, "logit_lens", f"kl_to_final[layer={layer}]", "p") == pytest.approx(expected, abs=0.06)
    assert figure(board, "logit_lens", "kl_to_final[layer=5]", "p") == pytest.approx(0.001)


def test_rank_agreement_is_that_of_stored_scores_with_effects_by_the_engines_patches(written, direct):
    board, home = written
    _, _, opened = direct
    meta = [json.loads(path.read_text()) for path in sorted((home / "store").glob("explanations/*/explanation.json"))]
    folders = sorted((home / "store").glob("explanations/*"))
    (folder,) = [f for f, m in zip(folders, meta, strict=True) if m["method"] == "logit_lens"]
    from bench.explanation import load

    found = load(folder)
    assert found.components == tuple(f"layer{i}" for i in range(6)) and found.track == "readout"
    context = opened.context("none")
    from bench.readout.effects import effects

    total, direct_effects = (x.mean(axis=0) for x in effects(context, found.components, "resample"))
    expected = [spearmanr(found.scores, x).statistic for x in (total, direct_effects)]
    for name, value in zip(("rank_agreement", "rank_agreement[effect=direct]"), expected, strict=True):
        assert figure(board, "logit_lens", name) == pytest.approx(value, abs=1e-6)
        assert figure(board, "logit_lens", name, "floor") == 0
    # the scores themselves: what each block adds to the lens's logit difference on train
    batches = list(opened.batches("train"))
    final = torch.cat([logit_diff(opened.engine.logits(b.clean), b) for b in batches]).mean()
    embedded = float(final) - float(found.scores.sum())
    start = torch.cat([b.clean.ids[:, -1] for b in batches])
    assert len(set(start.tolist())) == 1 and np.isfinite(embedded)


def test_measures_of_shuffled_weights_stand_beside_those_of_the_model(written):
    board, _ = written
    own, shuffled = (figure(board, "answer_settling", f"above_control{x}") for x in ("", "[weights=shuffled]"))
    assert own > 0.08 and abs(shuffled) < 0.05
    assert figure(board, "answer_settling", "above_control[weights=shuffled]", "direction") == 0
    assert np.isnan(figure(board, "answer_settling", "above_control[weights=shuffled]", "floor"))
    low, high = (figure(board, "answer_settling", "above_control", x) for x in ("low", "high"))
    assert low < own < high


def test_floors_are_the_random_readouts_own_figures(written):
    board, _ = written
    for level, method in (("layer", "logit_lens"), ("head", "head_pursuit")):
        for metric in ("kl_to_final", "agreement", "calibration"):
            floor = figure(board, method, metric, "floor", level)
            assert floor == figure(board, "random", metric, level=level)


def test_the_page_draws_both_lenses_in_one_chart_per_metric(written):
    board, home = written
    (layer,) = [s for s in sections(board.assign(note="", mark="")) if s.level == "layer"]
    drawn = {chart.metric: chart for chart in charts(layer)}
    assert set(drawn) >= {"kl_to_final", "agreement", "above_control of answer_settling"}
    assert {"logit_lens", "tuned_lens", "random", "patchscopes"} <= set(drawn["kl_to_final"].lines)
    for method, line in drawn["kl_to_final"].lines.items():
        assert [x for x, _ in line] == list(range(7)) and line[-1][1] == pytest.approx(0, abs=1e-9), method
    page = (home / "board" / "index.html").read_text()
    assert re.search(r"kl_to_final", page) and "stream entering layer" in page


def test_the_other_verbs_take_such_a_store(written, capsys):
    _, home = written
    store = f"store={home / 'store'}"
    assert main(["compare", "tuned_lens", "logit_lens", store]) == 0
    said = capsys.readouterr().out
    assert "kl_to_final" in said and "tuned_lens" in said


def test_frozen_readouts_are_scored_alike(written, capsys):
    """A trained lens keeps its tensors, without which it would be another lens."""
    _, home = written
    boards = f"boards={home / 'board'}"
    assert main(["regress", "--freeze", boards, f"store={home / 'store'}"]) == 0
    assert main(["regress", boards, "method=tuned_lens", "metric=kl_to_final"]) == 0, capsys.readouterr().out
