"""What happened, as events: documented in docs/events.md, kept in the ledger, heard by faces."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from proctor.ports import Clock, Event, Ledger

EVENTS: dict[str, bool] = {
    "plan.made": True,
    "run.opened": True,
    "run.resumed": True,
    "run.pausing": True,
    "run.paused": True,
    "run.cancelled": True,
    "run.failed": True,
    "run.succeeded": True,
    "run.tuned": True,
    "run.throttled": True,
    "run.stalled": True,
    "run.rate_collapsed": True,
    "run.beat_missed": True,
    "sweep.started": True,
    "chunk.applied": False,
    "chunk.retried": False,
    "chunk.split": True,
    "chunk.fenced": True,
    "chunk.undone": False,
    "slice.failed": True,
    "run.verified": True,
    "rollback.started": True,
    "rollback.finished": True,
    "script.written": True,
    "images.pruned": True,
}
"""Every event, and whether the ledger keeps it (chunks are kept in the target already)."""

log = logging.getLogger("proctor")


@dataclass(slots=True)
class Events:
    """Emits events to those who listen, and to the ledger in order; none can break the run."""

    ledger: Ledger
    clock: Clock
    env: str
    who: str
    hear: list[Callable[[Event], None]] = field(default_factory=list)
    waiting: list[Event] = field(default_factory=list)

    def emit(self, name: str, run: str = "", **data: Any) -> None:
        """Tell everybody now; the ledger at the next flush."""
        event = Event(
            name=name, at=self.clock.now(), run=run, env=self.env, who=self.who, data=data
        )
        if EVENTS[name]:
            self.waiting.append(event)
        log.info(name, extra={"proctor": {"run": run, **data}})
        for listener in self.hear:
            listener(event)

    async def flush(self) -> None:
        """Write what is waiting; what could not be written waits for the next time."""
        if not self.waiting:
            return
        batch, self.waiting = self.waiting, []
        try:
            await self.ledger.append(batch)
        except BaseException:
            self.waiting = batch + self.waiting
            raise

    @contextlib.asynccontextmanager
    async def flushing(self, every: float = 1.0) -> AsyncIterator[None]:
        """Flush in the background while the block runs, and once more at its end."""
        ticker = asyncio.create_task(self._tick(every))
        try:
            yield
        finally:
            ticker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await ticker
            await self.flush()

    async def _tick(self, every: float) -> None:
        while True:
            await self.clock.sleep(every)
            await self.flush()
