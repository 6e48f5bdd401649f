"""Checks of a path inside a document as SQL that says the same as their Python form.

Postgres is asked about jsonb by its own operators; what might mean something else to it (JSON text
inside a document, which Python reads on; a number that no float holds) it cannot tell. SQLite's own
JSON functions take the first of two equal keys and know more than JSON, so there the very code
that judges a row in Python is asked; see `judged`.
"""

from __future__ import annotations

import functools
import json

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from proctor.core.checks.check import Given, Ready, RowCheck
from proctor.core.checks.fields import look
from proctor.core.checks.insql import Place, Pushed, literal, texts_sql
from proctor.core.checks.shapes import JsonShape
from proctor.core.checks.shapes_insql import reads_on, shape_sql
from proctor.core.checks.text import Empty, Forbidden, Length, Pattern
from proctor.core.checks.values import Between, Drift, LowerCase, OneOf, Stamped
from proctor.model import Level, Ruling

_ASKED: Final[Mapping[str, type[RowCheck]]] = {
    one.kind: one
    for one in (
        *(Empty, Length, Pattern, Forbidden, LowerCase),
        *(OneOf, Between, Stamped, Drift, JsonShape),
    )
}
"""Those that a database is asked about paths."""
_TOLD: Final = {
    "empty": "is null or empty",
    "length": "is shorter or longer than allowed",
    "lower_case": "is not all lower case",
    "one_of": "is another value",
    "between": "is no number, or out of range",
    "stamped": "is no moment, too old, or in the future",
    "drift": "differs by more than is allowed from the old value",
    "json_shape": "has another shape",
}
_SAID: Final = {Ruling.PASS: 0, Ruling.FAIL: 1, Ruling.INCONCLUSIVE: 2}
_WHOLE: Final = 2**53
"""Up to this a float holds every whole number."""
_TEXTS: Final = """'strict $.** ? (@.type() == "string")'"""
_TYPE: Final = "pg_catalog.jsonb_typeof"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """A place inside a column: the steps of the path, each a key of an object."""

    steps: tuple[str, ...]
    parsed: bool = False
    """Whether the store gives rows what the column's text holds, as of a JSON column."""


def pushed_inside(check: Ready, at: Place, inside: Inside) -> Pushed | None:
    """The SQL form of a check of a path; None where only Python can judge it."""
    if not isinstance(check, RowCheck) or _ASKED.get(check.kind) is not type(check):
        return None
    if at.lite:
        return _lite(check, at, inside)
    return _postgres(check, at, inside.steps) if at.type == "jsonb" else None


# ------------------------------------------------------------------------------------- SQLite


def _lite(check: RowCheck, at: Place, inside: Inside) -> Pushed | None:
    if isinstance(check, Drift) and (not at.other or _typed(at.other_type)):
        return None
    asked = {
        "check": check.identity(),
        "steps": inside.steps,
        "parsed": inside.parsed,
        "at": at.moment.isoformat() if at.moment else None,
    }
    text = json.dumps(asked).replace("'", "''")
    said = f"proctor_judged('{text}', {at.column}, {at.other or 'NULL'})"
    told = _TOLD.get(check.kind) or f"is not as {check.kind} asks for"
    return Pushed(bad=f"{said} = 1", unsure=f"{said} = 2", told=told)


def _typed(declared: str) -> bool:
    """Whether rows get another value than SQLite has."""
    return "bool" in declared or "json" in declared


def judged(asked: str, value: Any, other: Any) -> int:
    """What a check says of a row: 0 it passes, 1 it fails, 2 nobody can tell.

    `asked` is the check as `pushed_inside` writes it for SQLite, `value` its column, `other` the
    one that it is compared with.
    """
    check, steps, parsed, moment = _read(asked)
    try:
        if parsed and isinstance(value, str):
            value = _parsed(value)
        found = look({"": value}, ".".join(("", *steps)))
        row = {check.of: other} if isinstance(check, Drift) else {}
        said = check.judge(found, Given(row=row, at=moment, standing=True))
    except Exception:  # noqa: BLE001 - a database that calls us learns nothing from it
        return _SAID[Ruling.INCONCLUSIVE]
    return _SAID[said.ruling]


@functools.lru_cache(maxsize=64)
def _read(asked: str) -> tuple[RowCheck, list[str], bool, datetime | None]:
    told = json.loads(asked)
    words = {name: _frozen(value) for name, value in told["check"].items()}
    kind = _ASKED[words.pop("kind")]
    moment = datetime.fromisoformat(told["at"]) if told["at"] else None
    check = kind(**words | {"level": Level(words["level"])})
    return check, told["steps"], told["parsed"], moment


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


# ----------------------------------------------------------------------------------- Postgres


def _postgres(check: RowCheck, at: Place, steps: tuple[str, ...]) -> Pushed | None:
    value, before = at.column, []
    for step in steps:
        before.append(value)
        value = f"({value} -> {literal(step)}::pg_catalog.text)"
    found = _of_value(check, at, value)
    if found is None:
        return None
    # What Python would read on into, as text, is no document to Postgres.
    hidden = " OR ".join(reads_on(one) for one in before)
    return replace(found, unsure=f"{hidden} OR {found.unsure}")


