"""Objects and the labels of boxes; each tokenizer keeps those that are one token in their place."""

from __future__ import annotations

OBJECTS: tuple[str, ...] = (
    "apple", "ball", "book", "cup", "hat", "key", "doll", "ring", "bell", "map",
    "toy", "shell", "flower", "leaf", "stone", "egg", "cake", "cookie", "coin", "card",
    "letter", "pencil", "brush", "spoon", "fork", "plate", "bowl", "bottle", "jar", "clock",
    "camera", "phone", "shirt", "dress", "sock", "shoe", "scarf", "rope", "candle", "lamp",
    "kite", "drum", "pen", "watch", "radio", "computer", "guitar", "coat", "boot", "button",
    "ribbon", "string", "wire", "nail", "hammer", "wheel", "brick", "block", "puzzle", "balloon",
    "mirror", "picture", "magazine", "newspaper", "ticket", "bag", "gift", "crown", "necklace", "sword",
    "feather", "seed", "nut", "carrot", "potato", "tomato", "banana", "lemon", "pear", "bread",
    "cheese", "medicine", "magnet", "pipe", "disk", "document", "note", "game", "pot", "pan",
    "stick", "rock", "crayon", "candy", "bucket", "basket", "blanket", "towel", "painting", "plane",
)  # fmt: skip

LABELS: tuple[str, ...] = tuple("ABCDEFGHJKLMNOPQRSTUVWXYZ")
"""Without I, which would read as a word of its own ("I has")."""

PLANTED_OBJECTS: tuple[str, ...] = OBJECTS[:42]
"""The objects in the vocabulary of the planted models: 14 for each split, so that seven boxes can be filled anew."""

PLANTED_LABELS: tuple[str, ...] = LABELS
PLANTED_TEMPLATE = "short"
"""The template in the vocabulary of the planted models."""
