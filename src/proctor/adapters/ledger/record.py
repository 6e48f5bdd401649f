"""An event as it is kept: seven texts and numbers that mean the same in every ledger."""

from __future__ import annotations

import enum
import json
import math

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import PurePath
from typing import Any, Final
from uuid import UUID

from proctor.model import Event

DEEPEST: Final = 20
"""Data nested deeper than this is cut off: a list that holds itself must not end the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One event, encoded. `data` is JSON, `at` ISO 8601 in UTC with six digits of a second."""

    name: str
    at: str
    run: str
    env: str
    who: str
    data: str


def encode(event: Event, redact: Callable[[str], str]) -> Record:
    """Make an event keepable; every text in it goes through `redact`.

    Numbers, texts, lists and mappings are kept; times, paths, enums and the like become text;
    of anything else only the name of its type. Raises ValueError for a time without a zone.
    """
    if event.at.tzinfo is None:
        raise ValueError(f"the time of event {event.name} has no zone")
    data = json.dumps(_plain(event.data, redact), sort_keys=True, ensure_ascii=False)
    return Record(
        name=_text(event.name),
        at=event.at.astimezone(UTC).isoformat(timespec="microseconds"),
        run=_text(redact(event.run)),
        env=_text(redact(event.env)),
        who=_text(redact(event.who)),
        # A lone surrogate, as odd file names have them, becomes its JSON escape.
        data=data.encode("utf-8", "backslashreplace").decode("utf-8"),
    )


def decode(record: Record) -> Event:
    """The event again; its data as JSON knows it, so tuples are lists."""
    return Event(
        name=record.name,
        at=datetime.fromisoformat(record.at),
        run=record.run,
        env=record.env,
        who=record.who,
        data=json.loads(record.data),
    )


def _text(text: str) -> str:
    """A text that every database takes: no lone surrogate, no NUL."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\0")


def _plain(value: Any, redact: Callable[[str], str], depth: int = 0) -> Any:
    """The value as JSON can hold it."""
    if not isinstance(value, Mapping | list | tuple | set | frozenset):
        return _scalar(value, redact)
    if depth >= DEEPEST:
        return "…"
    if isinstance(value, Mapping):
        return {redact(str(k)): _plain(v, redact, depth + 1) for k, v in value.items()}
    inner = [_plain(v, redact, depth + 1) for v in value]
    return sorted(inner, key=repr) if isinstance(value, set | frozenset) else inner


def _scalar(value: object, redact: Callable[[str], str]) -> Any:
    value = value.value if isinstance(value, enum.Enum) else value
    if isinstance(value, str | PurePath | Decimal | Fraction | UUID):
        return redact(str(value))
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, date | time):
        return value.isoformat()
    # The text of an unknown object may hold anything, also a row's values.
    return f"<{type(value).__name__}>"


__all__ = ["Record", "decode", "encode"]
