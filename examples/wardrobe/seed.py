"""Make the wardrobe: 3,421 items as people typed them, the same every time.

    python seed.py                                  # wardrobe.db, a SQLite file
    python seed.py postgresql://user@host/database  # the same rows as jsonb

It drops the table first: never point it at a wardrobe that somebody wears.
"""

import json
import random
import sqlite3
import sys

from contextlib import closing

from backfills import FIELDS

ITEMS = 3_421
ABSENT = object()  # the field is not there at all: SQL NULL, which is not JSON's null

WORDS = {
    "style": ["Casual", "BOHO", "minimalist", "Street Wear", "Décontracté", "Ретро", "カジュアル"],
    "occasion": ["Work", "date night", "WEDDING", "Every Day", "Soirée", "Straßenfest"],
    "mood": ["Cozy", "bold", "ROMANTIC", "Playful", "Gemütlich", "İçten"],
    "season": ["Summer", "winter", "AUTUMN", "Spring", "Año entero"],
}
KINDS = ["blazer", "dress", "jeans", "coat", "skirt", "shirt", "boots", "scarf"]
COLOURS = ["black", "ivory", "navy", "olive", "crimson", "sand"]
COLUMNS = ("id", "name", "price", *FIELDS, "updated_at", "normalized")


def typed(dice, field):
    """One field as it is found in the wild."""
    words = dice.choices(WORDS[field], k=dice.choice((1, 2, 2, 3)))
    first = words[0]
    shapes = {
        "as it should be": (58, words),
        "not there": (5, ABSENT),
        "JSON's null": (3, None),
        "a string where a list belongs": (8, first),
        "an empty list": (3, []),
        "nulls and blanks": (5, [*words, None, "", "   "]),
        "numbers": (5, [first, dice.choice((2024, 90, 1.5))]),
        "duplicates": (13, [f" {first}", first.upper(), first.lower(), f"{first}\u00a0"]),
    }
    (_, value) = dice.choices(list(shapes.values()), weights=[w for w, _ in shapes.values()])[0]
    return value


def item(dice, number):
    """One row, as Python values in the order of COLUMNS."""
    fields = {field: typed(dice, field) for field in FIELDS}
    if number % 163 == 0:
        fields = dict.fromkeys(FIELDS, ABSENT)  # nothing to normalise: it will be skipped
    elif number % 389 == 0:
        fields["style"] = {"main": "Casual", "second": "Boho"}  # somebody must look: refused
    done = ABSENT
    if number % 83 == 0:  # tried by hand before: it has the field, and keeps what it has
        done = {f: ["tried"] for f in FIELDS} | {
            "normalized_at": "2026-01-02T03:04:05+00:00",
            "normalized_version": "0.9",
        }
    name = f"{dice.choice(COLOURS)} {dice.choice(KINDS)}"
    day = f"2026-{dice.randint(1, 9):02}-{dice.randint(1, 28):02}T12:00:00+00:00"
    price = dice.randint(900, 29_900) / 100
    return (number, name, price, *fields.values(), day, done)


def items():
    """Every row; ids have gaps, as they have after years of deletes."""
    dice = random.Random(3421)
    number = 0
    for _ in range(ITEMS):
        number += dice.choice((1, 1, 1, 2, 7))
        yield item(dice, number)


def as_text(value):
    """A value for a SQLite column: a bare word as it is, all else as JSON."""
    if value is ABSENT:
        return None
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def fill_sqlite(file):
    """The table in a SQLite file, JSON as text."""
    json_columns = ", ".join(f"{field} TEXT" for field in FIELDS)
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("PRAGMA journal_mode = WAL")  # readers go on while a run writes
        database.execute("DROP TABLE IF EXISTS wardrobe")
        database.execute(
            "CREATE TABLE wardrobe (id INTEGER PRIMARY KEY, name TEXT NOT NULL, price REAL,"
            f" {json_columns}, updated_at TEXT NOT NULL, normalized TEXT)"
        )
        database.executemany(
            f"INSERT INTO wardrobe VALUES ({', '.join('?' * len(COLUMNS))})",
            [(*row[:3], *map(as_text, row[3:])) for row in items()],
        )


def fill_postgres(url):
    """The same rows in Postgres, JSON as jsonb."""
    import psycopg

    from psycopg.types.json import Jsonb

    json_columns = ", ".join(f"{field} jsonb" for field in FIELDS)
    with psycopg.connect(url) as database, database.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS wardrobe")
        cursor.execute(
            "CREATE TABLE wardrobe (id bigint PRIMARY KEY, name text NOT NULL,"
            f" price numeric(10,2), {json_columns}, updated_at timestamptz NOT NULL,"
            " normalized jsonb)"
        )
        with cursor.copy(f"COPY wardrobe ({', '.join(COLUMNS)}) FROM STDIN") as copy:
            for row in items():
                held = [None if v is ABSENT else Jsonb(v) for v in (*row[3:7], row[8])]
                copy.write_row((*row[:3], *held[:4], row[7], held[4]))


def main(url="sqlite:///wardrobe.db"):
    """Make the table anew, in whichever kind of database the address names."""
    if url.startswith("sqlite:///"):
        fill_sqlite(url.removeprefix("sqlite:///"))
    else:
        fill_postgres(url)
    print(f"wardrobe: {ITEMS:,} items")


if __name__ == "__main__":
    main(*sys.argv[1:])
