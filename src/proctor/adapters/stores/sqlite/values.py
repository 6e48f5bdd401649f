"""Values and their images: exact by type and bytes, in both directions.

An image is text. Text stands for itself, a number for its shortest exact digits, a blob for
its SQL literal; text that could be taken for one of the others stands in quotes. Infinity is
written 9e999, as SQLite reads it. Bytes that are not UTF-8 come as lone surrogates.
"""

from __future__ import annotations

import json
import math
import sqlite3

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Any, Final
from uuid import UUID

from proctor.adapters.stores import jsons
from proctor.model import ABSENT, Image

_AMBIGUOUS: Final = frozenset("0123456789-X'")
_NUMERIC_START: Final = frozenset("0123456789-+. \t\n\v\f\r")
_TEXT: Final = frozenset({str, type(None)})
_DOCUMENTS: Final = frozenset({dict, list, type(None)})
MOST: Final = 2**63
"""Whole numbers from here on do not fit."""
MOST_POWER: Final = 62
"""The highest power of two that one of them holds."""


class Unstorable(Exception):
    """One value cannot be stored; the text says why, without the value."""


@dataclass(frozen=True, slots=True)
class RawText:
    """Text whose bytes are not UTF-8: bound as a blob under CAST(? AS TEXT)."""

    data: bytes


def image(value: Any) -> Image:
    """The image of one stored value."""
    if value is None:
        return None
    kind = type(value)
    if kind is str:
        return f"'{value}'" if value[:1] in _AMBIGUOUS else value
    if kind is int:
        return str(value)
    if kind is float:
        return repr(value) if math.isfinite(value) else "9e999" if value > 0 else "-9e999"
    return f"X'{value.hex()}'"


def images(column: Sequence[Any]) -> list[Image]:
    """The images of one column of stored values."""
    kinds = set(map(type, column))
    if kinds <= _TEXT:
        if str not in kinds:
            return [None] * len(column)
        return [v if v is None or v[:1] not in _AMBIGUOUS else f"'{v}'" for v in column]
    return [image(v) for v in column]


def value_of(text: Image) -> Any:
    """The stored value that an image stands for, ready to be bound."""
    if text is None or text is ABSENT:
        return None
    first = text[:1]
    if first not in _AMBIGUOUS:
        return text
    if first == "'":
        return text[1:-1]
    if first == "X":
        return bytes.fromhex(text[2:-1])
    return float(text) if _is_real(text) else int(text)


def legible(image: Image) -> Image:
    """An image as a person reads it: text without the quotes that tell it from a number."""
    return image[1:-1] if isinstance(image, str) and image[:1] == "'" else image


def _is_real(digits: str) -> bool:
    return "." in digits or "e" in digits


def bindable(value: Any) -> Any:
    """The same value; text with lone surrogates becomes the bytes that it stands for."""
    if type(value) is str:
        try:
            value.encode()
        except UnicodeEncodeError:
            try:
                return RawText(value.encode("utf-8", "surrogateescape"))
            except UnicodeEncodeError:
                raise Unstorable(
                    "text holds half a surrogate pair, which UTF-8 cannot store"
                ) from None
    return value


def as_text(value: Any) -> Any:
    """The other way round: the value as it will be read."""
    return value.data.decode("utf-8", "surrogateescape") if isinstance(value, RawText) else value


def adapt(value: Any) -> Any:
    """An author's value as one of SQLite's five types; Unstorable says why not."""
    kind = type(value)
    if value is None or kind is str or kind is bytes:
        return value
    if kind is float:
        if math.isnan(value):
            raise Unstorable("NaN cannot be stored in SQLite: it would become null")
        return value
    if isinstance(value, Enum):
        return adapt(value.value)
    for types, turn in _TURNS:
        if isinstance(value, types):
            return turn(value)
    raise Unstorable(f"a value of type {kind.__name__} cannot be stored in SQLite")


def _whole(value: int) -> int:
    if not -MOST <= value < MOST:
        raise Unstorable("a whole number has more than 64 bits")
    return int(value)


def to_json(value: Any) -> str:
    """JSON text as Proctor writes it: compact, unicode as it is; Unstorable where it cannot."""
    try:
        return json.dumps(
            value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain
        )
    except (ValueError, TypeError, RecursionError) as error:
        why = "NaN or infinity" if isinstance(error, ValueError) else "a value it cannot hold"
        raise Unstorable(f"JSON cannot be made: {why}") from None


def _plain(value: Any) -> Any:
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Decimal | UUID):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError


def _bytes(value: Any) -> bytes:
    return bytes(value)


_TURNS: Final[tuple[tuple[Any, Callable[[Any], Any]], ...]] = (
    (int, _whole),
    (str, str),
    (float, lambda v: adapt(float(v))),
    (datetime | date | time, lambda v: v.isoformat()),
    (Decimal | UUID, str),
    (bytes | bytearray | memoryview, _bytes),
    (Mapping, to_json),
    (list | tuple, to_json),
)


@dataclass(frozen=True, slots=True)
class Prepared:
    """One field's values, ready to bind, with the images that they will have once stored.

    `bad` are positions of values that cannot be stored, with the reason.
    """

    bound: list[Any]
    stored: list[Image]
    bad: dict[int, str]


