"""Python values as text that a column's input function takes exactly, or a reason why not.

A value that cannot go in is one row's failure and never a chunk's, so it is found here, before
anything is sent; what only the server can judge (a length, a range, a check) is left to it.
"""

from __future__ import annotations

import enum
import json
import math

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final, TypeAlias
from uuid import UUID

import psycopg

from psycopg.adapt import PyFormat, Transformer

from proctor.adapters.stores import jsons
from proctor.adapters.stores.postgres.catalog import Field, TypeRef

Encoder: TypeAlias = Callable[[Any], str]

INTEGERS: Final = frozenset({"int2", "int4", "int8"})
FLOATS: Final = frozenset({"float4", "float8"})
VECTORS: Final = frozenset({"vector", "halfvec"})
JSON_KINDS: Final = frozenset({dict, list, str, int, float, bool, type(None)})
"""Of these a whole column becomes JSON in one go."""


_DUMPS: Final = {
    marks: json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=marks).encode
    for marks in (jsons.COMPACT, jsons.SPACED)
}
"""Made once: json.dumps with these words makes an encoder for every value."""


class Unencodable(ValueError):
    """A value does not fit its column; the text names types, never the value."""


def cell(field: Field, *, nested: bool) -> Callable[[Any], bytes | None]:
    """How values of one fill become cells: UTF-8 text, None for null.

    A nested fill is a place in a JSON document, where None is JSON's null.
    """
    encode = jsonb_text if nested else encoder(field.type)

    def to_cell(value: Any) -> bytes | None:
        if value is None and not nested:
            return None
        return _sendable(encode(plain(value)))

    return to_cell


def cells(field: Field, column: Sequence[Any], *, nested: bool) -> list[bytes | None]:
    """A column of cells; Unencodable for the first value that cannot be one."""
    encode = jsonb_text if nested else encoder(field.type)
    marks = _MARKS.get(encode)
    if marks is not None and JSON_KINDS.issuperset(map(type, column)):
        made = jsons.cells(column, marks)
        if made is not None:
            if nested or None not in column:
                return list(made)
            return [None if v is None else c for v, c in zip(column, made, strict=True)]
    return list(map(cell(field, nested=nested), column))


def _sendable(text: str) -> bytes:
    if "\0" in text:
        raise Unencodable("it holds a NUL character, which Postgres cannot store")
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise Unencodable("it holds half a surrogate pair, which is no character") from None


def plain(value: Any) -> Any:
    """Enum members as their values; numbers and arrays of numpy as Python's."""
    if isinstance(value, enum.Enum):
        return plain(value.value)
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        return value.tolist()
    return value


def encoder(kind: TypeRef) -> Encoder:
    """The encoder for a type; text for any type but bytea is taken as its input text."""
    if kind.category == "A" and kind.element is not None:
        return _array(kind.element)
    if kind.schema == "pg_catalog" and kind.name in _BY_NAME:
        return _BY_NAME[kind.name]
    if kind.name in VECTORS:
        return _vector
    if kind.name == "hstore":
        return _hstore
    return _text if kind.is_text else _other


def json_text(value: Any) -> str:
    """A value as JSON, compact. A str is a JSON string, as it is when it is read."""
    return _json(value, jsons.COMPACT)


def jsonb_text(value: Any) -> str:
    """The same with the blanks that jsonb is printed with: other lengths, other documents."""
    return _json(value, jsons.SPACED)


def _json(value: Any, marks: tuple[str, str]) -> str:
    try:
        return _DUMPS[marks](value)
    except TypeError:
        return _json_exact(value, marks)
    except ValueError:
        raise Unencodable("it holds NaN, infinity or a circle, which JSON does not have") from None
    except RecursionError:
        raise Unencodable("it is nested too deeply") from None


def _json_exact(value: Any, marks: tuple[str, str]) -> str:
    """JSON of a structure that holds decimals, enums or numpy values; slower."""
    value = plain(value)
    comma, colon = marks
    match value:
        case Decimal():
            if not value.is_finite():
                raise Unencodable("it holds NaN or infinity, which JSON does not have")
            return str(value)
        case Mapping():
            pairs = (f"{_json_key(k)}{colon}{_json_exact(v, marks)}" for k, v in value.items())
            return "{" + comma.join(pairs) + "}"
        case list() | tuple():
            return "[" + comma.join(_json_exact(v, marks) for v in value) + "]"
        case None | bool() | int() | float() | str():
            return _json(value, marks)
        case _:
            raise Unencodable(f"{_name(value)} is not a JSON value")


def _json_key(key: Any) -> str:
    if isinstance(key, str | int | float | None):
        return json.dumps(key if isinstance(key, str) else json.dumps(key), ensure_ascii=False)
    raise Unencodable(f"{_name(key)} cannot be a key in JSON")


def _bool(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return _raw(value, "bool")


def _integer(value: Any) -> str:
    if isinstance(value, bool):
        raise Unencodable("bool is not a number")
    if isinstance(value, int):
        return _digits(value)
    if isinstance(value, float) and value.is_integer():
        return _digits(int(value))
    if isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value():
        return _digits(int(value))
    if isinstance(value, float | Decimal):
        raise Unencodable(f"this {_name(value)} is not a whole number")
    return _raw(value, "int")


def _numeric(value: Any) -> str:
    if isinstance(value, bool):
        raise Unencodable("bool is not a number")
    if isinstance(value, int):
        return _digits(value)
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, Decimal):
        if value.is_snan():
            raise Unencodable("a signalling NaN is not a number")
        return str(value)
    return _raw(value, "number")


