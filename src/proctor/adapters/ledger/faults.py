"""What a database's error means for the ledger: who must act, in words without values."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from proctor.adapters.ledger.engines import STANDBY
from proctor.errors import Busy, ConfigError, Denied, ProctorError, Unreachable

BUSY: Final = frozenset({"40001", "40P01", "55P03", "57014", "53300"})
_LOGIN: Final = frozenset({"28P01", "28000"})


def place_of(url: sa.URL) -> str:
    """Where a ledger is, without user, password and query."""
    if url.drivername.startswith("sqlite"):
        return f"the file {url.database or ':memory:'}"
    port = f":{url.port}" if url.port else ""
    return f"database {url.database or ''} on {url.host or 'the local socket'}{port}"


def translate(error: Exception, url: sa.URL) -> ProctorError:
    """The same error in our tree. Only its first line is kept: the rest may hold values."""
    origin = getattr(error, "orig", None) or error
    said = (str(origin).strip().splitlines() or [type(origin).__name__])[0]
    if url.password:
        said = said.replace(str(url.password), "***")
    where = place_of(url)
    if url.drivername.startswith("sqlite"):
        return _of_sqlite(said, where)
    return _of_postgres(str(getattr(origin, "sqlstate", None) or ""), said, where)


def _of_sqlite(said: str, where: str) -> ProctorError:
    low = said.lower()
    if "locked" in low or "busy" in low:
        return Busy(f"the ledger is busy: {where}", found=said)
    if "readonly" in low or "read-only" in low or "permission" in low:
        fix = "let this user write the file and its folder"
        return Denied(f"the ledger cannot be written: {where}", found=said, fix=fix)
    if "not a database" in low or "malformed" in low:
        return ConfigError(
            f"the ledger is not a SQLite database: {where}",
            found=said,
            fix="point `ledger` in proctor.toml at another file; progress lives in the store",
        )
    return Unreachable(
        f"the ledger cannot be used: {where}",
        found=said,
        fix="see that its folder exists, can be written and has room",
    )


def _of_postgres(state: str, said: str, where: str) -> ProctorError:
    if state in BUSY:
        return Busy(f"the ledger is busy: {where}", found=said)
    if state == "42501":
        return Denied(
            f"the role may not keep a ledger: {where}",
            found=said,
            fix="GRANT CREATE ON DATABASE … TO the role, or GRANT ALL on the schema "
            "proctor_ledger and its tables to it",
        )
    if state == STANDBY:
        # While servers change places everybody is a standby for a moment: it is waited for.
        return Unreachable(
            f"the ledger cannot be written: {where}",
            found=said,
            fix="use the primary server, not a standby",
        )
    fix = "see that the server runs and that host and port in `ledger` are right"
    # A failed login has no SQLSTATE of its own in the driver: only the server's words tell.
    if state in _LOGIN or "authentication failed" in said or "no password supplied" in said:
        fix = "correct user and password in `ledger` of proctor.toml"
    elif state == "3D000" or ("database" in said and "does not exist" in said):
        fix = "create the database, or correct its name in `ledger` of proctor.toml"
    return Unreachable(f"the ledger cannot be used: {where}", found=said, fix=fix)


__all__ = ["place_of", "translate"]
