"""Names by gender, and places; each tokenizer keeps those that are one token in their place.

Names that are given to girls and boys alike (Sam, Alex, Charlie, Kim, Kelly, Jordan, Robin, ...) are left out, and so
are names that read as another word where they stand (Will, Hope, Art, Joy).
"""

from __future__ import annotations

FEMALE: tuple[str, ...] = (
    "Mary", "Sarah", "Anna", "Lily", "Sue", "Amy", "Mia", "Jane", "Lucy", "Daisy",
    "Sally", "Emma", "Kate", "Laura", "Alice", "Grace", "Rose", "Julia", "Linda", "Susan",
    "Jennifer", "Elizabeth", "Jessica", "Karen", "Lisa", "Nancy", "Betty", "Helen", "Sandra", "Donna",
    "Carol", "Ruth", "Sharon", "Michelle", "Kimberly", "Amanda", "Melissa", "Rebecca", "Stephanie", "Rachel",
    "Maria", "Heather", "Diane", "Victoria", "Ella", "Jenny", "Molly", "Bella", "Katie", "Sophie",
    "Emily", "Hannah", "Olivia", "Sophia", "Chloe", "Claire", "Catherine", "Margaret", "Barbara", "Patricia",
    "Dorothy", "Anne", "Nora", "Ellen", "Martha", "Marie", "Christine", "Julie", "Cindy", "Wendy",
    "Natalie", "Zoe", "Jill", "Beth", "Annie", "Abigail", "Angela", "Deborah",
)  # fmt: skip

MALE: tuple[str, ...] = (
    "John", "Tom", "James", "Daniel", "Ben", "Tim", "Bob", "Jack", "Paul", "Mark",
    "Peter", "David", "George", "Henry", "Adam", "Simon", "Martin", "Kevin", "Michael", "Robert",
    "William", "Richard", "Thomas", "Charles", "Joseph", "Andrew", "Steven", "Edward", "Jason", "Ryan",
    "Eric", "Jacob", "Nicholas", "Jonathan", "Justin", "Scott", "Brandon", "Benjamin", "Frank", "Samuel",
    "Patrick", "Alexander", "Bill", "Fred", "Jim", "Joe", "Leo", "Billy", "Timmy", "Jimmy",
    "Matthew", "Anthony", "Christopher", "Brian", "Gary", "Larry", "Jeffrey", "Dennis", "Jerry", "Roger",
    "Keith", "Carl", "Arthur", "Harry", "Oliver", "Luke", "Noah", "Nathan", "Philip", "Walter",
    "Albert", "Bruce", "Douglas", "Stephen", "Kenneth", "Ronald", "Donald", "Timothy",
)  # fmt: skip

PLACES: tuple[str, ...] = (
    "park", "beach", "zoo", "farm", "school", "library", "store", "market", "playground", "lake",
    "river", "station", "hospital", "church", "museum", "castle", "pool", "circus", "office", "restaurant",
)  # fmt: skip
