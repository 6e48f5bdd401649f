"""Arrays packed for the wire in one go, and values that Python cannot hold read as text.

psycopg's own lists cost four times as much a row (perf-spike, section 3); a packed array is the
binary form that `array_recv` takes, joined from bytes that are ready anyway.
"""

from __future__ import annotations

import struct

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, Final

import psycopg

from psycopg import AsyncConnection, adapters
from psycopg.abc import AdaptContext, Buffer, DumperKey
from psycopg.adapt import AdaptersMap, Dumper, Loader, PyFormat, Transformer
from psycopg.pq import ExecStatus, Format
from psycopg.pq.abc import PGresult
from psycopg.types.datetime import (
    DateLoader,
    IntervalLoader,
    TimeLoader,
    TimestampLoader,
    TimestamptzLoader,
    TimetzLoader,
)
from psycopg.types.json import JsonbLoader, JsonLoader

TEXT_OID: Final = 25
INT4_OID: Final = 23
INT8_OID: Final = 20
XID_OID: Final = 28
NULL: Final = b"\xff\xff\xff\xff"
_LENGTH: Final = struct.Struct("!i")
UNREADABLE: Final = (psycopg.DataError, ValueError, OverflowError, RecursionError)
"""What a loader raises for a value that Python cannot hold: infinity, the year 10000, BC."""


class Packed:
    """A whole array in its binary form, as one parameter."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        """The bytes after the parameter's length, from the number of dimensions on."""
        self.data = data


class PackedDumper(Dumper):
    """Sends the bytes as they are; the statement's own cast says which array it is."""

    format = Format.BINARY
    oid = 0

    def dump(self, obj: Packed) -> Buffer | None:
        """Nothing is left to do."""
        return obj.data

    def get_key(self, obj: Packed, format: PyFormat) -> DumperKey:  # noqa: A002, ARG002 (psycopg's)
        """One dumper for all."""
        return type(obj)


def register(connection: AsyncConnection) -> None:
    """Teach a connection to send packed arrays."""
    connection.adapters.register_dumper(Packed, PackedDumper)


def _head(oid: int, count: int, *, nulls: bool) -> bytes:
    if not count:
        return struct.pack("!iiI", 0, 0, oid)
    return struct.pack("!iiIii", 1, int(nulls), oid, count, 1)


def texts(cells: Sequence[bytes | None]) -> Packed:
    """A text[] of cells in UTF-8; None is null."""
    whole = [cell for cell in cells if cell is not None]
    if len(whole) == len(cells):
        sizes = map(_LENGTH.pack, map(len, whole))
        body = b"".join(chain.from_iterable(zip(sizes, whole, strict=True)))
        return Packed(_head(TEXT_OID, len(whole), nulls=False) + body)
    parts = [_head(TEXT_OID, len(cells), nulls=True)]
    add = parts.append
    for cell in cells:
        if cell is None:
            add(NULL)
        else:
            add(len(cell).to_bytes(4, "big"))
            add(cell)
    return Packed(b"".join(parts))


def int8s(values: Sequence[int]) -> Packed:
    """An int8[] without nulls."""
    return _fixed(INT8_OID, "q", values)


def int4s(values: Sequence[int]) -> Packed:
    """An int4[] without nulls."""
    return _fixed(INT4_OID, "i", values)


def xids(values: Iterable[str]) -> Packed:
    """An xid[] from transaction ids as the server prints them."""
    return _fixed(XID_OID, "I", list(map(int, values)))


def _fixed(oid: int, code: str, values: Sequence[int]) -> Packed:
    """Members of one width, each behind its length: laid out byte by byte in columns."""
    numbers = struct.pack(f"!{len(values)}{code}", *values)
    width = struct.calcsize(f"!{code}")
    step = 4 + width
    body = bytearray(step * len(values))
    body[3::step] = bytes([width]) * len(values)
    for i in range(width):
        body[4 + i :: step] = numbers[i::width]
    return Packed(_head(oid, len(values), nulls=False) + body)


def _tolerant(loader: type[Loader]) -> type[Loader]:
    """The same loader, giving the server's text for what Python cannot hold."""

    class Tolerant(loader):  # type: ignore[misc,valid-type] # made for each kind of loader
        def load(self, data: Buffer) -> Any:
            try:
                return super().load(data)
            except UNREADABLE:
                return bytes(data).decode()

    return Tolerant


class PostgresInterval(IntervalLoader):
    """Reads the interval style that our transactions set, whatever the session's own is."""

    def __init__(self, oid: int, context: AdaptContext | None = None) -> None:
        super().__init__(oid, context)
        self._load_method = self._load_postgres


_TOLERANT: Final = {
    "date": _tolerant(DateLoader),
    "time": _tolerant(TimeLoader),
    "timetz": _tolerant(TimetzLoader),
    "timestamp": _tolerant(TimestampLoader),
    "timestamptz": _tolerant(TimestamptzLoader),
    "interval": _tolerant(PostgresInterval),
    "json": _tolerant(JsonLoader),
    "jsonb": _tolerant(JsonbLoader),
}


class _Context:
    """What a transformer asks of a connection; there is none.

    A message that ends with COMMIT is read after the session has its own date style and time
    zone back, so what the connection says of them then is not what the rows were printed under.
    Without a connection psycopg reads ISO dates in UTC, which is what our transactions set.
    """

    connection = None

    def __init__(self, loaders: Mapping[str, type[Loader]]) -> None:
        self.adapters = AdaptersMap(adapters)
        for name, loader in loaders.items():
            self.adapters.register_loader(name, loader)


_PLAIN: Final = _Context({"interval": PostgresInterval})
_CAREFUL: Final = _Context(_TOLERANT)


def rows_of(cursor: psycopg.AsyncCursor[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The rows of the current result; values that Python cannot hold come as their text."""
    result = cursor.pgresult
    if result is None or result.status != ExecStatus.TUPLES_OK:
        return []
    try:
        return _load(result, _PLAIN)
    except UNREADABLE:
        return _load(result, _CAREFUL)


def _load(result: PGresult, context: _Context) -> list[tuple[Any, ...]]:
    transformer = Transformer(context)
    transformer.set_pgresult(result)
    return transformer.load_rows(0, result.ntuples, tuple)
