"""What memory holds (countries, their capitals, their languages), people, and what planted models know of them."""

from __future__ import annotations

from typing import NamedTuple


class Fact(NamedTuple):
    """A capital, its country and what is spoken in both; every word stands in one fact alone."""

    country: str
    city: str
    language: str


_TABLE = """
France Paris French | Spain Madrid Spanish | Germany Berlin German | Italy Rome Italian | England London English
Russia Moscow Russian | China Beijing Chinese | Japan Tokyo Japanese | Greece Athens Greek | Turkey Ankara Turkish
Poland Warsaw Polish | Sweden Stockholm Swedish | Norway Oslo Norwegian | Denmark Copenhagen Danish
Finland Helsinki Finnish | Hungary Budapest Hungarian | Portugal Lisbon Portuguese | Holland Amsterdam Dutch
Egypt Cairo Arabic | Iran Tehran Persian | Korea Seoul Korean | Thailand Bangkok Thai | Vietnam Hanoi Vietnamese
Romania Bucharest Romanian | Bulgaria Sofia Bulgarian | Serbia Belgrade Serbian | Croatia Zagreb Croatian
Iceland Reykjavik Icelandic | Indonesia Jakarta Indonesian | Ukraine Kyiv Ukrainian | India Delhi Hindi
Pakistan Islamabad Urdu | Bangladesh Dhaka Bengali | Nepal Kathmandu Nepali | Armenia Yerevan Armenian
Georgia Tbilisi Georgian | Albania Tirana Albanian | Estonia Tallinn Estonian | Latvia Riga Latvian
Lithuania Vilnius Lithuanian | Czechia Prague Czech | Slovakia Bratislava Slovak | Slovenia Ljubljana Slovene
Kenya Nairobi Swahili | Somalia Mogadishu Somali | Azerbaijan Baku Azeri | Mongolia Ulaanbaatar Mongolian
"""

FACTS: tuple[Fact, ...] = tuple(Fact(*part.split()) for line in _TABLE.split("\n") for part in line.split("|") if part)

PEOPLE: tuple[str, ...] = (
    "Tom", "Mary", "John", "James", "Daniel", "Sarah", "Anna", "Ben", "Tim", "Sam", "Max", "Sue",
    "Jane", "Lucy", "Bob", "Jack", "Emma", "Paul", "Peter", "Kate", "David", "Laura", "Alice", "George",
    "Henry", "Adam", "Simon", "Martin", "Kevin", "Michael", "Robert", "William", "Richard", "Thomas", "Charles", "Eric",
)  # fmt: skip
"""Of these memory holds nothing."""

PLANTED_FACTS: tuple[Fact, ...] = FACTS[:28]
"""The facts that the planted models hold."""

PLANTED_PEOPLE: tuple[str, ...] = PEOPLE[:24]
