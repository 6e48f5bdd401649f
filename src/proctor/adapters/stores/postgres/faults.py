"""What a Postgres error means: who must act on it, and what may be said of it aloud."""

from __future__ import annotations

import re

from collections.abc import Iterable
from typing import Any, Final

import psycopg

from proctor.adapters.stores.postgres.literal import ident
from proctor.errors import (
    Busy,
    ConnectionLost,
    Denied,
    InDoubt,
    OperatorError,
    ProctorError,
    TargetError,
    TooSlow,
    Unreachable,
)

BUSY: Final = frozenset({"40001", "40P01", "55P03", "55006", "53300"})
"""Serialisation, deadlock, lock time-out, object in use, no connection free: try again."""
SLOW: Final = frozenset({"57014", "25P04"})
"""A statement or a transaction ran into its time-out."""
READ_ONLY: Final = "25006"
LOST: Final = frozenset({"57P01", "57P02", "57P03", "57P05", "25P03", READ_ONLY})
"""The server ended the session, or it has become a replica that cannot be written."""
MISSING: Final = frozenset({"42P01", "42703", "42883", "3F000"})
"""A table, column, function or schema that is not there."""
ELSEWHERE: Final = ("53", "57")
"""Classes that come from the server's state: out of memory or disk, an operator's doing."""
NO_PARENT: Final = "2203A"
"""A step leads through something that is no JSON object; the server does not say through what."""

QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'|“[^”]*”|«[^»]*»")


def lost(error: psycopg.Error) -> bool:
    """Whether the connection, and not the statement, failed."""
    state = error.sqlstate
    if state is None:
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return state in LOST or state.startswith("08")


def of_a_row(error: psycopg.Error) -> bool:
    """Whether a row may be to blame, so that bisection can find out.

    The code does not tell a row from a statement: a NaN that becomes a whole number is
    feature_not_supported, a text that is no tsquery a syntax error, and a trigger may raise
    whatever it likes.
    """
    state = error.sqlstate or ""
    if not state or lost(error) or state in BUSY | SLOW:
        return False
    return not state.startswith(ELSEWHERE)


def translate(
    error: psycopg.Error, *, commit_sent: bool = False, writes: bool = True
) -> ProctorError:
    """The same error in our tree; call it with what is known of COMMIT.

    writes: whether the transaction was opened to write. Where it was not, a write is no sign of
    a server that has become a replica: somebody's statement is wrong.
    """
    state = error.sqlstate or ""
    would_write = state == READ_ONLY and not writes
    if lost(error) and not would_write:
        words = "the connection to Postgres broke"
        found = _first_line(error) if state in LOST else ""
        if commit_sent:
            return InDoubt(f"{words} after COMMIT was sent", found=found)
        return ConnectionLost(words, found=found)
    if state in BUSY:
        return Busy("Postgres asks to try again", found=_first_line(error))
    if state in SLOW:
        return TooSlow("a statement ran into its time-out", found=_first_line(error))
    if state == "42501":
        return denied(error)
    said = _first_line(error) if would_write else structural(error)
    made = TargetError("Postgres refused a statement", found=said)
    made.missing = state in MISSING
    made.for_good = made.missing or would_write or state.startswith("42")
    return made


SPELLED: Final = (
    "write it as postgresql://USER:PASSWORD@HOST:PORT/DATABASE, and what a user name or password "
    "has of / @ : # ? % percent-encoded: / as %2F, @ as %40"
)


def unreachable(error: psycopg.Error) -> OperatorError:
    """Why a connection could not be made; never the URL, which may hold a password."""
    said = _first_line(error)
    bad_port = "Servname not supported" in said or '"port"' in said or "invalid port" in said
    if isinstance(error, psycopg.ProgrammingError) or bad_port:
        port = "its port is not a number" if bad_port else ""
        what = "the URL of the Postgres database cannot be read"
        return Unreachable(what, found=port, fix=SPELLED)
    if "failed to resolve host" in said:
        # With an @ in a password that is not encoded a part of it is taken for the host.
        found = "what stands behind the first @" if "@" in said else said
        return Unreachable("the host in the URL of Postgres is not known", found=found, fix=SPELLED)
    what = "Postgres does not answer"
    fix = "see that the server runs and that host and port are right"
    if "authentication failed" in said or "no password supplied" in said:
        what, fix = "Postgres refuses the login", "check the user and the password in the URL"
    elif "FATAL" in said or " refused: " in said:
        what, fix = "Postgres refuses the connection", "check the URL's database, role and TLS"
    return Unreachable(what, found=said, fix=fix)


def denied(error: psycopg.Error) -> Denied:
    """Which privilege is missing, as far as the server says."""
    said = _first_line(error)
    match = re.search(r"permission denied for (materialized view|\w+) (.+)", said)
    fix = "grant the role what it needs on this object"
    if match:
        kind, name = match.groups()
        kind = "TABLE" if kind in ("relation", "view", "materialized view") else kind.upper()
        verbs = {"TABLE": "SELECT, UPDATE", "SCHEMA": "USAGE", "DATABASE": "CREATE"}
        verb = verbs.get(kind, "USAGE" if kind == "SEQUENCE" else "EXECUTE")
        fix = f"GRANT {verb} ON {kind} {ident(name)} TO the role of this connection"
    return Denied("the role may not do this", found=said, fix=fix)


def structural(error: psycopg.Error) -> str:
    """An error of a statement in words; names stay, quoted values of data errors do not."""
    said = _first_line(error)
    if not (error.sqlstate or "").startswith("42"):
        said = QUOTED.sub("…", said)
    return f"{said} ({error.sqlstate})" if error.sqlstate else said


def row_reason(error: psycopg.Error, values: Iterable[Any]) -> str:
    """Why the server refused one row, without that row's values.

    Names of constraints, columns and types stay; every other quoted part goes, and so does
    every value of the row that a trigger's own message repeats.
    """
    diag = error.diag
    names = {diag.column_name, diag.constraint_name, diag.table_name, diag.datatype_name}
    kept = {n for n in names if n}

    def keep(match: re.Match[str]) -> str:
        inner = match.group()[1:-1]
        return match.group() if inner in kept else "…"

    if error.sqlstate == NO_PARENT:
        return "a place to be filled is in a list or a plain value, not in a JSON object (2203A)"
    said = QUOTED.sub(keep, _first_line(error))
    for value in sorted({str(v) for v in _flat(values)}, key=len, reverse=True):
        if value and value not in kept:
            said = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", "…", said)
    return f"{said} ({error.sqlstate})"


def _flat(values: Iterable[Any]) -> Iterable[Any]:
    for value in values:
        if isinstance(value, dict):
            yield from _flat(value.values())
        elif isinstance(value, list | tuple):
            yield from _flat(value)
        elif value is not None and not isinstance(value, bool):
            yield value


def _first_line(error: psycopg.Error) -> str:
    said = error.diag.message_primary or str(error)
    return said.strip().partition("\n")[0].strip()
