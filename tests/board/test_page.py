"""The page's structure: whole, offline, safe, and the same to the byte."""

import base64
import hashlib
import re
from dataclasses import replace

import numpy as np
import pytest

from bench.board import rows, write
from bench.board.page import page
from tests.board.pages import BREAKING, HOSTILE, MADE, Parsed, cells, hostile, look
from tests.board.records import area, load, record


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    return made(tmp_path_factory.mktemp("page"), cells())


def made(folder, records, **more):
    write(records, folder, load, looks=look, made=MADE, **more)
    return (folder / "index.html").read_text(encoding="utf-8")


def test_the_page_fetches_nothing_and_every_link_inside_it_arrives(content):
    parsed = Parsed(content)
    ids = parsed.all("id")
    assert len(set(ids)) == len(ids)
    links = parsed.all("href")
    assert links and all(link.startswith("#") and link[1:] in ids for link in links)
    assert not parsed.all("src") and not {"link", "img", "iframe", "object", "form"} & set(parsed.tags)
    assert "url(" not in content and "@import" not in content and "http://" not in content.replace("http-equiv", "")
    assert len(content) < 400_000


def test_scripts_are_bound_to_the_page_by_their_hash_and_no_attribute_runs_any(content):
    parsed = Parsed(content)
    assert parsed.tags["script"] == 1 and parsed.tags["style"] == 1
    assert not [name for _, name, _ in parsed.attributes if name.startswith("on") or name == "style"]
    policy = next(value for tag, name, value in parsed.attributes if tag == "meta" and "default-src" in value)
    for tag in ("script", "style"):
        inside = re.search(f"<{tag}>(.*?)</{tag}>", content, re.S)[1]
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'") and "unsafe" not in policy


def test_what_others_hand_in_stays_text(tmp_path):
    parsed = Parsed(made(tmp_path, hostile()))
    assert parsed.tags["script"] == 1 and not parsed.tags["img"]
    assert not [name for _, name, _ in parsed.attributes if name.startswith("on")]
    assert "javascript:" not in " ".join(parsed.all("href"))
    assert HOSTILE in parsed.text and BREAKING in parsed.text
    assert f"eap[{HOSTILE}]" in parsed.all("data-method")


def test_a_web_link_of_a_submission_is_a_link_that_passes_nothing_on(tmp_path):
    handed = {"author": "Ada", "link": "https://example.org/a?b=1&c=2", "date": "2026-01-02", "mark": "public truth"}
    parsed = Parsed(made(tmp_path, [record("eap", area(0.5), **handed)]))
    assert "https://example.org/a?b=1&c=2" in parsed.all("href") and "nofollow noopener" in parsed.all("rel")


def test_two_runs_give_the_same_page_whatever_the_order_of_the_records(tmp_path, content):
    assert made(tmp_path / "a", cells()[::-1]) == content
    slower = [replace(r, seconds=99.0) for r in cells()]
    assert made(tmp_path / "b", slower) == content


def test_without_scripts_everything_is_there_and_nothing_is_hidden(content):
    parsed = Parsed(content)
    assert "hidden" not in {name for _, name, _ in parsed.attributes} and not {"input", "button", "select"} & set(
        parsed.tags
    )
    for row in rows(cells(), load).itertuples():
        assert row.method in parsed.text and (not row.reason or row.reason in parsed.text)
        assert not np.isfinite(row.score) or f"{row.score:.3f}" in parsed.text
    for part in ("Over tasks", "Boards by task", "Sensitivity", "Provenance", "Paired differences", "open ranks"):
        assert part in parsed.text


def test_planted_and_natural_models_share_no_heat_map(content):
    maps = re.findall(r'<section class="kind" data-model="([^"]+)" data-level="edge">(.*?)</section>', content, re.S)
    assert [name for name, _ in maps] == ["planted", "tiny"] or [name for name, _ in maps] == ["planted", "natural"]
    planted, natural = (body for _, body in maps)
    assert "greater_than" in planted and "greater_than" not in natural
    assert "no known circuit" not in planted


def test_a_cell_without_a_figure_says_why_in_the_heat_map(content):
    heat = re.search(r'<table class="data heat">.*?</table>', content, re.S)[0]
    lines = {m[1]: m[0] for m in re.finditer(r'<tr data-method="([^"]+)">.*?</tr>', heat, re.S)}
    assert [re.search(rf">({s})<", lines[m])[1] for m, s in (("acdc", "skipped"), ("hisp", "failed"))]
    assert ">missing<" in lines["none"] and "but gated for 1 seed" in lines["eap"]
    assert ">not run<" in lines["eap"]  # on sva, where nobody asked for it
    assert 'title="why it is failed &amp; &lt;so on&gt;"' in lines["hisp"]


def test_figures_carry_the_value_they_sort_by_and_missing_ones_none(content):
    found = dict(re.findall(r'<td data-value="([^"]+)">(0\.\d{3})<small>\[', content))
    assert found and all(f"{float(value):.3f}" == shown for value, shown in found.items())
    assert "<td>–</td>" in content and 'data-value="nan"' not in content


def test_pictures_show_the_circuit_or_say_plainly_that_none_is_known(content):
    parsed = Parsed(content)
    assert "No known circuit: this model was not planted." in parsed.text
    assert "No picture: the explanation cannot be read." in parsed.text
    assert "known circuit: required a0.h0; negative a1.h0; backup m0" in parsed.all("aria-label")
    # |scores| are 2.5 1.5 .5 .5 1.5 2.5: of the three strongest, one is a0.h0, one is m1, and the third is one of two
    # tied (a0.h1, a1.h1) without a role that matters
    assert "Of the 3 strongest, 1 are among the 3 R, N and B." in parsed.text


def test_every_drawing_says_what_it_shows(content):
    drawings = re.findall(r"<svg ([^>]*)>", content)
    assert drawings and all(
        'aria-hidden="true"' in d or re.search('role="img" aria-label="[^"]+"', d) for d in drawings
    )
    assert content.count("<caption>") == content.count("<table") and 'scope="col"' in content


def test_no_style_of_a_shape_asks_what_it_stands_in(content):
    # what <use> shows stands outside of its svg, so such a rule would leave it black
    style = re.search("<style>(.*?)</style>", content, re.S)[1]
    assert "<use " in content and not re.search(r"svg\s*>?\s+(rect|text|path|polyline|[.])", style)


def test_provenance_says_what_made_the_cells_and_that_they_differ(content):
    words = Parsed(content).text
    assert all(part in words for part in ("f00d", "2.6.0", "3 cells", "2026-01-02", "abc123"))
    assert "Cells differ in torch" in words


def test_the_page_says_at_which_budget_it_was_made(tmp_path):
    assert "budget of 50 passes" in Parsed(made(tmp_path, cells(), budget=50)).text


def test_a_board_without_any_figure_and_one_without_cells_are_pages_too(tmp_path):
    only = [record("acdc", status="failed", reason="broken")]
    assert "failed" in Parsed(made(tmp_path / "a", only)).text
    frame = rows(cells(), load)
    parsed = Parsed(page(frame))
    ids = parsed.all("id")
    assert all(link[1:] in ids for link in parsed.all("href"))
