"""Keys of SQLite rows: JSON-safe in both directions, and ordered as the file orders them.

Whole numbers and text stand for themselves. A blob is its literal, `X'6a'`; text that begins
with a quote or with `X'` gets a quote in front, so that nothing is taken for something else.
"""

from __future__ import annotations

import json

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cmp_to_key
from typing import Any, Final

from proctor.errors import TargetError, UsageError
from proctor.model import Key

_MARKED: Final = ("X'", "'")
MOST_VALUES: Final = 20_000
"""Bound values in one statement; SQLite's own limit is 32,766."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyColumn:
    """One part of a key as the store scans it. `kind` is integer, text or blob."""

    name: str
    sql: str
    descending: bool
    collation: str
    kind: str


def to_part(value: Any) -> str | int:
    """One stored value as a part of a key."""
    if type(value) is int:
        return value
    if type(value) is str:
        return f"'{value}" if value.startswith(_MARKED) else value
    if type(value) is bytes:
        return f"X'{value.hex()}'"
    raise TargetError(
        "a key is null or a real number",
        found=f"a value of type {type(value).__name__}",
        fix="choose key columns of whole numbers, text or blobs",
    )


def from_part(part: str | int) -> Any:
    """The stored value of a part of a key."""
    if type(part) is str and part.startswith(_MARKED):
        return bytes.fromhex(part[2:-1]) if part[0] == "X" else part[1:]
    return part


def to_keys(columns: Sequence[Sequence[Any]]) -> list[Key]:
    """Keys from the columns of their parts."""
    parts: list[Iterable[str | int]] = []
    for column in columns:
        if set(map(type, column)) <= {int}:
            parts.append(column)
        else:
            parts.append([to_part(v) for v in column])
    return list(zip(*parts, strict=True))


def bound(key: Key) -> tuple[Any, ...]:
    """A key's stored values."""
    return tuple(from_part(p) for p in key)


def named(prefix: str, key: Key) -> dict[str, Any]:
    """A key's stored values under the names `prefix0`, `prefix1` and so on."""
    return {f"{prefix}{i}": v for i, v in enumerate(bound(key))}


def among(columns: Sequence[str], keys: Sequence[Key]) -> tuple[str, dict[str, Any]]:
    """A condition for rows of exactly these keys, and its values.

    The keys travel as one JSON text where that is exact; else as single values. UsageError
    where those are too many for one statement.
    """
    left = columns[0] if len(columns) == 1 else f"({', '.join(columns)})"
    text = json.dumps(keys)
    if all(_travels(p) for key in keys for p in key) and "\\u0000" not in text:
        part = "value" if len(columns) > 1 else "json_extract(value, '$[0]')"
        right = (
            ", ".join(f"json_extract(value, '$[{i}]')" for i in range(len(columns)))
            if part == "value"
            else part
        )
        return f"{left} IN (SELECT {right} FROM json_each(:keys))", {"keys": text}
    if len(keys) * len(columns) > MOST_VALUES:
        raise UsageError(
            "too many keys were listed at once",
            found=f"{len(keys):,} keys of blobs, or of text that JSON cannot carry",
            fix="give a range with --from and --to, or list fewer",
        )
    values = {f"k{n}_{i}": v for n, key in enumerate(keys) for i, v in enumerate(bound(key))}
    rows = ", ".join(
        f"({', '.join(f':k{n}_{i}' for i in range(len(columns)))})" for n in range(len(keys))
    )
    return f"{left} IN (VALUES {rows})", values


def _travels(part: str | int) -> bool:
    """Whether SQLite's JSON gives this part back as the same value."""
    if type(part) is int:
        return True
    return not str(part).startswith(_MARKED) and not _has_surrogate(str(part))


def _has_surrogate(text: str) -> bool:
    return not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text)


def _nocase(text: str) -> tuple[bytes, int]:
    """Capitals of ASCII as small letters; SQLite stops at a NUL and then looks at the length."""
    raw = text.encode("utf-8", "surrogateescape")
    return raw.partition(b"\0")[0].lower(), len(raw)


def _binary(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


_FOLDS: Final[Mapping[str, Callable[[str], Any]]] = {
    "NOCASE": _nocase,
    "RTRIM": lambda s: _binary(s.rstrip(" ")),
}


def rank(column: KeyColumn, part: str | int) -> tuple[int, Any]:
    """What to compare of a part: numbers before text before blobs, text by its collation."""
    value = from_part(part)
    if isinstance(value, int):
        return (0, value)
    if isinstance(value, bytes):
        return (2, value)
    return (1, _FOLDS.get(column.collation, _binary)(value))


def compare(columns: Sequence[KeyColumn], a: Key, b: Key) -> int:
    """Negative where the scan meets `a` first."""
    for column, x, y in zip(columns, a, b, strict=True):
        left, right = rank(column, x), rank(column, y)
        if left != right:
            return 1 if (left > right) is not column.descending else -1
    return 0


def in_order(columns: Sequence[KeyColumn], keys: Iterable[Key]) -> list[Key]:
    """Distinct keys in scan order."""

    def meets(a: Key, b: Key) -> int:
        return compare(columns, a, b)

    ordered = sorted(keys, key=cmp_to_key(meets))
    return [k for i, k in enumerate(ordered) if not i or compare(columns, ordered[i - 1], k)]


def lacking(columns: Sequence[KeyColumn], keys: Sequence[Key], found: Sequence[Key]) -> list[Key]:
    """Keys that are not among those found, compared as the file compares them."""
    if len(keys) == len(found):
        return []
    have = {ranks(columns, k) for k in found}
    return [k for k in keys if ranks(columns, k) not in have]


def ranks(columns: Sequence[KeyColumn], key: Key) -> tuple[tuple[int, Any], ...]:
    """What makes two keys equal for the file."""
    return tuple(rank(c, p) for c, p in zip(columns, key, strict=True))
