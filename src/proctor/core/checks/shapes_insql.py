"""The shape of a JSON document as an SQL condition, for SQLite and for Postgres' jsonb."""

from __future__ import annotations

import re

from typing import Final

from proctor.core.checks.shapes import JsonShape

_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_ -]*\Z")
_LITE: Final = {
    "text": ("text",),
    "number": ("integer", "real"),
    "boolean": ("true", "false"),
    "object": ("object",),
    "list": ("array",),
    "texts": ("array",),
    "numbers": ("array",),
}
_POSTGRES: Final = {
    "text": "string",
    "number": "number",
    "boolean": "boolean",
    "object": "object",
    "list": "array",
    "texts": "array",
    "numbers": "array",
}


def shape_sql(check: JsonShape, column: str, declared: str, *, lite: bool) -> str | None:
    """What is true of a document of another shape; None where SQL cannot say it."""
    if not all(_KEY.match(key) for key, _ in check.keys):
        return None
    if lite:
        return _lite(check, column)
    return _postgres(check, column) if declared == "jsonb" else None


def reads_on(x: str) -> str:
    """Whether a value of jsonb is text that may hold a document of its own, which Python reads."""
    return (
        f"(pg_catalog.jsonb_typeof({x}) = 'string' "
        f"AND pg_catalog.left(pg_catalog.ltrim({x} #>> '{{}}', E' \\t\\n\\r'), 1) = '{{')"
    )


def _lite(check: JsonShape, x: str) -> str:
    """Each step only where the one before it holds: SQLite's functions raise on what is no JSON."""
    parts = []
    for key, kind in check.keys:
        path = f"""'$."{key}"'"""
        sort = kind.removesuffix("?")
        found = f"json_type({x}, {path})"
        good = f"{found} IS NOT NULL"
        if sort != "any":
            named = ", ".join(f"'{name}'" for name in _LITE[sort])
            good = f"coalesce({found} IN ({named}), 0)"
        if sort in ("texts", "numbers"):
            inner = ", ".join(f"'{name}'" for name in _LITE[sort[:-1]])
            odd = f"SELECT 1 FROM json_each({x}, {path}) WHERE type NOT IN ({inner})"
            good = f"({good} AND NOT EXISTS ({odd}))"
        if kind.endswith("?"):
            good = f"({good} OR coalesce({found}, 'null') = 'null')"
        parts.append(good)
    if check.closed:
        known = ", ".join(f"'{key}'" for key, _ in check.keys)
        parts.append(f"NOT EXISTS (SELECT 1 FROM json_each({x}) WHERE key NOT IN ({known}))")
    right = " AND ".join(parts)
    return (
        f"CASE WHEN typeof({x}) <> 'text' THEN 1 WHEN NOT json_valid({x}) THEN 1 "
        f"WHEN json_type({x}) <> 'object' THEN 1 ELSE NOT ({right}) END"
    )


def _postgres(check: JsonShape, x: str) -> str:
    parts = []
    for key, kind in check.keys:
        sort = kind.removesuffix("?")
        value = f"{x} -> '{key}'"
        found = f"pg_catalog.jsonb_typeof({value})"
        good = f"{value} IS NOT NULL"
        if sort != "any":
            good = f"coalesce({found} = '{_POSTGRES[sort]}', false)"
        if sort in ("texts", "numbers"):
            odd = (
                f"SELECT 1 FROM pg_catalog.jsonb_array_elements({value}) AS one "
                f"WHERE pg_catalog.jsonb_typeof(one) <> '{_POSTGRES[sort[:-1]]}'"
            )
            good = f"CASE WHEN {good} THEN NOT EXISTS ({odd}) ELSE false END"
        if kind.endswith("?"):
            good = f"({good} OR coalesce({found}, 'null') = 'null')"
        parts.append(f"({good})")
    if check.closed:
        known = ", ".join(f"'{key}'" for key, _ in check.keys)
        names = f"pg_catalog.jsonb_object_keys({x}) AS one"
        parts.append(f"NOT EXISTS (SELECT 1 FROM {names} WHERE one NOT IN ({known}))")
    right = " AND ".join(parts)
    return f"CASE WHEN pg_catalog.jsonb_typeof({x}) <> 'object' THEN true ELSE NOT ({right}) END"
