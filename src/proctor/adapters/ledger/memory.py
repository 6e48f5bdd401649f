"""A ledger that forgets with its process: for tests and for trying things out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from proctor.adapters.ledger.chain import Chain, Head, Link, append, verify
from proctor.adapters.ledger.record import decode, encode
from proctor.model import Event


class MemoryLedger:
    """ports.Ledger in a list; keeps events in the same form as the SQL ledgers."""

    def __init__(self, *, redact: Callable[[str], str] = str) -> None:
        """Begin empty; every text of an event goes through `redact`."""
        self._redact = redact
        self._links: list[Link] = []
        self._head = Head()

    async def append(self, events: Sequence[Event]) -> None:
        """Keep events in order."""
        records = [encode(event, self._redact) for event in events]
        links, self._head = append(self._head, records)
        self._links += links

    async def events(
        self, *, run: str | None = None, name: str | None = None, limit: int | None = None
    ) -> list[Event]:
        """Events, oldest first; with `limit` the newest that many."""
        found = [
            decode(link.record)
            for link in self._links
            if (run is None or link.record.run == run)
            and (name is None or link.record.name == name)
        ]
        return found if limit is None else found[max(0, len(found) - limit) :]

    async def verify_chain(self) -> Chain:
        """Whether every event is as it was kept."""
        return verify(self._links, self._head)

    async def aclose(self) -> None:
        """Nothing to give back."""


__all__ = ["MemoryLedger"]