def _digits(value: int) -> str:
    try:
        return str(value)
    except ValueError:
        raise Unencodable("this whole number has too many digits") from None


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int | Decimal | UUID) and not isinstance(value, bool):
        return str(value)
    hint = "; use json.dumps" if isinstance(value, Mapping | list | tuple) else ""
    raise Unencodable(f"{_name(value)} is not text{hint}")


def _bytea(value: Any) -> str:
    if isinstance(value, bytes | bytearray | memoryview):
        return f"\\x{bytes(value).hex()}"
    raise Unencodable(f"{_name(value)} is not bytes")


def _date(value: Any) -> str:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    return _raw(value, "date")


def _timestamp(value: Any) -> str:
    if isinstance(value, datetime):
        if value.tzinfo is not None:
            raise Unencodable("the column has no time zone, and this datetime has one")
        return value.isoformat(sep=" ")
    return _raw(value, "datetime")


def _timestamptz(value: Any) -> str:
    if isinstance(value, datetime):
        if value.utcoffset() is None:
            raise Unencodable("the column has a time zone, and this datetime has none")
        return value.isoformat(sep=" ")
    return _raw(value, "datetime")


def _time(value: Any) -> str:
    return value.isoformat() if isinstance(value, time) else _raw(value, "time")


def _interval(value: Any) -> str:
    if isinstance(value, timedelta):
        return f"{value.days} days {value.seconds}.{value.microseconds:06d} seconds"
    return _raw(value, "timedelta")


def _uuid(value: Any) -> str:
    return str(value) if isinstance(value, UUID) else _raw(value, "UUID")


def _raw(value: Any, wanted: str) -> str:
    """Text goes to the input function as it is; anything else is the wrong type."""
    if isinstance(value, str):
        return value
    raise Unencodable(f"{_name(value)} is not {wanted}")


def _vector(value: Any) -> str:
    if isinstance(value, list | tuple):
        parts = [plain(v) for v in value]
        if not all(isinstance(v, int | float) and not isinstance(v, bool) for v in parts):
            raise Unencodable("a vector holds something that is no number")
        if not all(math.isfinite(v) for v in parts):
            raise Unencodable("a vector holds NaN or infinity")
        return "[" + ",".join(map(repr, parts)) + "]"
    return _raw(value, "a list of numbers")


def _hstore(value: Any) -> str:
    if not isinstance(value, Mapping):
        return _raw(value, "a mapping of text")
    pairs = []
    for key, item in value.items():
        if not isinstance(key, str) or not isinstance(item, str | None):
            raise Unencodable("hstore holds only text and None")
        pairs.append(f"{_quoted(key)}=>{'NULL' if item is None else _quoted(item)}")
    return ",".join(pairs)


def _array(element: TypeRef) -> Encoder:
    encode = encoder(element)

    def to_array(value: Any) -> str:
        if isinstance(value, str):
            return value
        if not isinstance(value, list | tuple):
            raise Unencodable(f"{_name(value)} is not a list")
        return _members(value, encode, element.delimiter)

    return to_array


def _members(values: Any, encode: Encoder, delimiter: str) -> str:
    parts = []
    for raw in values:
        value = plain(raw)
        if value is None:
            parts.append("NULL")
        elif isinstance(value, list | tuple) and encode not in (_vector, *_MARKS):
            parts.append(_members(value, encode, delimiter))
        else:
            parts.append(_quoted(encode(value)))
    return "{" + delimiter.join(parts) + "}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _other(value: Any) -> str:
    """Enums, ranges, addresses, money, xml …: text as it is, the rest as psycopg prints it."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int():
            return _digits(value)
        case float():
            return repr(value)
        case bytes() | bytearray() | memoryview() | Mapping() | list() | tuple():
            raise Unencodable(f"{_name(value)} does not fit this type")
        case _:
            pass
    try:
        dumped = Transformer().get_dumper(value, PyFormat.TEXT).dump(value)
    except psycopg.Error:
        raise Unencodable(f"{_name(value)} does not fit this type") from None
    if dumped is None:
        raise Unencodable(f"this {_name(value)} has no text")
    return bytes(dumped).decode()


def _name(value: Any) -> str:
    return type(value).__name__


_BY_NAME: Final[Mapping[str, Encoder]] = {
    "bool": _bool,
    **dict.fromkeys(INTEGERS, _integer),
    **dict.fromkeys(FLOATS, _numeric),
    "numeric": _numeric,
    "bytea": _bytea,
    "date": _date,
    "timestamp": _timestamp,
    "timestamptz": _timestamptz,
    "time": _time,
    "timetz": _time,
    "interval": _interval,
    "uuid": _uuid,
    "json": json_text,
    "jsonb": jsonb_text,
}
_MARKS: Final[Mapping[Encoder, tuple[str, str]]] = {
    json_text: jsons.COMPACT,
    jsonb_text: jsons.SPACED,
}
"""The encoders of JSON, of which a whole column is made in one go."""
