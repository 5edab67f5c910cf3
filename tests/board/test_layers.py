"""Figures by layer: which rows make a line, and what is drawn."""

from __future__ import annotations

import re
from types import SimpleNamespace

from bench.board.page.layers import charts, svg
from bench.board.view import is_part, part_name


def row(metric, score, method="das", site="stream2@END", status="ok"):
    return {"metric": metric, "score": score, "method": method, "site": site, "status": status}


def board(*rows):
    return SimpleNamespace(all=rows)


def test_the_chosen_site_takes_its_place_among_the_declared_ones():
    found = charts(board(
        row("interchange", 0.9), row("interchange[site=stream0@END]", 0.1), row("interchange[site=stream1@END]", 0.4),
        row("interchange[site=stream1@S2]", 0.7), row("interchange[site=stream3@END]", None, status="undefined"),
    ))  # fmt: skip
    assert [(chart.metric, chart.position) for chart in found] == [("interchange", "END")]
    assert found[0].lines == {"das": [(0.0, 0.1), (1.0, 0.4), (2.0, 0.9)]}


def test_layers_without_a_site_and_metrics_with_parameters():
    rows = [row(f"kl_to_final[over=all,layer={n}]", n / 10, site="") for n in (2, 0, 1)]
    (found,) = charts(board(*rows))
    assert found.metric == "kl_to_final[over=all]" and found.lines["das"] == [(0.0, 0.0), (1.0, 0.1), (2.0, 0.2)]


def test_heads_and_seeds_with_sites_of_their_own_make_no_line():
    sites = ("a1.h0@END", "stream1@A;stream2@A")
    assert charts(board(*(row("interchange", 1.0, site=site) for site in sites))) == []


def test_every_line_is_named_and_higher_figures_are_drawn_higher():
    rows = [row(f"interchange[site=stream{n}@END]", n / 4, method="a<b", site="") for n in range(4)]
    drawn = svg(charts(board(*rows))[0], "title")
    heights = [float(y) for _, y in re.findall(r"([\d.]+),([\d.]+)", re.search(r'points="([^"]+)"', drawn)[1])]
    assert heights == sorted(heights, reverse=True) and "a&lt;b" in drawn and "a<b" not in drawn


def test_parts_are_told_from_headlines():
    assert is_part("interchange[site=stream3@END]") and is_part("faithfulness[size=0.1]")
    assert is_part("kl_to_final[over=all,layer=3]") and not is_part("interchange[over=vocabulary]")
    assert part_name(("interchange[site=m1@END]", "none")) == "interchange site=m1@END"
    assert part_name(("faithfulness[size=0.1]", "mean")) == "size=0.1"


def test_measures_of_different_scales_have_pictures_of_their_own():
    rows = [row(f"above_control[layer={n}]", n, method=m, site="") for n in range(3) for m in ("a", "b")]
    assert [(c.metric, list(c.lines)) for c in charts(board(*rows))] == [
        ("above_control of a", ["a"]), ("above_control of b", ["b"]),
    ]  # fmt: skip
