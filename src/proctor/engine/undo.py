"""Take a run back, chunk by chunk, from the target alone; and see whether it still holds."""

from __future__ import annotations

import asyncio
import contextlib

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from proctor.core.lifecycle import OCCUPYING, RUN_MOVES
from proctor.core.retry import Do, next_step
from proctor.engine.calm import calm
from proctor.engine.events import Events
from proctor.engine.heart import BEAT_EVERY
from proctor.engine.pacing import Pacing
from proctor.engine.snapshot import Rollback
from proctor.errors import EngineError, HeldError, IllegalMove, ProctorError, Unreachable
from proctor.model import ChunkRecord, ChunkState, Run, RunState, Undone
from proctor.ports import Clock, Store, UndoTerms

LEASE = timedelta(seconds=30)
"""For how long a beat of a rollback keeps the run."""
BEFORE_ROLLBACK = tuple(
    sorted({a for a, b in RUN_MOVES if b is RunState.ROLLING_BACK}, key=lambda s: s.value)
)


@dataclass(slots=True)
class Undoer:
    """One rollback in motion."""

    store: Store
    run: Run
    terms: UndoTerms
    events: Events
    clock: Clock
    pacing: Pacing
    dice: Callable[[], float]
    lanes: int = 2
    on: Callable[[Undone, int, int], None] = lambda _undone, _done, _all: None
    total: Undone = field(default_factory=Undone)
    done: int = 0
    lost: int = 0
    """Rows written whose before-images were pruned."""

    async def rollback(self) -> Rollback:
        """Undo every applied chunk of the run that the terms cover; the books balance.

        Raises IllegalMove for an active run and HeldError when a newer run on the same fields
        must be undone first.
        """
        started = self.clock.monotonic()
        await refuse_if_overlaid(self.store, self.run)
        if not self.terms.dry_run:
            self.run = await self._begin()
        chunks = await self.store.chunks(self.run.id)
        lost = forgotten(chunks)
        self.total, self.lost = self.total + lost, lost.written
        await self._all([c for c in chunks if undoable(c)])
        if not self.terms.dry_run:
            await self._end()
        return Rollback(
            run=await self.store.run(self.run.id),
            undone=self.total,
            chunks=self.done,
            dry_run=self.terms.dry_run,
            pruned=self.lost,
            elapsed=timedelta(seconds=self.clock.monotonic() - started),
        )

    @property
    def pruned(self) -> str:
        """Words about rows that can no longer be undone; empty if there are none."""
        return f", {self.lost:,} rows had been pruned" if self.lost else ""

    async def _begin(self) -> Run:
        if self.run.state not in BEFORE_ROLLBACK:
            raise IllegalMove(
                f"run {self.run.id} cannot be rolled back now",
                found=f"it is {self.run.state.value}",
                fix=f"stop it first: proctor cancel {self.run.id}"
                if self.run.state in OCCUPYING
                else "nothing to do",
            )
        run = await self.store.move(self.run.id, RunState.ROLLING_BACK, among=BEFORE_ROLLBACK)
        self.events.emit("rollback.started", run.id, was=self.run.state.value, **_terms(self.terms))
        return run

    async def _end(self) -> None:
        whole = self.terms.span.whole and self.terms.since is None and not self.pruned
        then = RunState.ROLLED_BACK if whole else RunState.CANCELLED
        await self.store.move(
            self.run.id,
            then,
            among=[RunState.ROLLING_BACK],
            reason="rolled back" if whole else f"rolled back in part{self.pruned}",
        )
        self.events.emit(
            "rollback.finished",
            self.run.id,
            whole=whole,
            written=self.total.written,
            restored=self.total.restored,
            changed=self.total.changed,
            gone=self.total.gone,
            blocked=self.total.blocked,
        )

    async def _all(self, chunks: Sequence[ChunkRecord]) -> None:
        """Newest first; several at once, since a run writes a row at most once."""
        todo = sorted(chunks, key=lambda c: c.chunk.number, reverse=True)
        queue = iter(todo)

        async def lane() -> None:
            for record in queue:
                await self.pacing.wait()
                await self.pacing.before_write()
                undone = await self._one(record.chunk.number)
                self.total += undone
                self.done += 1
                self.pacing.wrote(
                    keys=undone.written, took=undone.took, rows=undone.restored, bytes_read=0
                )
                self.events.emit("chunk.undone", self.run.id, chunk=record.chunk.number)
                self.on(self.total, self.done, len(todo))

        heart = asyncio.create_task(self._beats())
        try:
            with calm():
                async with asyncio.TaskGroup() as group:
                    for _ in range(self.lanes):
                        group.create_task(lane())
        except* ProctorError as broken:
            raise first_of(broken) from None
        finally:
            heart.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await heart

    async def _beats(self) -> None:
        """Keep the heart beating and the throttle fed while the lanes work."""
        while True:
            try:
                if not self.terms.dry_run:
                    await self.store.beat(self.run, [], LEASE)
                pressure = await self.pacing.watch(await self.store.health())
            except (EngineError, Unreachable) as error:
                self.events.emit("run.beat_missed", self.run.id, why=error.what)
            else:
                if pressure.reason and pressure.duty <= 0:
                    self.events.emit("run.throttled", self.run.id, why=pressure.reason)
            await self.clock.sleep(BEAT_EVERY)

    async def _one(self, number: int) -> Undone:
        attempt = 1
        while True:
            try:
                return await self.store.undo(self.run, number, self.terms)
            except (EngineError, Unreachable) as error:
                # Undoing is idempotent: after doubt it is simply asked for again.
                step = next_step(error, attempt, self.dice())
                if step.do in (Do.FAIL, Do.LEAVE):
                    raise
                await self.clock.sleep(step.wait)
                attempt += 1


