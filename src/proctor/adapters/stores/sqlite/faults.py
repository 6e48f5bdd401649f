"""What SQLite complains of, as the errors that the engine and people act on."""

from __future__ import annotations

import sqlite3

from typing import Final

from proctor.errors import Busy, Denied, InDoubt, ProctorError, TargetError, TooSlow, Unreachable

BUSY, LOCKED = 5, 6
_DENIED: Final = {3, 8, 23}  # PERM, READONLY, AUTH
_GONE: Final = {10, 11, 14, 26}  # IOERR, CORRUPT, CANTOPEN, NOTADB
_FULL: Final = 13
_INTERRUPT: Final = 9
CONSTRAINT, MISMATCH, TOO_BIG = 19, 20, 18
_MISSING: Final = ("no such table", "no such column", "no such function")
_MEANINGLESS: Final = (
    "near ",
    "incomplete input",
    "unrecognized token",
    "ambiguous column name",
    "misuse of ",
    "wrong number of arguments",
    "You can only execute one statement",
)
"""What SQLite says of a statement before it looks at a row."""
_TRIGGER_CODES: Final = {1043, 1811}  # CONSTRAINT_FUNCTION, CONSTRAINT_TRIGGER

Refusal: tuple[type[Exception], ...] = (
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.OperationalError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    OverflowError,
    UnicodeEncodeError,
)
"""What may be raised for one row; `is_refusal` tells it from an error of the whole database."""


def primary(error: BaseException) -> int:
    """The primary result code, 0 where it has none."""
    return int(getattr(error, "sqlite_errorcode", None) or 0) & 0xFF


def is_refusal(error: BaseException) -> bool:
    """Whether the database refused a row, as against being busy, full, gone or too slow."""
    if isinstance(error, OverflowError | UnicodeEncodeError):
        return True
    if isinstance(error, sqlite3.IntegrityError | sqlite3.InterfaceError):
        return True
    if isinstance(error, sqlite3.ProgrammingError):
        # A value of a kind that is only bound one by one; anything else is our own mistake.
        return "binding" in str(error)
    return primary(error) in (1, CONSTRAINT, MISMATCH, TOO_BIG)


def reason(error: BaseException) -> str:
    """Why a row was refused, without any value of it.

    SQLite's own messages name tables, columns and constraints, never values. The message of
    a trigger's RAISE is an expression in newer versions, and may hold anything: it stays out.
    """
    if isinstance(error, OverflowError):
        return "a whole number has more than 64 bits"
    if isinstance(error, UnicodeEncodeError):
        return "text holds half a surrogate pair, which UTF-8 cannot store"
    extended = int(getattr(error, "sqlite_errorcode", None) or 0)
    if extended in _TRIGGER_CODES and sqlite3.sqlite_version_info >= (3, 47):
        return "a trigger refused it"
    if isinstance(error, sqlite3.IntegrityError | sqlite3.DataError):
        return str(error)
    # Messages of functions in an author's expression or a trigger may quote their argument.
    return str(error) if _plain(str(error)) else "the database could not compute it"


def _plain(message: str) -> bool:
    return message in ("malformed JSON", "integer overflow", "datatype mismatch")


def translate(
    error: sqlite3.Error | sqlite3.Warning, path: str, *, committing: bool = False
) -> ProctorError:
    """The error that stands for a complaint about the whole database or statement."""
    code, said = primary(error), str(error)
    made: ProctorError
    if code in (BUSY, LOCKED):
        made = Busy("the database file is busy", found=f"another process writes to {path}")
    elif code == _INTERRUPT:
        made = TooSlow("a statement ran into its time-out", found=path)
    elif code in _DENIED:
        made = Denied(
            f"{path} may not be written",
            found=said,
            fix="give this user the right to write the file and its directory (chmod u+w)",
        )
    elif code == _FULL:
        made = Unreachable(
            f"{path} cannot grow", found=said, fix="free space on its disk; then resume"
        )
    elif code in _GONE and committing:
        made = InDoubt("the write to disk broke off", found=said)
    elif code in _GONE:
        made = Unreachable(
            f"{path} cannot be read as a SQLite database",
            found=said,
            fix="check the path, the file's rights and its disk",
        )
    else:
        made = TargetError("the database refused a statement", found=said)
        made.missing = said.startswith(_MISSING)
        made.for_good = made.missing or said.startswith(_MEANINGLESS)
    return made
