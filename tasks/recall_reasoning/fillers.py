"""The facts to recall, and people; each tokenizer keeps the words that are one token in their place."""

from __future__ import annotations

CAPITALS: dict[str, str] = {
    "France": "Paris", "Japan": "Tokyo", "Italy": "Rome", "Germany": "Berlin", "Spain": "Madrid",
    "Russia": "Moscow", "China": "Beijing", "Egypt": "Cairo", "Greece": "Athens", "England": "London",
    "Iraq": "Baghdad", "Iran": "Tehran", "Cuba": "Havana", "Austria": "Vienna", "Ireland": "Dublin",
    "Portugal": "Lisbon", "Poland": "Warsaw", "Turkey": "Ankara", "Syria": "Damascus", "Lebanon": "Beirut",
    "Norway": "Oslo", "Sweden": "Stockholm", "Denmark": "Copenhagen", "Finland": "Helsinki", "Hungary": "Budapest",
    "Belgium": "Brussels", "Canada": "Ottawa", "Peru": "Lima", "Chile": "Santiago", "Kenya": "Nairobi",
    "Thailand": "Bangkok", "Vietnam": "Hanoi", "Indonesia": "Jakarta", "Australia": "Canberra", "Qatar": "Doha",
    "Nepal": "Kathmandu", "Venezuela": "Caracas", "Colombia": "Bogota", "Serbia": "Belgrade", "Bulgaria": "Sofia",
    "Scotland": "Edinburgh", "Wales": "Cardiff", "Croatia": "Zagreb", "Romania": "Bucharest", "Latvia": "Riga",
    "Estonia": "Tallinn", "Zimbabwe": "Harare", "Uganda": "Kampala", "Ghana": "Accra", "Nigeria": "Abuja",
    "Somalia": "Mogadishu", "Sudan": "Khartoum", "Libya": "Tripoli", "Jordan": "Amman", "Pakistan": "Islamabad",
    "Afghanistan": "Kabul", "Taiwan": "Taipei", "Uruguay": "Montevideo", "Iceland": "Reykjavik", "Senegal": "Dakar",
}  # fmt: skip
"""Each country's capital. No country that takes an article, and no capital that is named after its country."""

COLORS: dict[str, str] = {
    "bananas": "yellow", "lemon": "yellow", "corn": "yellow", "butter": "yellow", "cheese": "yellow",
    "mustard": "yellow", "lettuce": "green", "broccoli": "green", "spinach": "green", "cabbage": "green",
    "peas": "green", "basil": "green", "cucumber": "green", "lime": "green",
    "tomatoes": "red", "strawberries": "red", "cherry": "red", "roses": "red", "bricks": "red", "ketchup": "red",
    "ruby": "red", "jeans": "blue", "sapphire": "blue",
    "milk": "white", "rice": "white", "salt": "white", "sugar": "white", "flour": "white", "cotton": "white",
    "sheep": "white", "coal": "black", "ink": "black", "tires": "black", "charcoal": "black",
    "carrots": "orange", "pumpkin": "orange", "tangerine": "orange",
    "chocolate": "brown", "coffee": "brown", "cocoa": "brown", "cinnamon": "brown", "bread": "brown",
    "potatoes": "brown", "leather": "brown",
    "pig": "pink", "ham": "pink", "plum": "purple", "grapes": "purple", "eggplant": "purple", "lavender": "purple",
    "stones": "gray", "steel": "gray", "cement": "gray", "concrete": "gray",
}  # fmt: skip
"""The color that each thing has as a rule. One can buy and sell it, and say ``the`` before it."""

FACTS: dict[str, dict[str, str]] = {"capitals": CAPITALS, "colors": COLORS}
"""The facts that the weights may hold, by kind: subject to what is recalled."""

RECALLED: dict[str, str] = {subject: fact for table in FACTS.values() for subject, fact in table.items()}

PEOPLE: tuple[str, ...] = (
    "Anna", "Tom", "Mary", "John", "Sarah", "James", "Laura", "David", "Emma", "Paul",
    "Alice", "Peter", "Kate", "Mark", "Susan", "Daniel", "Lucy", "Henry", "Jane", "Adam",
    "Julia", "Simon", "Helen", "Robert", "Linda", "Michael", "Karen", "William", "Nancy", "Richard",
)  # fmt: skip

PLANTED_SUBJECTS: tuple[str, ...] = tuple(CAPITALS)[:26]
"""The countries, and with them the capitals, in the vocabulary of the planted models."""

PLANTED_PEOPLE: tuple[str, ...] = PEOPLE[:14]
PLANTED_TEMPLATES: tuple[str, ...] = ("now", "today")
"""The templates in the vocabulary of the planted models: which kind of fact comes first differs."""
