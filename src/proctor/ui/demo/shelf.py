"""What the models of the books' demo answer: which books each of them names, month by month."""

from __future__ import annotations

import json
import random

from collections.abc import Iterator, Mapping
from typing import Any, Final

NAMED: Final = 20
"""Books that a model names."""
APART: Final = 4
"""Books of a month that only one of the two models knows."""
YEARS: Final = range(2019, 2022)
UNITS: Final = [(year, month) for year in YEARS for month in range(1, 13)]
ENTERED: Final = {
    (2021, 12): ("Paper Rivers", "Ines Okafor"),
    (2020, 6): ("The Salt Harbour", "Tomas Lindqvist"),
}
"""Books of the seed: they are named too, so that rows which stand there are written."""
SAYS_NO: Final = {(2019, 2): "gpt", (2019, 7): "claude", (2020, 3): "gpt claude"}
"""Months in which a model does not name any, and says so."""
CONTEMPORARY: Final = 2020
"""Since when the example's prompt is another one."""
NO: Final = "I cannot name 20 verifiable books of that month."
_FIRST: Final = (
    *("Silent", "Golden", "Broken", "Northern", "Paper", "Hidden", "Second", "Long", "unknown"),
    *("Crooked", "Winter", "Glass", "Burning", "Distant", "Borrowed", "Small", "Restless", "Late"),
    *(
        "Velvet",
        "Iron",
        "Hollow",
        "Patient",
        "Scattered",
        "Blue",
        "Quiet",
        "Lost",
        "Wild",
        "Bright",
    ),
)
_LAST: Final = (
    *("Garden", "Orchard", "Harbour", "Archive", "Mountain", "Letters", "Country", "Daughters"),
    *("Machine", "Island", "Hours", "River", "Chorus", "Bridge", "Witness", "Museum", "Weather"),
    *("Cartographer", "Kitchen", "Province", "Season", "Library", "Tide", "Inheritance", "Road"),
    *("Violin", "Embassy", "Lighthouse", "Market", "Promise", "Window", "Frontier"),
)
_GIVEN: Final = ("Amara", "Jonas", "Yuki", "Leïla", "Pavel", "Noor", "Siobhán", "Mateo", "Ada")
_FAMILY: Final = ("Bianchi", "Øster", "Tanaka", "Haddad", "Novák", "Achebe", "Byrne", "Duarte")


def knowledge(models: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Faults by which the vendor says all this: `models` by provider, the first one OpenAI's."""
    words = [f"{first} {last}" for first in _FIRST for last in _LAST]
    dice = random.Random(2024)  # noqa: S311 - the same books every time
    dice.shuffle(words)
    for place, unit in enumerate(UNITS):
        known = [
            (
                f"The {words[place * (NAMED + APART) + n]}",
                f"{dice.choice(_GIVEN)} {dice.choice(_FAMILY)}",
            )
            for n in range(NAMED + APART)
        ]
        known[APART] = ENTERED.get(unit, known[APART])
        for provider, model in models.items():
            silent = provider in SAYS_NO.get(unit, "").split()
            if silent and provider == "gpt":
                yield {"flaw": "refusal", "match": _month(unit), "model": model, "times": -1}
            elif silent:
                told = NO if unit[0] < CONTEMPORARY else json.dumps({"books": [], "refusal": NO})
                yield _says(model, _month(unit), told)  # in prose, or in its place
            else:
                yield _says(model, _month(unit), _list(provider, known))


def _list(provider: str, known: list[tuple[str, str]]) -> str:
    """The first ones by one model; by the other the last ones, in capitals as it likes them."""
    if provider == "gpt":
        books = known[:NAMED]
    else:
        books = [(f"{title.upper()}.", author) for title, author in known[-NAMED:]]
    return json.dumps(
        {"books": [{"title": t, "author": a} for t, a in books], "refusal": None},
        ensure_ascii=False,
    )


def _says(model: str, match: str, says: str) -> dict[str, Any]:
    return {"flaw": "says", "match": match, "model": model, "times": -1, "says": says}


def _month(unit: tuple[int, int]) -> str:
    return f"{unit[0]}-{unit[1]:02}"