def prepare(
    pad: sqlite3.Connection,
    column: Sequence[Any],
    affinity: str,
    *,
    name: str,
    careful: bool = False,
) -> Prepared:
    """Turn an author's values of one field into stored ones, exactly as the column would.

    `pad` is a database in memory, asked where that is not certain.
    Careless of text that UTF-8 cannot store, which binding refuses; `careful` looks at each.
    """
    kinds = set(map(type, column))
    if not careful and dict in kinds and kinds <= _DOCUMENTS:
        column = _json_column(column)
        kinds = set(map(type, column))
    if (
        not careful
        and kinds <= _TEXT
        and (affinity in ("TEXT", "BLOB") or not _any_numeric(column))
    ):
        return Prepared(list(column), images(column), {})
    bound: list[Any] = []
    stored: list[Image] = []
    bad: dict[int, str] = {}
    unsure: list[int] = []
    for i, raw in enumerate(column):
        try:
            value = adapt(raw)
            bound.append(bindable(value))
        except Unstorable as error:
            bad[i] = f"{name}: {error}"
            bound.append(None)
            stored.append(None)
            continue
        if not _certain(value, affinity):
            unsure.append(i)
        stored.append(image(value))
    if unsure:
        for i, text in zip(unsure, probe(pad, [bound[i] for i in unsure], affinity), strict=True):
            stored[i] = text
    return Prepared(bound, stored, bad)


def _json_column(column: Sequence[Any]) -> Sequence[Any]:
    """Documents as their JSON text, all in one go; as they are where one of them is odd."""
    texts = jsons.texts(column, default=_plain)
    if texts is None:
        return column
    return [None if v is None else text for v, text in zip(column, texts, strict=True)]


def _any_numeric(column: Sequence[str | None]) -> bool:
    return any(v is not None and v[:1] in _NUMERIC_START for v in column)


def _certain(value: Any, affinity: str) -> bool:
    """Whether a column of this affinity keeps the value just as it is."""
    if value is None or isinstance(value, bytes) or affinity == "BLOB":
        return True
    if isinstance(value, str):
        return affinity == "TEXT" or value[:1] not in _NUMERIC_START
    if isinstance(value, int):
        return affinity in ("INTEGER", "NUMERIC")
    return affinity == "REAL" and value != 0.0


def probe(pad: sqlite3.Connection, bound: Sequence[Any], affinity: str) -> list[Image]:
    """What a column of this affinity makes of values: asked in a table in memory."""
    pad.execute(
        "CREATE TABLE IF NOT EXISTS probe"
        "(n INTEGER PRIMARY KEY, integer_ INTEGER, text_ TEXT, real_ REAL, numeric_ NUMERIC)"
    )
    column = f"{affinity.lower()}_"
    rows = list(enumerate(bound))
    plain = [(n, v) for n, v in rows if not isinstance(v, RawText)]
    pad.execute("DELETE FROM probe")
    pad.executemany(f"INSERT INTO probe (n, {column}) VALUES (?, ?)", plain)
    found = dict(pad.execute(f"SELECT n, {column} FROM probe").fetchall())
    # Text that is not UTF-8 is never a number: it stays as it is.
    return [image(as_text(v)) if isinstance(v, RawText) else image(found[n]) for n, v in rows]


def exact(row: Sequence[Any]) -> tuple[Any, ...]:
    """A row to compare by type and bytes: 1, 1.0 and '1' differ, and so do 0.0 and -0.0."""
    return tuple((type(v), v.hex() if type(v) is float else v) for v in row)


def literal(connection: sqlite3.Connection, value: Any) -> str:
    """A value as a SQL literal that SQLite reads back as the very same value."""
    if isinstance(value, float):
        return _real_literal(connection, value)
    match value:
        case None:
            text = "NULL"
        case bytes():
            text = f"X'{value.hex()}'"
        case RawText():
            text = f"CAST(X'{value.data.hex()}' AS TEXT)"
        case str() if "\0" in value:
            text = f"CAST(X'{value.encode().hex()}' AS TEXT)"
        case str():
            text = "'" + value.replace("'", "''") + "'"
        case _:
            text = str(value) if value != -MOST else "(-9223372036854775807 - 1)"
    return text


def _real_literal(connection: sqlite3.Connection, value: float) -> str:
    """What this SQLite reads as this very float; older ones take digits for one beside it."""
    if math.isinf(value):
        return "9e999" if value > 0 else "-9e999"
    if value == 0.0:
        return "0.0" if math.copysign(1.0, value) > 0 else "(-1 * 0.0)"
    for text in (repr(value), f"{value:.20e}", f"{Decimal(value):.40e}"):
        whole = text if "." in text or "e" in text else f"{text}.0"
        (back,) = connection.execute(f"SELECT {whole}").fetchone()
        if isinstance(back, float) and back == value:
            return whole
    return by_powers(value)


def by_powers(value: float) -> str:
    """A finite real number as a whole one times powers of two: each step of that is exact."""
    share, power = math.frexp(value)
    text, power = f"CAST({int(math.ldexp(share, 53))} AS REAL)", power - 53
    while power:
        step = min(abs(power), MOST_POWER)
        text += f" {'*' if power > 0 else '/'} {1 << step}"
        power += -step if power > 0 else step
    return f"({text})"
