"""The wardrobe's backfill: what people typed becomes what semantic filtering reads."""

import json

from unicodedata import normalize

from proctor import Refuse, Skip, backfill, checks, table

FIELDS = ("style", "occasion", "mood", "season")
VERSION = "1.0"
SHAPE = dict.fromkeys(FIELDS, "texts") | {"normalized_at": "text", "normalized_version": "text"}


def parsed(value):
    """A JSON column as Python: Postgres hands over the value, SQLite its text."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value, parse_constant=str)
    except ValueError:
        return value  # a bare word where a list belongs


def lowered(value):
    """Lower-case, trimmed, non-empty texts, each once, in their first order."""
    several = value if isinstance(value, list) else [value]
    words = [v for v in several if isinstance(v, str | int | float) and not isinstance(v, bool)]
    texts = (normalize("NFC", str(word).lower()).strip() for word in words)
    return list(dict.fromkeys(text for text in texts if text))


def well_formed(_item, answer):
    """The last look before a row is written: every field is there, and only clean texts."""
    made = answer["normalized"]
    for field in FIELDS:
        if any(text != text.lower().strip() or not text for text in made[field]):
            return f"{field} is not clean"
    return "normalized_at" in made


def as_typed(made, item):
    """What is written says what people typed; so the four fields still say the same."""
    made = parsed(made)
    if made["normalized_version"] != VERSION:
        return True  # tried by hand before, by other rules
    return all(made[field] == lowered(parsed(item[field])) for field in FIELDS)


@backfill(
    table("wardrobe", key="id", columns=("id", *FIELDS)),
    fills="normalized",
    version=VERSION,
    checks=[
        well_formed,
        checks.json_shape("normalized", SHAPE, closed=True),
        *(checks.lower_case(f"normalized.{field}") for field in FIELDS),
        checks.stamped("normalized.normalized_at"),
        checks.python("normalized", as_typed, source=True),
    ],
)
def normalize_wardrobe(item, ctx):
    """Lower-case what semantic filtering reads; the fields that people typed stay as they are."""
    given = {field: parsed(item[field]) for field in FIELDS}
    objects = [field for field in FIELDS if isinstance(given[field], dict)]
    if objects:
        return Refuse(f"{' and '.join(objects)} holds an object, not a list")
    if all(value is None for value in given.values()):
        return Skip("none of the four fields is there")
    clean = {field: lowered(value) for field, value in given.items()}
    stamp = {"normalized_at": ctx.now.isoformat(), "normalized_version": VERSION}
    return {"normalized": clean | stamp}
