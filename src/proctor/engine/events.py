"""What happened, as events: documented in docs/events.md, kept in the ledger, heard by faces."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from proctor.errors import ProctorError
from proctor.model import Event
from proctor.ports import Clock, Ledger

EVENTS: dict[str, bool] = {
    "plan.made": True,
    "sample.paid": True,
    "run.opened": True,
    "run.resumed": True,
    "run.pausing": True,
    "run.paused": True,
    "run.cancelling": True,
    "run.cancelled": True,
    "run.failed": True,
    "run.succeeded": True,
    "run.tuned": True,
    "run.throttled": True,
    "batch.submitted": True,
    "batch.ended": True,
    "quota.spent": True,
    "quota.renewed": True,
    "limit.neared": True,
    "run.stalled": True,
    "run.rate_collapsed": True,
    "alert.raised": True,
    "run.beat_missed": True,
    "signal.missed": True,
    "columns.noted": True,
    "check.noted": True,
    "text.shortened": True,
    "rows.audited": True,
    "rows.checked": True,
    "health.checked": True,
    "answers.noted": True,
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
    "rollback.stopped": True,
    "script.written": True,
    "images.pruned": True,
    "rollout.began": True,
    "rollout.ended": True,
    "rollout.held": True,
    "rollout.logged": True,
    "rollout.step_back_begun": True,
    "rollout.step_back_stumbled": True,
    "rollout.stepped_back": True,
    "rollout.stumbled": False,
    "worker.died": True,
    "answers.exported": True,
    "answers.pruned": True,
    "notice.sent": True,
    "notice.missed": True,
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
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)

    def emit(self, name: str, /, run: str = "", **data: Any) -> None:
        """Tell everybody now; the ledger at the next flush."""
        event = Event(
            name=name, at=self.clock.now(), run=run, env=self.env, who=self.who, data=data
        )
        if EVENTS[name]:
            self.waiting.append(event)
        log.info(name, extra={"proctor": {"run": run, **data}})
        for listener in self.hear:
            try:
                listener(event)
            except Exception as error:  # noqa: BLE001 - a face that breaks must not break the run
                self._complain("a listener failed", error)

    async def flush(self) -> None:
        """Write what is waiting; what could not be written waits for the next time."""
        async with self.writing:
            batch, self.waiting = self.waiting, []
            if not batch:
                return
            try:
                await self.ledger.append(batch)
            except Exception:
                self.waiting = batch + self.waiting
                raise

    @contextlib.asynccontextmanager
    async def flushing(self, every: float = 1.0) -> AsyncIterator[None]:
        """Flush in the background while the block runs, and once more at its end.

        A ledger that fails meanwhile is asked again; at the end its error is raised, unless
        the block has one of its own.
        """
        ticker = asyncio.create_task(self._tick(every))
        well = False
        try:
            yield
            well = True
        finally:
            ticker.cancel()
            await asyncio.gather(ticker, return_exceptions=True)
            await (self.flush() if well else self._try_flush())

    async def _tick(self, every: float) -> None:
        while True:
            await self.clock.sleep(every)
            # A write in hand goes on when the ticker is cancelled: the last flush waits for it.
            await asyncio.shield(self._try_flush())

    async def _try_flush(self) -> None:
        try:
            await self.flush()
        except Exception as error:  # noqa: BLE001 - whatever the ledger raises, the events wait
            self._complain("events wait for the ledger", error)

    def _complain(self, what: str, error: Exception) -> None:
        why = str(error) if isinstance(error, ProctorError) else type(error).__name__
        log.warning(what, extra={"proctor": {"why": why, "waiting": len(self.waiting)}})
