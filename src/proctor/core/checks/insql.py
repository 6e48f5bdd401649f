"""Checks as SQL conditions that say the same as their Python form, for all rows at once.

Where the two could differ (a regular expression that means something else to the database, a
column whose values Python sees otherwise) there is no SQL form, and the check is left to Python.
"""

from __future__ import annotations

import re

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from proctor.core.checks.check import Ready
from proctor.core.checks.regular import is_plain
from proctor.core.checks.shapes import JsonShape
from proctor.core.checks.shapes_insql import reads_on, shape_sql
from proctor.core.checks.standing import Holds, Refers, Unique
from proctor.core.checks.text import Empty, Forbidden, Length, Pattern
from proctor.core.checks.values import (
    Between,
    Drift,
    LowerCase,
    OneOf,
    Stamped,
    capitals,
    nothing,
)

_TEXT: Final = re.compile(r"(?:text|character varying(?:\(\d+\))?|varchar(?:\(\d+\))?)\Z")
_WHOLE: Final = frozenset(("smallint", "integer", "bigint"))
_DECIMAL: Final = re.compile(r"numeric(?:\(.*\))?\Z")
_MOMENT: Final = re.compile(r"timestamp(?:\(\d\))? (with|without) time zone\Z")
_KEYS: Final = _WHOLE | {"uuid", "boolean", "date"}
_NUMBERS: Final = "('integer', 'real')"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the values stand: a column of the target, as SQL, and which rows are looked at."""

    dialect: str
    table: str
    scope: str
    column: str = ""
    """Quoted; empty where the check is about no column alone."""
    type: str = ""
    """As the database declares it, in small letters."""
    other: str = ""
    """The column that it is compared with, quoted, and its type."""
    other_type: str = ""
    moment: datetime | None = None
    """The time."""

    @property
    def lite(self) -> bool:
        """Whether it is SQLite, where a value's type is its own."""
        return self.dialect == "sqlite"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """What the database looks for. A row of which it can tell nothing is not bad as well."""

    bad: str
    unsure: str
    told: str
    """What is wrong with a bad row, in words."""


def pushed(check: Ready, at: Place) -> Pushed | None:
    """The SQL form of a check; None where only Python can judge it."""
    if isinstance(check, Holds):
        held = f"({check.condition})"
        return Pushed(bad=f"NOT {held}", unsure=f"{held} IS NULL", told="does not hold")
    return _of_column(check, at) if at.column else None


def _of_column(check: Ready, at: Place) -> Pushed | None:
    match check:
        case Refers():
            return _refers(check, at)
        case Unique():
            return _unique(at)
        case Empty() | Length() | Pattern() | Forbidden() | LowerCase():
            return _texts(check, at)
        case OneOf():
            return _one_of(check, at)
        case Between():
            return _between(check, at)
        case Stamped():
            return _stamped(check, at)
        case Drift():
            return _drift(check, at)
        case JsonShape():
            bad = shape_sql(check, at.column, at.type, lite=at.lite)
            x = at.column
            # A null of JSON is one to Python, too; and it reads on in JSON text.
            odd = f" OR pg_catalog.jsonb_typeof({x}) = 'null' OR {reads_on(x)}"
            unsure = f"{x} IS NULL{'' if at.lite else odd}"
            return None if bad is None else Pushed(bad=bad, unsure=unsure, told="has another shape")
    return None


def literal(text: str) -> str:
    """Text in SQL, whatever standard_conforming_strings says."""
    quoted = "'" + text.replace("'", "''") + "'"
    return " E" + quoted.replace("\\", "\\\\") if "\\" in text else quoted


