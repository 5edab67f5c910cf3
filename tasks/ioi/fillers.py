"""Names, places and objects; each tokenizer keeps those that are one token in their place."""

from __future__ import annotations

NAMES: tuple[str, ...] = (
    "Mary", "John", "Tom", "James", "Daniel", "Sarah", "Anna", "Lily", "Ben", "Tim",
    "Sam", "Max", "Sue", "Amy", "Mia", "Jane", "Lucy", "Bob", "Daisy", "Sally",
    "Jack", "Emma", "Paul", "Mark", "Peter", "Kate", "David", "Laura", "Alice", "George",
    "Henry", "Grace", "Rose", "Adam", "Simon", "Julia", "Martin", "Linda", "Kevin", "Susan",
    "Michael", "Robert", "William", "Richard", "Thomas", "Charles", "Joseph", "Andrew", "Steven", "Edward",
    "Jason", "Ryan", "Eric", "Jacob", "Nicholas", "Jonathan", "Justin", "Scott", "Brandon", "Benjamin",
    "Frank", "Samuel", "Patrick", "Alexander", "Jennifer", "Elizabeth", "Jessica", "Karen", "Lisa", "Nancy",
    "Betty", "Helen", "Sandra", "Donna", "Carol", "Ruth", "Sharon", "Michelle", "Kimberly", "Amanda",
    "Melissa", "Rebecca", "Stephanie", "Rachel", "Maria", "Heather", "Diane", "Victoria", "Lauren", "Kelly",
    "Bill", "Fred", "Jim", "Joe", "Leo", "Ella", "Billy", "Timmy", "Jimmy", "Jenny", "Molly", "Bella", "Katie",
)  # fmt: skip

PLACES: tuple[str, ...] = (
    "store", "garden", "school", "station", "park", "house", "beach", "market", "library", "zoo",
    "farm", "forest", "hospital", "office", "restaurant", "kitchen", "river", "playground",
)  # fmt: skip

OBJECTS: tuple[str, ...] = (
    "ring", "kiss", "book", "drink", "ball", "cookie", "cake", "gift", "hat", "flower",
    "toy", "shell", "doll", "bag", "box", "cup", "pencil", "necklace", "basketball", "computer",
)  # fmt: skip

PLANTED_NAMES: tuple[str, ...] = NAMES[:40]
"""The names in the vocabulary of the planted models."""

PLANTED_PLACES: tuple[str, ...] = PLACES[:8]
PLANTED_OBJECTS: tuple[str, ...] = OBJECTS[:8]
PLANTED_TEMPLATES: tuple[str, ...] = ("went", "lunch", "found", "playing")
"""The templates in the vocabulary of the planted models: four lengths, so that positions vary."""