def _of_value(check: RowCheck, at: Place, v: str) -> Pushed | None:
    null = f"({v} IS NULL OR {_TYPE}({v}) = 'null')"
    match check:
        case Between():
            bad = _out_of_range(check, v)
            unsure = f"{null} OR {_odd(v)}"
        case OneOf():
            bad, unsure = _another(check, v), f"{null} OR {_few(v)}"
        case JsonShape():
            bad, unsure = shape_sql(check, v, "jsonb", lite=False), f"{null} OR {reads_on(v)}"
        case Empty() | Length() | Pattern() | Forbidden() | LowerCase():
            return _texts(check, at, v, null)
        case _:
            return None
    return None if bad is None else Pushed(bad=bad, unsure=unsure, told=_TOLD[check.kind])


def _texts(check: RowCheck, at: Place, v: str, null: str) -> Pushed | None:
    """Every text in it is judged; of a list or a document without any nobody can tell."""
    one = texts_sql(check, replace(at, column="proctor_text", type="text"))
    if one is None:
        return None
    bad, told = one
    found = f"pg_catalog.jsonb_path_query({v}, {_TEXTS}) AS proctor_of(proctor_json)"
    each = f"SELECT proctor_json #>> '{{}}' AS proctor_text FROM {found}"
    any_bad = f"EXISTS (SELECT 1 FROM ({each}) AS proctor_texts WHERE {bad})"
    holds = f"{_TYPE}({v}) IN ('object', 'array')"
    none = f"({holds} AND NOT EXISTS (SELECT 1 FROM {found}))"
    if isinstance(check, Empty):
        hollow = f"{v} IN ('[]'::pg_catalog.jsonb, '{{}}'::pg_catalog.jsonb)"
        return Pushed(
            bad=f"{null} OR {hollow} OR {any_bad}", unsure=f"({none} AND NOT {hollow})", told=told
        )
    other = f"{_TYPE}({v}) IN ('number', 'boolean')"
    return Pushed(bad=f"{other} OR {any_bad}", unsure=f"{null} OR {none}", told=told)


def _out_of_range(check: Between, v: str) -> str | None:
    bounds = [(sign, b) for sign, b in (("<", check.least), (">", check.most)) if b is not None]
    if any(abs(bound) > _WHOLE for _, bound in bounds):
        return None
    floats = " OR ".join(f"{_float(v)} {sign} {_literal_float(bound)}" for sign, bound in bounds)
    whole = " OR ".join(f"{_numeric(v)} {sign} {_exact(bound)}" for sign, bound in bounds)
    return (
        f"CASE WHEN {_TYPE}({v}) <> 'number' THEN true WHEN {_dotted(v)} "
        f"THEN {floats or 'false'} ELSE {whole or 'false'} END"
    )


def _another(check: OneOf, v: str) -> str | None:
    """Whether it is none of the values; of a list, whether any in it is none."""
    if any(isinstance(one, float) for one in check.values):
        return None
    texts = [one for one in check.values if isinstance(one, str)]
    whole = [one for one in check.values if type(one) is int]
    said = [one for one in check.values if isinstance(one, bool)]
    if any("\0" in one for one in texts) or any(abs(one) > _WHOLE for one in whole):
        return None
    one, known = "proctor_one", []
    if texts:
        listed = ", ".join(map(literal, texts))
        known.append(f"WHEN 'string' THEN ({one} #>> '{{}}') COLLATE \"C\" IN ({listed})")
    if whole:
        listed = ", ".join(map(str, whole))
        alike = f"CASE WHEN {_dotted(one)} THEN {_float(one)} IN ({listed})"
        known.append(f"WHEN 'number' THEN {alike} ELSE {_numeric(one)} IN ({listed}) END")
    if said:
        listed = ", ".join(f"'{str(answer).lower()}'::pg_catalog.jsonb" for answer in said)
        known.append(f"WHEN 'boolean' THEN {one} IN ({listed})")
    is_known = f"CASE {_TYPE}({one}) {' '.join(known)} ELSE false END"
    return f"EXISTS (SELECT 1 FROM {_elements(v)} WHERE NOT ({is_known}))"


def _few(v: str) -> str:
    """Whether nobody can tell of a list: it is empty, or holds a number that no float holds."""
    empty = f"{v} = '[]'::pg_catalog.jsonb"
    return f"{empty} OR EXISTS (SELECT 1 FROM {_elements(v)} WHERE {_odd('proctor_one')})"


def _elements(v: str) -> str:
    """A list's values; of anything else itself."""
    alone = f"pg_catalog.jsonb_build_array({v})"
    each = f"CASE WHEN {_TYPE}({v}) = 'array' THEN {v} ELSE {alone} END"
    return f"pg_catalog.jsonb_array_elements({each}) AS proctor_of(proctor_one)"


def _dotted(v: str) -> str:
    """Whether Python reads a number as a float."""
    return f"pg_catalog.strpos({v} #>> '{{}}', '.') > 0"


def _float(v: str) -> str:
    return f"({v} #>> '{{}}')::pg_catalog.float8"


def _numeric(v: str) -> str:
    return f"({v} #>> '{{}}')::pg_catalog.numeric"


def _odd(v: str) -> str:
    """Whether a number is too large or too near to 0 for a float as Postgres reads one."""
    size = f"pg_catalog.abs({_numeric(v)})"
    least, most = (f"'{edge}'::pg_catalog.numeric" for edge in ("1e-300", "1e300"))
    outside = f"({size} <> 0 AND {size} < {least}) OR {size} > {most}"
    return f"CASE WHEN {_TYPE}({v}) = 'number' THEN {outside} ELSE false END"


def _literal_float(bound: float) -> str:
    return f"'{float(bound)!r}'::pg_catalog.float8"


def _exact(bound: float) -> str:
    """To the last binary digit: so Python compares a whole number with a float."""
    return f"'{Decimal(bound):f}'::pg_catalog.numeric"
