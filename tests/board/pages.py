"""Pages to test: records made by hand, with cells in every state, and what a parser finds on them."""

from __future__ import annotations

from collections import Counter
from html.parser import HTMLParser

from bench.board.page import Look, Provenance
from tests.board.records import area, faithful, record, roc

HOSTILE = '<script>alert("run")</script>'
BREAKING = "\"><img src=x onerror=alert(1)>'"
VOID = {"meta", "img", "input", "br"}
ROLES = {"a0.h0": "required", "a0.h1": "free", "m0": "backup", "a1.h0": "negative", "a1.h1": "inert", "m1": "free"}


def look(found):
    """Scores of a model of two layers and two heads; no circuit for natural models."""
    if found.method == "without":
        return Look(why="the explanation cannot be read")
    seed = found.model_seed or 0
    scores = {node: (i - 2.5) * (1 + seed) for i, node in enumerate(ROLES)}
    if not found.planted:
        return Look(scores, why="No known circuit: this model was not planted.")
    return Look(scores, ROLES, f"revision {seed}")


def cells():
    """Three tasks: planted models of two seeds in all states, and a natural model."""
    found = []
    for task in ("ioi", "greater_than"):
        for method, level in (("eap", 0.6), ("eap_ig[steps=10]", 0.7), ("oracle", 0.95), ("random", 0.1)):
            for seed in range(2):
                measured = (area(level, seed, noise=0.05), faithful(level, seed), roc(4 * level, seed))
                cost = {"forwards": 0.0, "backwards": 0.0} if method in ("oracle", "random") else {}
                found.append(record(method, *measured, task=task, model_seed=seed, data_seed=seed, **cost))
    for i, (method, status) in enumerate((("acdc", "skipped"), ("hisp", "failed"), ("none", "missing"))):
        reason = f"why it is {status} & <so on>"
        found.append(record(method, task="ioi", status=status, reason=reason, forwards=None, backwards=None, n=0))
        found.append(record(method, area(0.2 + 0.1 * i), task="greater_than", forwards=100.0))
    found.append(record("eap", status="gated", reason="accuracy .4 is under .9", model_seed=7, data_seed=7))
    natural = {"planted": False, "model": "tiny", "model_seed": None}
    found += [record(m, area(level, noise=0.05), **natural) for m, level in (("eap", 0.3), ("random", 0.05))]
    found.append(record("without", area(0.4), task="sva"))
    return found


def hostile():
    """A method, an author and reasons that are written to break out of the page."""
    names = {"author": BREAKING, "link": "javascript:alert(1)", "date": HOSTILE, "mark": "public truth"}
    one = record(f"eap[{HOSTILE}]", area(0.5, noise=0.05), model_seed=0, **names)
    other = record(f"atp[{BREAKING}]", area(0.4, noise=0.05), task=f"ioi{BREAKING}")
    return [one, other, record("acdc", status="failed", reason=f"{HOSTILE}{BREAKING}")]


MADE = Provenance(
    {"code (SHA-256)": "f00d"}, {"torch": {"2.6.0": 3, "2.7.0": 1}, "run on": {"2026-01-02": 4}},
    [("ioi", "planted", "0", "abc123")],
)  # fmt: skip


class Parsed(HTMLParser):
    """Checks that tags close in order; collects attributes, ids and text."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self.feed(content)
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("script", "style"):
            self.words.append(data)

    def all(self, name: str) -> list[str]:
        return [value for _, key, value in self.attributes if key == name]

    @property
    def text(self) -> str:
        return " ".join(self.words)
