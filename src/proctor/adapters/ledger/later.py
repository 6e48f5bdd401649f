"""A ledger whose library is imported when it is first asked, since rows need not wait for it.

SQLAlchemy takes as long to import as all the rest of a run takes to its first committed row.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import sqlite3

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from proctor.adapters.ledger.chain import Chain
from proctor.adapters.ledger.revision import NEWEST, VERSION_TABLE
from proctor.model import Event
from proctor.ports import Ledger

SCHEME: Final = "sqlite:///"


class LaterLedger:
    """ports.Ledger in a SQLite file that `is_ready`; opened by the first question."""

    def __init__(self, url: str, redact: Callable[[str], str]) -> None:
        """Nothing is imported or opened yet."""
        self._url = url
        self._redact = redact
        self._opening = asyncio.Lock()
        self._ledger: Ledger | None = None

    async def append(self, events: Sequence[Event]) -> None:
        """Keep events for good, in order, all or none; to its end, also when it is cancelled."""
        keeping = asyncio.ensure_future(self._append(events))
        try:
            await asyncio.shield(keeping)
        except asyncio.CancelledError:
            await asyncio.wait([keeping])
            keeping.result()  # a failure is more important than the cancellation
            raise

    async def _append(self, events: Sequence[Event]) -> None:
        await (await self._open()).append(events)

    async def events(
        self, *, run: str | None = None, name: str | None = None, limit: int | None = None
    ) -> list[Event]:
        """Events, oldest first; with `limit` the newest that many."""
        return await (await self._open()).events(run=run, name=name, limit=limit)

    async def verify_chain(self) -> Chain:
        """Whether every event is as it was kept; reads all of them."""
        return await (await self._open()).verify_chain()

    async def aclose(self) -> None:
        """Give back what was opened."""
        async with self._opening:
            if self._ledger is not None:
                await self._ledger.aclose()

    async def _open(self) -> Ledger:
        async with self._opening:
            if self._ledger is None:
                # In a thread, so that the lanes of a run go on meanwhile.
                sql = await asyncio.to_thread(
                    importlib.import_module, "proctor.adapters.ledger.sql"
                )
                self._ledger = await sql.SqlLedger.open(self._url, redact=self._redact)
            return self._ledger


def is_ready(url: str) -> bool:
    """Whether a URL names a ledger in a SQLite file that can be written and is up to date.

    Of any other the whole truth is wanted before a run begins: it may have to be made or
    upgraded, or be refused.
    """
    path = url.removeprefix(SCHEME)
    if path == url or not path or "?" in path or path.startswith(("file:", ":")):
        return False
    file = Path(path)
    if not (file.is_file() and os.access(file, os.W_OK) and os.access(file.parent, os.W_OK)):
        return False
    try:
        with contextlib.closing(sqlite3.connect(file)) as connection:
            found = connection.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchone()
    except sqlite3.Error:
        return False
    return bool(found == (NEWEST,))


__all__ = ["LaterLedger", "is_ready"]
