"""The project that every life runs: its data, its backfills and its settings, on either store.

Its rows end in every bucket: written, unchanged, skipped, refused, failed by the function and
failed by the server. Triggers note every write, so that none can happen twice unseen.
"""

import textwrap

ROWS = 16
CHUNK_ROWS = 6
STEP = 3  # sparse keys

SETTINGS = """
backfills = ["backfills"]
ledger = "sqlite:///.proctor/{ledger}"

[env.local]
store = "${{CRASH_STORE}}"

[run]
chunk_rows = {chunk_rows}
workers = {workers}
lease_s = {lease_s}

[throttle]
duty = 1.0
"""

BACKFILLS = '''
"""Backfills that a test can hold or slow down at a row of its choice."""

import os
import pathlib
import time

from proctor import ErrorBudget, Refuse, Skip, backfill, table

BEARS_ALL = ErrorBudget(share=1.0)


def told(key):
    """Wait, or take our time, where a test said so."""
    if str(key) == os.environ.get("CRASH_HOLD_AT"):
        del os.environ["CRASH_HOLD_AT"]
        place = pathlib.Path(os.environ["CRASH_HOLD"])
        place.with_suffix(".held").touch()
        while not place.with_suffix(".go").exists():
            time.sleep(0.01)
    if "CRASH_SLOW_S" in os.environ:
        time.sleep(float(os.environ["CRASH_SLOW_S"]))


@backfill(
    table("wardrobe", key="id"),
    fills=("normalized", "warmth"),
    stamp="normalized_version",
    version="2.0",
    budget=BEARS_ALL,
)
def normalize(item, ctx):
    """Every kind of answer."""
    told(item["id"])
    number = item["id"] // 3
    if number % 10 == 4:
        return Skip("no style")
    if number % 10 == 7:
        return Refuse("not for us")
    if number % 20 == 9:
        raise ValueError("a bug for this row only")
    if number == 1:
        return {"normalized": None, "warmth": 1.0}
    warmth = 99.0 if number == 12 else ctx.random.random()
    return {"normalized": item["style"].strip().lower(), "warmth": warmth}


@backfill(
    table("wardrobe", key="id", columns=("id", "style", "mood")),
    fills="about",
    into=table("about", key="item_id"),
    batch=5,
    budget=BEARS_ALL,
)
def describe(items):
    """Rows of another table, most of which do not exist yet."""
    for item in items:
        told(item["id"])
    return [
        Skip("nothing to say") if i["mood"] is None else {"about": f"{i['style']} {i['mood']}"}
        for i in items
    ]


@backfill(table("live", key="id"), fills="fill", batch=1000, budget=BEARS_ALL)
def follow(rows):
    """What the live writers' application fills by itself, too."""
    told(None)
    return [{"fill": f"f({row['style']})"} for row in rows]


lower_style = backfill(
    table("wardrobe", key="id"), fills="lowered", sql="lower(style)", name="lower_style"
)
'''

TABLES = """
CREATE TABLE wardrobe (
    id integer PRIMARY KEY, style text NOT NULL, mood text, normalized text,
    warmth double precision CHECK (warmth < 90), normalized_version text, lowered text,
    price double precision, photo {bytes}
);
CREATE TABLE about (item_id integer PRIMARY KEY, about text, other text DEFAULT 'as it was');
CREATE TABLE audit (seq {serial}, place text, id integer, what text);
"""

TARGET = {"normalize": "wardrobe", "describe": "about", "lower_style": "wardrobe"}


def items(rows=ROWS):
    """The rows of the wardrobe."""
    for number in range(rows):
        filled = number % 6 == 5
        yield (
            number * STEP,
            f"  Style {number} Ä\t",
            None if number % 8 == 3 else f"mood {number}",
            "old" if filled else None,
            1.0 if number == 1 else 0.5 if filled else None,
            "2.0" if number == 1 or number % 12 == 5 else "1.0" if filled else None,
            "kept" if number % 9 == 2 else None,
            number / 7,
            bytes([number % 256, 0, 255]),
        )


def described(rows=ROWS):
    """The rows that the other table holds already."""
    return [(n * STEP, None, f"other {n}") for n in range(0, rows, 7)]


def write(folder, *, ledger="ledger.db", chunk_rows=CHUNK_ROWS, workers=1, lease_s=30):
    """Write the project's files; the path of its proctor.toml."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".proctor").mkdir(exist_ok=True)
    (folder / "backfills.py").write_text(textwrap.dedent(BACKFILLS).lstrip())
    config = folder / "proctor.toml"
    config.write_text(
        SETTINGS.format(ledger=ledger, chunk_rows=chunk_rows, workers=workers, lease_s=lease_s)
    )
    return config
