"""From a URL to an open ledger, the tables up to date."""

from __future__ import annotations

from collections.abc import Callable

from proctor.adapters.ledger.later import LaterLedger, is_ready
from proctor.adapters.ledger.memory import MemoryLedger
from proctor.ports import Ledger


async def open_ledger(url: str, *, redact: Callable[[str], str] = str) -> Ledger:
    """Open `sqlite:///file`, `postgresql://user@host/database` or `memory://`.

    Makes the file, its folder and the tables where they are missing, and upgrades tables of an
    older Proctor. Every text of an event goes through `redact` before it is kept.
    Raises ConfigError (not a URL of ours, or a ledger of a newer Proctor), Unreachable or
    Denied, each with what to do; none shows the password.
    """
    if url.partition(":")[0] == "memory":
        return MemoryLedger(redact=redact)
    if is_ready(url):
        return LaterLedger(url, redact)
    from proctor.adapters.ledger.sql import SqlLedger

    return await SqlLedger.open(url, redact=redact)


__all__ = ["open_ledger"]
