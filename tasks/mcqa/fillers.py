"""Things and colors; each tokenizer keeps those that are one token in their place."""

from __future__ import annotations

THINGS: tuple[str, ...] = (
    "box", "car", "ball", "hat", "book", "cup", "door", "chair", "table", "boat",
    "bird", "flower", "dress", "shirt", "house", "bike", "bag", "toy", "kite", "truck",
    "train", "bed", "pen", "shoe", "coat", "scarf", "blanket", "balloon", "button", "candle",
    "plate", "bowl", "lamp", "wall", "fence", "tent", "sock", "ring", "rock", "fish",
)  # fmt: skip
"""Each begins with a consonant, so that "a" fits."""

COLORS: tuple[str, ...] = (
    "red", "blue", "green", "yellow", "black", "white", "brown", "pink", "purple", "orange",
    "gray", "gold", "silver", "violet", "tan", "beige", "crimson", "scarlet", "turquoise", "maroon",
    "teal", "navy",
)  # fmt: skip
