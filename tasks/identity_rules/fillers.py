"""Words for identity rules; each tokenizer keeps those that are the same one token in every slot."""

from __future__ import annotations

import string

WORDS: tuple[str, ...] = (
    "cat", "dog", "pen", "cup", "hat", "box", "bird", "fish", "tree", "ball",
    "book", "car", "bus", "sun", "moon", "star", "rain", "snow", "fire", "rock",
    "leaf", "bear", "lion", "duck", "frog", "cow", "pig", "hen", "bee", "ant",
    "king", "ship", "door", "key", "bed", "lamp", "ring", "coin", "map", "road",
    "bag", "toy", "doll", "cake", "milk", "egg", "nut", "salt", "rice", "bread",
    "hand", "foot", "head", "eye", "ear", "nose", "hair", "arm", "leg", "face",
    "farm", "park", "town", "city", "hill", "lake", "sea", "sand", "wind", "ice",
    "red", "blue", "gold", "wood", "iron", "glass", "paper", "stone", "grass", "flower",
    "train", "truck", "boat", "plane", "bike", "wheel", "house", "room", "wall", "floor",
    "chair", "table", "clock", "phone", "game", "song", "drum", "bell", "horse", "sheep",
    "mouse", "snake", "tiger", "goat", "wolf", "fox", "owl", "apple", "pear", "plum",
    "bean", "corn", "soup", "meat", "tea", "juice", "water", "shirt", "shoe", "coat",
)  # fmt: skip

LETTERS: tuple[str, ...] = tuple(string.ascii_uppercase + string.ascii_lowercase)
"""For tokenizers that do not read enough words."""

PLANTED_WORDS: tuple[str, ...] = WORDS[:40]
"""The words in the vocabulary of the planted models."""

PLANTED_TEMPLATES: tuple[str, ...] = ("caret",)
PLANTED_SHOTS = 2
