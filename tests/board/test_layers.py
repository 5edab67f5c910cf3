"""Figures by layer: which rows make a line, and what is drawn."""

from __future__ import annotations

import re
from types import SimpleNamespace

from bench.board.page.layers import LINE, apart, charts, svg
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


def test_names_stand_apart_and_inside_of_the_picture():
    assert apart([10.0, 200.0], 0.0, 300.0) == [10.0, 200.0]
    assert apart([290.0] * 3, 0.0, 300.0) == [300.0 - 2 * LINE, 300.0 - LINE, 300.0]
    assert apart([5.0, 5.0, 280.0, 299.0], 10.0, 300.0) == [10.0, 10.0 + LINE, 280.0, 299.0]


def test_a_method_has_one_colour_in_all_pictures_whatever_its_rank():
    rows = [row(f"{metric}[site=stream{n}@END]", score, method=method)
            for metric, order in (("interchange", 1), ("probe_accuracy", -1)) for n in range(3)
            for method, score in (("das", 0.5 + order * 0.4), ("pca", 0.5 - order * 0.4))]  # fmt: skip
    colours = [re.findall(r'style="fill:(#\w+)">(\w+)<', svg(chart, "title")) for chart in charts(board(*rows))]
    assert len(colours) == 2 and sorted(colours[0]) == sorted(colours[1]) and colours[0] != colours[1]
    assert len({colour for colour, _ in colours[0]}) == 2


def test_a_picture_of_one_position_does_not_name_it_again():
    rows = [row("interchange", 0.5, f"{name}[position={at},steps=60]", f"stream{n}@{at}")
            for name in ("das", "dbm") for at in ("END", "S2") for n in (0,)]  # fmt: skip
    rows += [row(f"interchange[site=stream{n}@END]", 0.5, "das[position=END,steps=60]") for n in (1, 2)]
    rows += [row(f"interchange[site=stream{n}@END]", 0.4, "pca[position=END]") for n in range(3)]
    (found,) = charts(board(*rows))
    assert sorted(found.lines) == ["das[steps=60]", "pca"]
    (both,) = charts(board(*rows, *(row(f"interchange[site=stream{n}@END]", 0.4, "pca") for n in range(3))))
    assert sorted(both.lines) == ["das[position=END,steps=60]", "pca", "pca[position=END]"]


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