def first_of(group: BaseExceptionGroup[ProctorError]) -> ProctorError:
    """The first error of a group: one person can act on one error at a time."""
    error = group.exceptions[0]
    return first_of(error) if isinstance(error, BaseExceptionGroup) else error


def forgotten(chunks: Sequence[ChunkRecord]) -> Undone:
    """Rows whose before-images were pruned: nobody can restore them any more."""
    rows = sum(c.outcome.written for c in chunks if not c.has_undo and not c.undone)
    return Undone(written=rows, blocked=rows)


def undoable(record: ChunkRecord) -> bool:
    """Whether a chunk wrote rows that are not undone yet."""
    return record.state is ChunkState.APPLIED and not record.undone and record.has_undo


async def refuse_if_overlaid(store: Store, run: Run) -> None:
    """Runs that overlap are undone newest first: a newer one's before-images are ours."""
    for other in await store.runs():
        if other.id == run.id:
            return
        if (
            other.target == run.target
            and set(other.fills) & set(run.fills)
            and other.outcome.written
            and other.state is not RunState.ROLLED_BACK
        ):
            raise HeldError(
                f"run {run.id} lies under a newer run on the same fields",
                found=f"run {other.id} of {other.backfill} wrote to them since",
                fix=f"roll back the newest first: proctor rollback {other.id}",
            )


async def verify_written(
    store: Store, run: Run, on: Callable[[Undone, int, int], None] = lambda _u, _d, _a: None
) -> Undone:
    """Whether every row that the run wrote still holds what was written."""
    records = [c for c in await store.chunks(run.id) if undoable(c)]
    total = Undone()
    for done, record in enumerate(records, 1):
        total += await store.verify(run, record.chunk.number)
        on(total, done, len(records))
    return total


def _terms(terms: UndoTerms) -> dict[str, object]:
    span = terms.span
    return {
        "start": span.start,
        "stop": span.stop,
        "keys": len(span.keys),
        "since": terms.since.isoformat() if terms.since else None,
    }
