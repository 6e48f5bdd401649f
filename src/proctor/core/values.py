"""Which values can be written at all: judges a column of them at a time, and tidies a few."""

from __future__ import annotations

import enum
import math

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import chain
from types import NoneType
from typing import Any
from uuid import UUID

PLAIN: frozenset[type] = frozenset(
    {NoneType, bool, int, bytes, date, datetime, time, timedelta, Decimal, UUID}
)
"""Written as they are, without a look at the value."""
JSON_LEAVES: frozenset[type] = frozenset({NoneType, bool, int, str})
_TEXT = frozenset({str})
_DOCUMENT = frozenset({dict})
_DEEP = 16
"""Levels of documents that are judged all at once; what is deeper, or a circle, one by one."""
_FAST = frozenset({str, float})
_BRANCHES = frozenset({dict, list})


class Unwritable(Exception):
    """A value that no store could keep; the text says why and what to give instead."""


def tidy(column: list[Any]) -> dict[int, str]:
    """Look at one column of answers: the positions that cannot be written, with the reason.

    Tidies values in place: an enum becomes its value, a tuple a list, a subclass of text or
    number the plain kind, so that stores meet few types.
    """
    kinds = set(map(type, column)) - PLAIN
    if not kinds or (kinds <= _FAST and _all_good(column, kinds)):
        return {}
    if kinds == _DOCUMENT and _all_plain(column):
        return {}
    bad: dict[int, str] = {}
    for i, value in enumerate(column):
        if type(value) in PLAIN:
            continue
        try:
            if type(value) is dict:
                _json(value)
            else:
                column[i] = _tidied(value)
        except Unwritable as fault:
            bad[i] = str(fault)
        except RecursionError:
            bad[i] = "a value is nested too deeply to be stored"
    return bad


def _all_good(column: list[Any], kinds: set[type]) -> bool:
    """Whether a column of plain values, texts and numbers needs no second look: the usual case."""
    texts = [v for v in column if type(v) is str] if str in kinds else []
    if not all(map(str.isascii, texts)):
        try:
            "".join(texts).encode()
        except UnicodeEncodeError:
            return False
    return float not in kinds or not any(v != v for v in column if type(v) is float)  # noqa: PLR0124 - only NaN differs from itself


def _all_plain(column: list[Any]) -> bool:
    """Whether documents hold only text, whole numbers, truth values, lists and such documents.

    A level of all documents at a time: a page has thousands of small ones.
    """
    dicts, lists = [value for value in column if type(value) is dict], list[Any]()
    every = chain.from_iterable
    for _ in range(_DEEP):
        if not _TEXT.issuperset(map(type, every(dicts))):
            return False
        values = list(chain(every(map(dict.values, dicts)), every(lists)))
        kinds = set(map(type, values)) - JSON_LEAVES
        if not kinds:
            return True
        if not kinds <= _BRANCHES:
            return False
        dicts = [value for value in values if type(value) is dict] if dict in kinds else []
        lists = [value for value in values if type(value) is list] if list in kinds else []
    return False


def _tidied(value: Any) -> Any:
    """The value as it will be written; raises Unwritable."""
    if isinstance(value, enum.Enum):
        value = value.value
    tidied = value
    match value:
        case str():
            tidied = _text(value)
        case float():
            if math.isnan(value):
                raise Unwritable("NaN is not a value: return None where there is no number")
            tidied = float(value)
        case dict():
            _json(value)
        case list() | tuple():
            _array(value)
            tidied = list(value)
        case bytearray() | memoryview():
            tidied = bytes(value)
        case int() if type(value) is not bool:
            tidied = int(value)
        case None | bool() | bytes() | date() | time() | timedelta() | Decimal() | UUID():
            pass
        case _:
            raise Unwritable(_unknown(value))
    return tidied


def _text(value: str) -> str:
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise Unwritable(
                "a text holds half a character (a lone surrogate), which no database stores"
            ) from None
    return value if type(value) is str else str.__str__(value)


def _array(values: Sequence[Any]) -> None:
    """A list may become JSON, or an array whose elements are of any plain kind."""
    if not PLAIN.union(_TEXT).issuperset(map(type, values)):
        _all_json(values)


def _json(value: Mapping[Any, Any]) -> None:
    """Raise Unwritable unless JSON can hold it; every fill of a document passes here."""
    if not _TEXT.issuperset(map(type, value)) and not all(isinstance(k, str) for k in value):
        wrong = next(type(k).__name__ for k in value if not isinstance(k, str))
        raise Unwritable(f"the names in a JSON object are text, and one is of type {wrong}")
    _all_json(value.values())


def _all_json(values: Iterable[Any]) -> None:
    """Raise Unwritable for what JSON cannot hold, at any depth."""
    for value in values:
        kind = type(value)
        if kind in JSON_LEAVES:
            continue
        if kind is list:
            if not JSON_LEAVES.issuperset(map(type, value)):
                _all_json(value)
        elif isinstance(value, dict):
            _json(value)
        elif isinstance(value, float):
            if not math.isfinite(value):
                raise Unwritable(
                    "a list or JSON value holds NaN or infinity: put None, or leave it out"
                )
        elif isinstance(value, list | tuple):
            _all_json(value)
        elif not isinstance(value, str | int):
            raise Unwritable(_unknown(value, inside=True))


def _unknown(value: Any, *, inside: bool = False) -> str:
    """Say what kind of value cannot be stored, and what could."""
    kind = type(value).__name__
    where = f"a {kind} inside a list or JSON value" if inside else f"a value of type {kind}"
    if isinstance(value, AbstractSet):
        return f"{where} has no order: return sorted(…), a list"
    if hasattr(value, "tolist"):
        return f"{where} cannot be stored: return value.tolist()"
    if inside and isinstance(value, date | time | Decimal | UUID):
        return f"{where} is not JSON: return str(value)"
    if isinstance(value, Mapping):
        return f"{where} cannot be stored: return dict(…)"
    return f"{where} cannot be stored: return text, numbers, dates, lists, dicts or None"
