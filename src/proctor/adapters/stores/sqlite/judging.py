"""What SQLite lacks to judge values: regular expressions, moments and exact differences."""

from __future__ import annotations

import re
import sqlite3

from datetime import UTC, datetime
from typing import Any, Final

from proctor.core.checks.lazy import compiled
from proctor.core.checks.paths_insql import judged
from proctor.core.checks.values import drifts, moment

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def teach(connection: sqlite3.Connection) -> None:
    """Give a connection the functions that checks are written with; they only compute."""
    connection.create_function("proctor_fits", 2, _fits, deterministic=True)
    connection.create_function("proctor_holds", 2, _holds, deterministic=True)
    connection.create_function("proctor_moment", 1, _moment, deterministic=True)
    connection.create_function("proctor_drifts", 3, _drifts, deterministic=True)
    connection.create_function("proctor_judged", 3, judged, deterministic=True)


def _fits(regex: str, text: Any) -> bool:
    return isinstance(text, str) and compiled(regex).fullmatch(text) is not None


def _holds(regex: str, text: Any) -> bool:
    return isinstance(text, str) and re.search(compiled(regex), text) is not None


def _moment(value: Any) -> int | None:
    """Microseconds since 1970."""
    at = moment(value)
    if at is None:
        return None
    since = at - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _drifts(new: Any, old: Any, most: str) -> bool | None:
    # The bound comes as text: as it was written.
    return drifts(new, old, float(most))
