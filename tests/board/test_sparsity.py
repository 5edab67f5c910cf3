"""Curves over L0: which rows make a line, and what is drawn."""

from __future__ import annotations

import re
from dataclasses import replace
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest

from bench.board.page.sparsity import Line, picture, sparsity
from bench.board.rows import rows
from bench.board.write import write
from bench.metric import Measurement
from tests.board.records import record


def row(metric, score, l0, name="sae_topk", site="stream2", control="", status="ok"):
    return {"metric": f"{metric}[text=a.json]", "score": score, "method": f"{name}[l0={l0},site={site}]",
            "architecture": name, "site": site, "l0": str(l0), "control": control, "status": status}  # fmt: skip


def board(*found):
    return SimpleNamespace(all=found)


def test_points_lie_at_the_measured_l0_in_its_order():
    found = sparsity(board(
        row("explained_variance", 0.9, 8), row("explained_variance", 0.5, 2), row("explained_variance", 0.7, 4),
        row("l0", 8.5, 8), row("l0", 1.9, 2), row("fvu", 0.1, 8), row("explained_variance", None, 16, status="failed"),
    ))  # fmt: skip
    assert found == [Line("explained_variance", "stream2", "sae_topk", False, ((1.9, 0.5), (4.0, 0.7), (8.5, 0.9)))]


def test_sites_architectures_and_controls_are_lines_of_their_own_and_one_point_is_none():
    found = sparsity(board(
        *(row("ce_loss_score", l0 / 10, l0, name, site, control) for l0 in (2, 4)
          for name, control in (("sae_topk", ""), ("dictionary_pca", "yes")) for site in ("stream2", "stream6")),
        row("ce_loss_score", 0.5, 8, "sae_relu"),
    ))  # fmt: skip
    assert [(line.name, line.site, line.control) for line in found] == [
        ("sae_topk", "stream2", False), ("sae_topk", "stream6", False),
        ("dictionary_pca", "stream2", True), ("dictionary_pca", "stream6", True),
    ]  # fmt: skip


def test_the_randomised_model_is_a_control_at_its_own_l0():
    def part(suffix, score, l0):
        inside = f"text=a.json{',' if suffix else ''}{suffix}"
        return {**row("", score, l0), "metric": f"random_model_variance[{inside}]"}

    found = sparsity(board(*(part(*values) for values in (
        ("", 0.4, 2), ("part=control", 0.1, 2), ("part=control_l0", 2.5, 2),
        ("", 0.3, 4), ("part=control", 0.2, 4), ("part=control_l0", 4.5, 4),
    )), row("l0", 2.0, 2)))  # fmt: skip
    name = "sae_topk, random weights"
    assert found == [Line("explained_variance", "stream2", name, True, ((2.5, 0.1), (4.5, 0.2)))]


@pytest.fixture
def drawn():
    lines = [Line(figure, site, name, control, ((2.0, low), (4.0, low + 0.1), (32.0, low + 0.4)))
             for figure in ("explained_variance", "ce_loss_score") for site in ("stream2", "stream6")
             for name, control, low in (("sae<topk", False, 0.5), ("dictionary_pca", True, 0.1))]  # fmt: skip
    return ElementTree.fromstring(picture(lines, "a title"))


def tagged(drawing, name):
    return drawing.findall(f".//{{http://www.w3.org/2000/svg}}{name}")


def test_a_panel_for_each_figure_and_site_with_controls_dashed(drawn):
    texts = [one.text for one in tagged(drawn, "text")]
    assert {"explained variance, stream2", "CE-loss score, stream6"} <= set(texts)
    curves = {one.find("{*}title").text: one.get("stroke-dasharray") for one in tagged(drawn, "polyline")}
    assert len(tagged(drawn, "polyline")) == 8 and curves["sae<topk"] == "" and curves["dictionary_pca"] != ""
    assert texts.count("sae<topk") == 1 and texts.index("sae<topk") < texts.index("dictionary_pca")


def test_higher_figures_are_drawn_higher_and_doublings_of_l0_are_equally_far(drawn):
    (xs, ys) = zip(
        *(map(float, at.split(",")) for at in tagged(drawn, "polyline")[0].get("points").split()), strict=True
    )
    assert list(ys) == sorted(ys, reverse=True)
    assert (xs[2] - xs[1]) == pytest.approx(3 * (xs[1] - xs[0]), abs=0.5)
    width = float(drawn.get("width"))
    assert all(0 <= float(one.get("x")) <= width for one in tagged(drawn, "text"))


def test_the_board_has_columns_to_pivot_on_and_writes_the_picture(tmp_path):
    def cell(name, l0, score, control):
        squares = np.full(40, 1 - score)
        figures = Measurement("explained_variance", "1", "none", "ok", "", {
            "tokens.counted": np.ones(40), "squares": squares, "spread": np.ones(40)
        }, tuple(map(str, range(40))))  # fmt: skip
        return replace(record(method=f"{name}[l0={l0},site=stream2,steps=9,text=a.json]"), track="dictionary",
                       level="dictionary", site="stream2", l0=float(l0), control=control, planted=False,
                       measurements=(figures,), score_keys=("s",), key=f"{name}{l0}")  # fmt: skip

    records = [cell(name, l0, l0 / 10, control) for l0 in (2, 8)
               for name, control in (("sae_topk", False), ("dictionary_pca", True))]  # fmt: skip
    frame = rows(records)
    assert list(frame.columns[-6:]).count("site") == 1
    told = {tuple(values) for values in frame[["architecture", "site", "l0", "control"]].to_numpy()}
    assert told == {(f"{name}[steps=9]", "stream2", l0, control) for l0 in ("2", "8")
                    for name, control in (("sae_topk", ""), ("dictionary_pca", "yes"))}  # fmt: skip
    write(records, tmp_path)
    (file,) = (tmp_path / "sparsity").glob("*.svg")
    assert len(re.findall("<polyline", file.read_text())) == 2
    assert "site,architecture,l0,control" in (tmp_path / "dictionary.csv").read_text().splitlines()[0]