def quoted(name: str) -> str:
    """A name in SQL; a table's may have its schema before a dot."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in name.split("."))


def _of(at: Place, bad: str, told: str) -> Pushed:
    return Pushed(bad=bad, unsure=f"{at.column} IS NULL", told=told)


def _lite_text(text: str) -> str:
    """SQLite knows no backslash in a literal."""
    return "'" + text.replace("'", "''") + "'"


def _texts(check: Ready, at: Place) -> Pushed | None:
    x = at.column
    if at.lite:
        if "json" in at.type:
            return None
        found = _texts_lite(check, x)
    else:
        found = texts_sql(check, at)
    if found is None:
        return None
    bad, told = found
    if isinstance(check, Empty):
        unsure = _nul(x) if at.lite else "false"
        return Pushed(bad=f"{x} IS NULL OR {bad}", unsure=unsure, told=told)
    if not at.lite:
        return _of(at, bad, told)
    # SQLite's functions end at a NUL character.
    unsure = f"{x} IS NULL OR {_nul(x)}"
    return Pushed(bad=f"typeof({x}) <> 'text' OR {bad}", unsure=unsure, told=told)


def _nul(x: str) -> str:
    return f"(typeof({x}) = 'text' AND instr(CAST({x} AS BLOB), X'00') > 0)"


def _texts_lite(check: Ready, x: str) -> tuple[str, str] | None:
    match check:
        case Empty():
            shown = _lite_text("".join(c for c in nothing() if c != "\0" and not _lone(c)))
            return f"(typeof({x}) = 'text' AND trim({x}, {shown}) = '')", "is null or empty"
        case Length():
            return _length(check, f"length({x})"), "is shorter or longer than allowed"
        case Pattern():
            fits = f"proctor_fits({_lite_text(check.regex)}, {x})"
            return f"NOT {fits}", f"does not fit {check.regex}"
        case Forbidden():
            return (
                f"proctor_holds({_lite_text(check.regex)}, {x})",
                f"holds what {check.regex} forbids",
            )
        case LowerCase():
            return f"{x} GLOB {_lite_text(f'*[{capitals()}]*')}", "is not all lower case"
    return None


def texts_sql(check: Ready, at: Place) -> tuple[str, str] | None:
    """What is true of a bad text on Postgres, and what is wrong; None where SQL cannot say it."""
    x = at.column
    if not _TEXT.match(at.type):
        scalar = at.type in _KEYS or _DECIMAL.match(at.type) or _MOMENT.match(at.type)
        return ("false", "is null") if isinstance(check, Empty) and scalar else None
    match check:
        case Empty():
            shown = literal("".join(c for c in nothing() if c != "\0" and not _lone(c)))
            return f"pg_catalog.btrim({x}, {shown}) = ''", "is null or empty"
        case Length():
            count = f"pg_catalog.char_length({x})"
            return _length(check, count), "is shorter or longer than allowed"
        case Pattern() if is_plain(check.regex):
            fits = literal(f"^(?:{check.regex})$")
            return f'{x} COLLATE "C" !~ {fits}', f"does not fit {check.regex}"
        case Forbidden() if is_plain(check.regex):
            fits = literal(f"(?:{check.regex})")
            return f'{x} COLLATE "C" ~ {fits}', f"holds what {check.regex} forbids"
        case LowerCase():
            small = f"pg_catalog.translate({x}, {literal(capitals())}, '')"
            count = "pg_catalog.char_length"
            return f"{count}({small}) <> {count}({x})", "is not all lower case"
    return None


def _lone(char: str) -> bool:
    return "\ud800" <= char <= "\udfff"


def _length(check: Length, count: str) -> str:
    most = "" if check.most is None else f" OR {count} > {check.most}"
    return f"({count} < {check.least}{most})"


def _one_of(check: OneOf, at: Place) -> Pushed | None:
    x, told = at.column, "is another value"
    texts = [one for one in check.values if isinstance(one, str)]
    whole = [one for one in check.values if type(one) is int]
    if at.lite:
        if "json" in at.type or "bool" in at.type:
            return None
        if any(isinstance(one, float | bool) for one in check.values):
            return None
        if any("\0" in one for one in texts):
            return None
        kinds = []
        if texts:
            listed = ", ".join(map(_lite_text, texts))
            kinds.append(f"(typeof({x}) = 'text' AND {x} COLLATE BINARY IN ({listed}))")
        if whole:
            listed = ", ".join(map(str, whole))
            kinds.append(f"(typeof({x}) IN {_NUMBERS} AND +{x} IN ({listed}))")
        bad = f"NOT ({' OR '.join(kinds)})"
        return Pushed(bad=bad, unsure=f"{x} IS NULL OR {_nul(x)}", told=told)
    if len(texts) == len(check.values) and _TEXT.match(at.type):
        listed = ", ".join(map(literal, texts))
        return None if "\0" in listed else _of(at, f'{x} COLLATE "C" NOT IN ({listed})', told)
    if len(whole) == len(check.values) and (at.type in _WHOLE or _DECIMAL.match(at.type)):
        return _of(at, f"{x} NOT IN ({', '.join(map(str, whole))})", told)
    return None


def _between(check: Between, at: Place) -> Pushed | None:
    x, told = at.column, "is no number, or out of range"
    bounds = [
        f"{x} {sign} {bound!r}"
        for sign, bound in (("<", check.least), (">", check.most))
        if bound is not None
    ]
    if at.lite:
        if "bool" in at.type or "json" in at.type:
            return None
        number = f"typeof({x}) IN {_NUMBERS}"
        bounds = [bound.replace(x, f"+{x}", 1) for bound in bounds]
        return _of(at, f"NOT {number} OR {' OR '.join(bounds)}", told)
    if at.type in _WHOLE:
        return _of(at, " OR ".join(bounds), told)
    if _DECIMAL.match(at.type) or at.type == "double precision":
        return _of(at, " OR ".join([f"{x} = 'NaN'", *bounds]), told)
    return None


def _stamped(check: Stamped, at: Place) -> Pushed | None:
    if at.moment is None:
        return None
    x, told = at.column, "is no moment, too old, or in the future"
    earliest, latest = check.bounds(at.moment)
    if at.lite:
        # As microseconds since 1970, by the very code that judges a row in Python.
        at_us = f"proctor_moment({x})"
        bad = f"{at_us} IS NULL OR {at_us} > {_microseconds(latest)}"
        if earliest is not None:
            bad += f" OR {at_us} < {_microseconds(earliest)}"
        return None if "json" in at.type else _of(at, bad, told)
    zoned = _MOMENT.match(at.type)
    if zoned is None:
        return None
    kind = "timestamptz" if zoned[1] == "with" else "timestamp"
    edges = [(">", latest)] if earliest is None else [(">", latest), ("<", earliest)]
    bounds = [
        f"{x} {sign} '{_utc(edge, zoned[1] == 'with')}'::pg_catalog.{kind}" for sign, edge in edges
    ]
    return _of(at, " OR ".join([f"NOT pg_catalog.isfinite({x})", *bounds]), told)


def _utc(at: datetime, zoned: bool) -> str:  # noqa: FBT001 - whether the column has a zone
    at = at.astimezone(UTC)
    return at.isoformat() if zoned else at.replace(tzinfo=None).isoformat()


def _microseconds(at: datetime) -> int:
    since = at - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _drift(check: Drift, at: Place) -> Pushed | None:
    if not at.other:
        return None
    x, y, told = at.column, at.other, "differs by more than is allowed from the old value"
    unsure = f"{x} IS NULL OR {y} IS NULL"
    if at.lite:
        if "bool" in at.type or "bool" in at.other_type:
            return None
        far = f"proctor_drifts({x}, {y}, {_lite_text(str(check.most))})"
        return Pushed(bad=f"{far} IS NOT 0", unsure=unsure, told=told)
    exact = {at.type, at.other_type} <= _WHOLE
    if not exact:
        return None
    # As numeric: a difference of two bigints may be none.
    far = f"abs({x}::numeric - {y}) > {_decimal(check.most)} * abs({y}::numeric)"
    return Pushed(bad=far, unsure=unsure, told=told)


def _decimal(number: float) -> str:
    return f"'{number}'::pg_catalog.numeric"


def _unique(at: Place) -> Pushed | None:
    x = at.column
    if at.lite:
        if "json" in at.type:
            return None
        value = f"{x} COLLATE BINARY"
    elif _TEXT.match(at.type):
        value = f'{x} COLLATE "C"'
    elif at.type in _KEYS:
        value = x
    else:
        return None
    twice = (
        f"SELECT {value} AS proctor_value FROM {at.table} WHERE {at.scope} "
        f"AND {x} IS NOT NULL GROUP BY 1 HAVING count(*) > 1"
    )
    return _of(at, f"{value} IN ({twice})", "is not unique")


def _refers(check: Refers, at: Place) -> Pushed:
    # Under a name of our own, so that no column of the other table hides the one of this.
    there = f"SELECT {quoted(check.key)} AS proctor_key FROM {quoted(check.table)}"
    found = f"SELECT 1 FROM ({there}) AS proctor_there WHERE proctor_key = {at.column}"
    return _of(at, f"NOT EXISTS ({found})", f"is no {check.key} of {check.table}")
