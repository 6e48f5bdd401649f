"""The bench's table and task: one million items, a Python function, a jsonb column to fill."""

import json
import os
import random

STYLES = ["Boho", "Casual", "Minimal", "Vintage", "Street Wear", "Classic"]
STYLES += ["Romantic", "Sporty", "Preppy", "Art-Deco", "Grunge", "Retro"]
OCCASIONS = ["Wedding", "Work", "Party", "Every Day", "Vacation", "Date Night", "Gym", "Formal"]
STYLE_NAMES = {"boho": "bohemian", "street wear": "streetwear", "art-deco": "art_deco"}
STYLE_NAMES |= {"retro": "vintage"}
OCCASION_NAMES = {"every day": "everyday", "date night": "date_night", "gym": "sport"}


def looked_up(names, word):
    """SQL for a word's other name, or the word itself."""
    return f"coalesce('{json.dumps(names)}'::jsonb ->> lower({word}), lower({word}))"


# The same result inside Postgres, for L0, L1 and `sql=`.
EXPRESSION = (
    f"jsonb_build_object('style', (SELECT jsonb_agg({looked_up(STYLE_NAMES, 's')} ORDER BY o) "
    "FROM unnest(style) WITH ORDINALITY x(s, o)), "
    f"'occasion', {looked_up(OCCASION_NAMES, 'occasion')})"
)

TABLE = """CREATE TABLE items(id bigint NOT NULL, name text NOT NULL, style text[] NOT NULL,
  occasion text NOT NULL, payload jsonb NOT NULL, updated_at timestamptz NOT NULL,
  normalized jsonb)"""
LITE_TABLE = """CREATE TABLE items(id INTEGER PRIMARY KEY, name TEXT, style TEXT, occasion TEXT,
  payload TEXT, updated_at TEXT, normalized TEXT)"""


def transform(style, occasion):
    """What every Python path computes: a dict."""
    told = occasion.lower()
    return {
        "style": [STYLE_NAMES.get(s, s) for s in (x.lower() for x in style)],
        "occasion": OCCASION_NAMES.get(told, told),
    }


def items(count, *, before, random_before=False):
    """`count` rows with sparse ids; `before` says whether an older value stands there.

    The older value is about 100 bytes of JSON; with `random_before` it cannot be compressed.
    """
    pick = random.Random(7)
    for number in range(1, count + 1):
        style = pick.sample(STYLES, pick.randint(1, 3))
        if pick.random() < 0.3:
            style = [s.upper() for s in style]
        occasion = pick.choice(OCCASIONS)
        payload = {
            "sku": f"SKU-{pick.getrandbits(40):x}",
            "price": pick.randint(100, 99999) / 100,
            "tags": [f"t{pick.getrandbits(20):x}" for _ in range(6)],
            "desc": f"{pick.getrandbits(400):x}",
            "stock": pick.randint(0, 99),
        }
        old = None
        if random_before:
            old = {"x": f"{pick.getrandbits(370):x}"}
        elif before:
            old = {"style": style, "occasion": occasion, "v": 1, "by": f"u{pick.randint(1, 9999)}"}
        at = f"2025-{pick.randint(1, 12):02d}-{pick.randint(1, 28):02d} 10:00:00+00"
        name = f"item {pick.getrandbits(32):x}"
        yield number * 3, name, style, occasion, json.dumps(payload), at, old


def fill_postgres(url, count, *, before=True, random_before=False):
    """Make the table in an empty database and fill it."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(TABLE)
        with connection.cursor().copy("COPY items FROM STDIN") as copy:
            for id_, name, style, occasion, payload, at, old in items(
                count, before=before, random_before=random_before
            ):
                text = None if old is None else json.dumps(old)
                copy.write_row((id_, name, style, occasion, payload, at, text))
        connection.execute("ALTER TABLE items ADD PRIMARY KEY (id)")
        connection.execute("CREATE INDEX items_updated_at ON items (updated_at)")
        connection.execute("VACUUM (FREEZE, ANALYZE) items")
        connection.execute("CREATE EXTENSION IF NOT EXISTS pg_prewarm")


def fill_sqlite(path, count):
    """The same rows in a new SQLite file; lists are JSON text."""
    import sqlite3

    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute(LITE_TABLE)
    rows = (
        (id_, name, json.dumps(style), occasion, payload, at, json.dumps(old))
        for id_, name, style, occasion, payload, at, old in items(count, before=True)
    )
    connection.executemany("INSERT INTO items VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    connection.execute("CREATE INDEX items_updated_at ON items (updated_at)")
    connection.commit()
    connection.execute("ANALYZE")
    connection.commit()
    connection.close()
    os.sync()
