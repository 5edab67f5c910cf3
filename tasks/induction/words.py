"""Triggers and words; each tokenizer keeps those that are one token in their place."""

from __future__ import annotations

TRIGGERS: tuple[str, ...] = (
    "king", "moon", "door", "horse", "storm", "clock", "tiger", "sword", "glass", "apple",
    "ship", "snow", "wolf", "crown", "piano", "queen", "lion", "sun", "desk", "eagle",
    "gold", "fire", "tower", "road", "train", "star", "mouse", "wind", "coat", "knight",
    "truck", "shark", "cave", "flag", "drum", "ocean",
)  # fmt: skip

WORDS: tuple[str, ...] = (
    "bird", "stone", "river", "chair", "cloud", "bread", "table", "paper", "fish", "hill",
    "wall", "boat", "shoe", "tree", "milk", "rope", "leaf", "bell", "card", "lamp",
    "farm", "nose", "salt", "coin", "frog", "nest", "ring", "wood", "sand", "bear",
    "cup", "map", "pen", "key", "box", "hat", "bed", "egg", "cat", "dog",
    "bag", "car", "leg", "arm", "cow", "pig", "hen", "toy", "cake", "duck",
    "ball", "book", "rain", "seed", "wheel", "shirt", "plate", "spoon", "knife", "grass",
    "beach", "flower", "garden", "kitchen", "window", "mirror", "candle", "bottle", "basket", "button",
    "butter", "cheese", "sugar", "pepper", "soup", "tea", "juice", "water", "honey", "rice",
    "monkey", "rabbit", "sheep", "goat", "snake", "bee", "ant", "spider", "turtle", "whale",
    "doctor", "teacher", "farmer", "sailor", "baker", "driver", "singer", "painter", "writer", "soldier",
    "house", "castle", "bridge", "street", "market", "school", "church", "office", "station", "library",
    "guitar", "phone", "camera", "radio", "letter", "picture", "blanket", "pillow", "towel", "carpet",
    "finger", "shoulder", "knee", "tooth", "heart", "bone", "skin", "hair", "foot", "mouth",
    "hammer", "ladder", "bucket", "shovel", "brush", "paint", "wire", "pipe", "brick", "board",
)  # fmt: skip

PLANTED_TRIGGERS: tuple[str, ...] = TRIGGERS[:15]
"""The triggers in the vocabulary of the planted models: five for each split."""

PLANTED_WORDS: tuple[str, ...] = WORDS[:49]
