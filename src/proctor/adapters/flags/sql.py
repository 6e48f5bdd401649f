"""A flag in a row of a table: compare-and-set on its version, and a cohort that only grows."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import re

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import sqlalchemy as sa

from sqlalchemy.dialects import postgresql, sqlite

from proctor.adapters.flags.tool import Said, fault, made_up, moved
from proctor.core.cohort import lets_in
from proctor.errors import ConfigError, FlagFault
from proctor.model import FlagPowers, FlagState, SqlFlag

T = TypeVar("T")

PAGE: Final = 500
"""Readers of one statement."""
_DRIVERS: Final = {
    "sqlite": "sqlite+pysqlite",
    "sqlite+pysqlite": "sqlite+pysqlite",
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}


class SqlTool:
    """A `Tool` over one row.

    A reader is let in where its bucket (see `core/cohort`) is under the percent and, if there is
    a cohort table, it is in that as well.
    """

    powers = FlagPowers()

    def __init__(self, settings: SqlFlag) -> None:
        """Nothing is connected yet. ConfigError for a URL that is neither SQLite nor Postgres."""
        self._settings = settings
        self._engine, self._file = _engine(settings)
        self._flags = _table(
            settings.table,
            settings.key_column,
            settings.percent_column,
            settings.version_column,
        )
        self._key, self._percent, self._version = (
            self._flags.c[name]
            for name in (settings.key_column, settings.percent_column, settings.version_column)
        )
        self._cohort = _table(settings.cohort_table or "-", "flag", "subject")

    async def fetch(self) -> FlagState:
        """See `Tool`."""
        return await self._asked(self._fetch)

    def after(self, percent: int, expect: FlagState) -> FlagState:
        """See `Tool`."""
        return _state(percent, int(expect.version) + 1)

    async def put(self, percent: int, expect: FlagState, said: Said) -> None:
        """See `Tool`: first the cohort, which by itself lets nobody in, then the percent."""
        if self._settings.cohort_table and percent:
            await self._asked(lambda c: self._admit(c, percent))
        await self._asked(lambda c: self._set(c, percent, expect, said))

    async def put_back(self, state: FlagState, said: Said) -> None:
        """See `Tool`: the version still rises."""
        await self._asked(lambda c: self._set(c, state.percent, None, said))

    def is_back(self, found: FlagState, state: FlagState) -> bool:
        """See `Tool`."""
        return found.percent == state.percent

    async def readers(self, most: int) -> list[str]:
        """See `Tool`: with a cohort table real ones, by a hash that is not the flag's."""
        if not self._settings.cohort_table:
            return made_up(most)
        known = await self._asked(self._readers)
        drawn = sorted(known, key=lambda one: hashlib.sha256(f"ask:{one}".encode()).digest())
        return drawn[:most]

    async def observe(self, subjects: Sequence[str]) -> list[bool]:
        """See `Tool`: by the rule that applications go by."""
        return await self._asked(lambda c: self._observe(c, subjects))

    async def aclose(self) -> None:
        """See `Tool`."""
        await asyncio.to_thread(self._engine.dispose)

    async def _asked(self, question: Callable[[sa.Connection], T]) -> T:
        """The answer of one short transaction."""

        def ask() -> T:
            with self._faults(), self._engine.begin() as connection:
                if connection.dialect.name == "postgresql":
                    most = f"{int(self._settings.timeout_s * 1000)}ms"
                    limits = ("lock_timeout", "statement_timeout")
                    connection.execute(
                        sa.select(*(sa.func.set_config(name, most, True) for name in limits))
                    )
                return question(connection)

        return await asyncio.to_thread(ask)

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        settings = self._settings
        if self._file is not None and not self._file.is_file():
            raise fault(settings, "is in a database that is not there", found=str(self._file))
        try:
            yield
        except sa.exc.SQLAlchemyError as error:
            # From None: the library's words hold the statement, and a driver's the address.
            cause = getattr(error, "orig", None)
            found = str(cause).strip().partition("\n")[0] if cause else type(error).__name__
            raise fault(
                settings,
                "could not be asked of its database",
                found=found if "://" not in found else type(cause).__name__,
                fix=f"look at url, table and columns of [flags.{settings.name}]",
            ) from None

    def _fetch(self, connection: sa.Connection) -> FlagState:
        rows = connection.execute(
            sa.select(self._percent, self._version).where(self._key == self._settings.flag)
        ).all()
        if len(rows) != 1:
            raise self._not_one(len(rows))
        percent, version = rows[0]
        if not _is_number(percent) or not 0 <= percent <= 100 or not _is_number(version):
            raise fault(
                self._settings,
                "has a percent or a version that is no whole number",
                found=f"{type(percent).__name__} and {type(version).__name__}",
                fix="make both columns INTEGER NOT NULL, the percent from 0 to 100",
            )
        return _state(int(percent), int(version))

    def _not_one(self, rows: int) -> FlagFault:
        settings = self._settings
        columns = f"{settings.key_column}, {settings.percent_column}, {settings.version_column}"
        key = settings.flag.replace("'", "''")
        insert = f"INSERT INTO {settings.table} ({columns}) VALUES ('{key}', 0, 1)"
        return fault(
            settings,
            f"has {rows} rows in {settings.table}",
            found=f"{settings.key_column} = {settings.flag!r}",
            fix=insert if not rows else f"make {settings.key_column} the table's key",
        )

    def _set(
        self,
        connection: sa.Connection,
        percent: int,
        expect: FlagState | None,
        said: Said,
    ) -> None:
        found = self._fetch(connection) if expect is None else expect
        update = (
            sa.update(self._flags)
            .where(self._key == self._settings.flag)
            .values({self._percent: percent, self._version: self._version + 1})
        )
        if expect is not None:
            update = update.where(
                self._version == int(expect.version), self._percent == expect.percent
            )
        if connection.execute(update).rowcount != 1:
            raise moved(self._settings, self._fetch(connection), found)
        if self._settings.audit_table:
            self._note(connection, found.percent, percent, said)

    def _note(self, connection: sa.Connection, before: int, after: int, said: Said) -> None:
        noted = {
            "flag": self._settings.flag,
            "percent_before": before,
            "percent_after": after,
            "reason": said.reason,
            "once": said.once,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        connection.execute(sa.insert(_table(self._settings.audit_table, *noted)).values(noted))

    def _readers(self, connection: sa.Connection) -> list[str]:
        """Those that may be let in, as text."""
        # What looks like a parameter of the library's is the user's own text.
        plain = re.sub(r"(?<!:):(?=\w)", r"\:", self._settings.subjects)
        rows = connection.execute(sa.text(plain))
        return [str(row[0]) for row in rows if row[0] is not None]

    def _admit(self, connection: sa.Connection, percent: int) -> None:
        insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
        key = self._settings.flag
        known = [one for one in self._readers(connection) if lets_in(key, one, percent)]
        for page in _pages(known):
            rows = [{"flag": key, "subject": subject} for subject in page]
            connection.execute(insert(self._cohort).values(rows).on_conflict_do_nothing())

    def _observe(self, connection: sa.Connection, subjects: Sequence[str]) -> list[bool]:
        percent, key = self._fetch(connection).percent, self._settings.flag
        seen = [lets_in(key, one, percent) for one in subjects]
        if not self._settings.cohort_table:
            return seen
        inside: set[str] = set()
        subject = self._cohort.c.subject
        for page in _pages(subjects):
            asked = sa.select(subject).where(self._cohort.c.flag == key, subject.in_(page))
            inside.update(str(one) for one in connection.scalars(asked))
        return [yes and one in inside for yes, one in zip(seen, subjects, strict=True)]


def _engine(settings: SqlFlag) -> tuple[sa.Engine, Path | None]:
    """An engine that keeps no connection, and the file of a SQLite one."""
    try:
        address = sa.make_url(settings.url)
        address = address.set(drivername=_DRIVERS[address.drivername])
    except (sa.exc.ArgumentError, ValueError, KeyError):
        # From None: the cause shows the URL, and the URL the password.
        raise ConfigError(
            f"the URL of the flag {settings.name} is not one that Proctor knows",
            fix="write sqlite:///app.db or postgresql://user@host/database",
        ) from None
    lite = address.drivername.startswith("sqlite")
    polite: dict[str, Any] = (
        {"timeout": settings.timeout_s}
        if lite
        else {
            "connect_timeout": 10,
            "application_name": "proctor-flags",
            "prepare_threshold": None,  # a pooler in transaction mode keeps none
        }
    )
    try:
        engine = sa.create_engine(
            address, poolclass=sa.NullPool, hide_parameters=True, connect_args=polite
        )
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"the flag {settings.name} is on Postgres, which needs the driver psycopg",
            found=f"no module named {error.name}",
            fix="pip install 'proctor[postgres]'",
        ) from None
    file = address.database if lite else None
    plain = file and not file.startswith(("file:", ":"))
    return engine, Path(file) if file and plain else None


def _pages(subjects: Sequence[str]) -> Iterator[Sequence[str]]:
    return (subjects[at : at + PAGE] for at in range(0, len(subjects), PAGE))


def _table(name: str, *columns: str) -> sa.TableClause:
    schema, _, bare = name.rpartition(".")
    return sa.table(bare, *map(sa.column, columns), schema=schema or None)


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _state(percent: int, version: int) -> FlagState:
    return FlagState(percent=percent, version=str(version), raw=json.dumps({"percent": percent}))


__all__ = ["SqlTool"]
