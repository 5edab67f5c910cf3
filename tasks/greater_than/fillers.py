"""Nouns, centuries and numbers; each tokenizer keeps those that it reads as tokens of their own."""

from __future__ import annotations

EVENTS: tuple[str, ...] = (
    "war", "battle", "siege", "plague", "famine", "drought", "dynasty", "empire", "rebellion", "revolt",
    "campaign", "conflict", "crisis", "trial", "journey", "voyage", "expedition", "peace", "truce", "alliance",
    "reign", "regime", "dispute", "feud", "occupation", "invasion", "strike", "search", "hunt",
    "reform", "movement", "boom", "migration", "mission", "epidemic", "marriage", "friendship",
    "partnership", "debate", "investigation", "work", "fight", "blockade", "revolution",
    "struggle",
)  # fmt: skip
"""What lasts for years; beside the templates with years."""

GOODS: tuple[str, ...] = (
    "books", "toys", "apples", "hats", "shoes", "dolls", "eggs", "cookies", "balls", "cards",
    "letters", "coins", "stones", "shells", "sticks", "boxes", "bags", "cups", "plates", "pencils",
    "flowers", "cakes", "chairs", "bikes", "balloons", "buttons", "oranges", "carrots", "blocks", "leaves",
    "rocks", "socks", "candles", "spoons", "gifts", "ribbons", "marbles", "stickers",
)  # fmt: skip
"""What is counted, piled and sold; beside the templates with number words."""

CENTURIES: tuple[str, ...] = ("11", "12", "13", "14", "15", "16", "17", "18")
YEARS: tuple[str, ...] = tuple(f"{year:02d}" for year in range(100))
NUMBERS: tuple[str, ...] = (
    "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
)  # fmt: skip


def rank(number: str) -> int:
    """The value of a two-digit year or a number word."""
    return int(number) if number.isdigit() else 1 + NUMBERS.index(number)


def spelt(value: int, like: str) -> str:
    """The year or number word of ``value``, in the manner of ``like``; empty where there is none."""
    scale, first = (YEARS, 0) if like.isdigit() else (NUMBERS, 1)
    return scale[value - first] if 0 <= value - first < len(scale) else ""
