"""Nouns as ``singular/plural``; each tokenizer keeps those whose two forms are one token in their places.

Subjects and the two kinds of second nouns have no noun in common.
"""

from __future__ import annotations


def _regular(words: str) -> tuple[str, ...]:
    return tuple(f"{word}/{word}s" for word in words.split())


NOUNS: tuple[str, ...] = (
    *_regular("dog cat bird frog duck rabbit horse cow pig goat monkey lion tiger bear bug bee ant snake turtle"),
    *_regular("key toy ball book doll hat shoe cookie cake apple egg cup plate spoon game picture song letter"),
    *_regular("truck boat train plane bike kite balloon button candle coin clock flower rock stone shell star"),
    *_regular("spider pencil pen stick seed cloud plant ring sock bell gift robot puppet"),
    "puppy/puppies", "leaf/leaves", "mouse/mice", "wolf/wolves",
)  # fmt: skip
"""Subjects."""

THINGS: tuple[str, ...] = (
    *_regular("cabinet chair table house door bed car window wall tree bag basket tent lamp pond building field"),
    *_regular("desk room tower bridge garden fence gate rug"),
    "box/boxes", "bench/benches", "bush/bushes",
)  # fmt: skip
"""Second nouns of prepositional phrases."""

PEOPLE: tuple[str, ...] = (
    *_regular("boy girl teacher friend doctor farmer king queen brother sister neighbor student kid player"),
    *_regular("parent driver worker artist"),
    "child/children", "man/men", "woman/women", "baby/babies",
)  # fmt: skip
"""Second nouns of relative clauses."""
