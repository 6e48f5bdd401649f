"""Take a run back, chunk by chunk, from the target alone; and see whether it still holds."""

from __future__ import annotations

import asyncio

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TypeVar

from proctor.core.lifecycle import OCCUPYING, RUN_MOVES
from proctor.core.retry import Do, next_step
from proctor.engine.calm import calm
from proctor.engine.events import Events
from proctor.engine.heart import BEAT_EVERY
from proctor.engine.kit import Stop
from proctor.engine.overlaid import refuse_if_overlaid, refuse_if_touched_since
from proctor.engine.pacing import CHECK_EVERY, Pacing, Shut
from proctor.engine.show import plural
from proctor.engine.snapshot import Rollback, Undoing
from proctor.engine.touched import leftovers
from proctor.errors import EngineError, IllegalMove, ProctorError, Unreachable
from proctor.model import (
    ChunkRecord,
    ChunkState,
    Run,
    RunState,
    Span,
    Touch,
    TouchedBooks,
    Undone,
    Untouched,
)
from proctor.ports import Clock, Store, UndoTerms

T = TypeVar("T")

LEASE = timedelta(seconds=30)
"""For how long a beat of a rollback keeps the run."""
IN_PART = "rolled back in part"
"""How the reason of a run begins of which only some rows were undone."""
NOT_ALL = "rolled back; "
"""How the reason of a run begins of which some rows could not be restored."""
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
    touches: Sequence[Touch] = ()
    """The tables that called services may have written to."""
    lanes: int = 2
    approved: str | None = None
    """The digest of the plan that it was approved by."""
    shown: Callable[[Span], Span] = lambda span: span
    """Hides sensitive columns in keys that are kept on record."""
    stop: Stop = field(default_factory=Stop)
    on: Callable[[Undoing], None] = lambda _seen: None
    total: Undone = field(default_factory=Undone)
    done: int = 0
    """Chunks undone, also by whoever began this rollback."""
    chunks: int = 0
    lost: int = 0
    """Rows written whose before-images were pruned."""
    untouched: Untouched = field(default_factory=Untouched)
    """What undoing the rows of called services has come to."""
    services: TouchedBooks = field(default_factory=TouchedBooks)
    """What their undo journal still holds."""

    async def rollback(self) -> Rollback:
        """Undo every applied chunk of the run that the terms cover; the books balance.

        Told to stop, it finishes the chunks in hand and leaves the run rolling back, so that
        the same command goes on; told twice, it abandons them.

        Raises IllegalMove for an active run and HeldError when a newer run on the same fields
        must be undone first.
        """
        started = self.clock.monotonic()
        await refuse_if_overlaid(self.store, self.run)
        if self.terms.touched:
            await refuse_if_touched_since(self.store, self.run, self.touches)
        if not self.terms.dry_run:
            self.run = await self._begin()
        chunks = await self.store.chunks(self.run.id)
        lost = forgotten(chunks)
        self.total, self.lost = lost, lost.written
        if self.terms.whole:
            self.total = settled(chunks)
            self.done = sum(1 for c in chunks if c.undone)
        await self._all([c for c in chunks if undoable(c)])
        interrupted = self.done < self.chunks
        if self.terms.touched and not interrupted:
            interrupted = not await self._untouch()
        self.services = await leftovers(self.store, self.run, self.touches)
        self.total = await self._outcome(chunks)
        if not self.terms.dry_run:
            await (self._stopped() if interrupted else self._end())
        return Rollback(
            run=await self.store.run(self.run.id),
            undone=self.total,
            chunks=self.done,
            dry_run=self.terms.dry_run,
            terms=self.terms,
            pruned=self.lost,
            interrupted=interrupted,
            untouched=self.untouched,
            touched=self.services,
            elapsed=timedelta(seconds=self.clock.monotonic() - started),
        )

    async def _outcome(self, before: Sequence[ChunkRecord]) -> Undone:
        """What it came to, by what the chunks keep of it.

        What was heard of it here is not all: a process before this one may have been killed,
        and the reply to a COMMIT lost.
        """
        if self.terms.dry_run and not self.terms.whole:
            return self.total
        chunks = before if self.terms.dry_run else await self.store.chunks(self.run.id)
        if not self.terms.whole:
            restored = restored_of(chunks) - restored_of(before)
            written = self.total.written - self.total.restored + restored
            return replace(self.total, written=written, restored=restored)
        alone = await self.store.left_alone(self.run.id)
        left = tuple(i for c in chunks if c.undone for i in alone.get(c.chunk.number, ()))
        if self.terms.dry_run:
            return replace(self.total, left=left + self.total.left)
        return replace(settled(chunks), left=left, took=self.total.took)

    async def _untouch(self) -> bool:
        """Take back what called services wrote, newest first; whether it came to its end."""
        units = await self.store.touched(self.run.id)
        for unit in sorted(units, key=lambda u: u.turn, reverse=True):
            if self.stop.level or not await self.pacing.before_write():
                return False
            if not unit.undone:
                self.untouched += await self._patiently(
                    lambda key=unit.unit: self.store.untouch(self.run, key, self.terms)  # type: ignore[misc]
                )
        return True

    @property
    def pruned(self) -> str:
        """Words about rows that can no longer be undone; empty if there are none."""
        return f", {plural(self.lost, 'row')} had been pruned" if self.lost else ""

    async def _begin(self) -> Run:
        if self.run.state not in BEFORE_ROLLBACK:
            raise IllegalMove(
                f"run {self.run.id} cannot be rolled back now",
                found=f"it is {self.run.state.value}",
                fix=f"stop it first: proctor cancel {self.run.id}"
                if self.run.state in OCCUPYING
                else "nothing to do",
            )
        run = await self.store.move(
            self.run.id,
            RunState.ROLLING_BACK,
            among=BEFORE_ROLLBACK,
            reason=RUN_MOVES[self.run.state, RunState.ROLLING_BACK],
        )
        self.events.emit(
            "rollback.started",
            run.id,
            was=self.run.state.value,
            **_terms(self.terms, self.shown(self.terms.span)),
            approved_by_plan=self.approved,
        )
        return run

    async def _stopped(self) -> None:
        """Say on the run's row why nobody works on it; it stays as it is, to be gone on with."""
        rolling = RunState.ROLLING_BACK
        why = f"{self.stop.reason}: the same rollback goes on where it stopped"
        await self.store.move(self.run.id, rolling, among=[rolling], reason=why)
        self.events.emit(
            "rollback.stopped",
            self.run.id,
            why=self.stop.reason,
            chunks=self.done,
            left=self.chunks - self.done,
        )

    async def _end(self) -> None:
        whole = self.terms.whole and not self.pruned and not self.services.standing
        then = RunState.ROLLED_BACK
        if not whole:
            # Only a run that had come to its end knows what it left eligible.
            done = self.run.still_eligible is not None
            then = RunState.SUCCEEDED if done else RunState.CANCELLED
        reason = self._wholly() if whole else await self._partly()
        await self.store.move(self.run.id, then, among=[RunState.ROLLING_BACK], reason=reason)
        self.events.emit(
            "rollback.finished",
            self.run.id,
            whole=whole,
            written=self.total.written,
            restored=self.total.restored,
            changed=self.total.changed,
            gone=self.total.gone,
            blocked=self.total.blocked,
            touched_undone=self.untouched.rows,
            touched_left=len(self.untouched.left),
        )

    def _wholly(self) -> str:
        """That nothing is left to undo, and how many rows it could not restore."""
        left = self.total.written - self.total.restored
        if alone := len(self.untouched.left):
            rows = plural(alone, "row")
            return f"{NOT_ALL}{rows} that a called service wrote could not be taken back"
        if not left:
            return "rolled back"
        return f"{NOT_ALL}{left:,} of the {self.total.written:,} rows written were not restored"

    async def _partly(self) -> str:
        """What a part of an undo came to, together with the parts before it."""
        rows = restored_of(await self.store.chunks(self.run.id))
        written = self.run.outcome.written
        touched = f", {self.services.told} were left" if self.services.standing else ""
        said = f"{rows:,} of the {written:,} rows written were restored{self.pruned}{touched}"
        return f"{IN_PART}: {said}"

    async def _all(self, chunks: Sequence[ChunkRecord]) -> None:
        """Newest first; several at once, unless the run may have written a row more than once."""
        todo = sorted(chunks, key=lambda c: c.turn, reverse=True)
        self.chunks = self.done + len(todo)
        working = asyncio.create_task(self._lanes(iter(todo)))
        beside = [asyncio.create_task(t) for t in (self._beats(), self._heed(working))]
        try:
            await working
        except asyncio.CancelledError:
            if self.stop.level < 2:  # it was not our own word
                raise
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)

    async def _lanes(self, queue: Iterator[ChunkRecord]) -> None:
        try:
            with calm():
                async with asyncio.TaskGroup() as group:
                    for _ in range(self.lanes):
                        group.create_task(self._lane(queue))
        except* ProctorError as broken:
            raise first_of(broken) from None

    async def _lane(self, queue: Iterator[ChunkRecord]) -> None:
        """Undo one chunk after the other, until there are none or somebody says stop."""
        while await self.pacing.wait():
            record = None if self.stop.level else next(queue, None)
            if record is None:
                return
            try:
                undone = await self._one(record.chunk.number)
            except Shut:
                return
            self.total += undone
            self.done += 1
            self.pacing.wrote(
                keys=undone.written, took=undone.took, rows=undone.restored, bytes_read=0
            )
            self.events.emit("chunk.undone", self.run.id, chunk=record.chunk.number)
            self._show()

    async def _heed(self, working: asyncio.Task[None]) -> None:
        """Stop when somebody says so: first with the chunks in hand, then without them."""
        await self.stop.heard.wait()
        self.pacing.stopped.set()
        self._show()
        while self.stop.level < 2:
            await self.clock.sleep(CHECK_EVERY)
        working.cancel()

    def _show(self) -> None:
        self.on(
            Undoing(
                undone=self.total,
                chunks_undone=self.done,
                chunks=self.chunks,
                throttle=self.pacing.signals,
                throttle_reason=self.pacing.reason,
                stopping=self.stop.reason if self.stop.level else "",
            )
        )

    async def _beats(self) -> None:
        """Keep the heart beating and the throttle fed while the lanes work."""
        while True:
            try:
                if not self.terms.dry_run:
                    self.pacing.tuning = (await self.store.beat(self.run, [], LEASE)).tuning
                cause = self.pacing.cause
                await self.pacing.watch(await self.store.health())
            except (EngineError, Unreachable) as error:
                self.events.emit("run.beat_missed", self.run.id, why=error.what)
            else:
                if self.pacing.cause and self.pacing.cause != cause:
                    self.events.emit("run.throttled", self.run.id, why=self.pacing.reason)
                self._show()
            await self.clock.sleep(BEAT_EVERY)

    async def _permit(self) -> None:
        if not await self.pacing.before_write():
            raise Shut

    async def _one(self, number: int) -> Undone:
        return await self._patiently(
            lambda: self.store.undo(self.run, number, self.terms, permit=self._permit)
        )

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        attempt = 1
        while True:
            try:
                return await ask()
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
    rows = sum(c.forgotten for c in chunks)
    return Undone(written=rows, blocked=rows)


def restored_of(chunks: Sequence[ChunkRecord]) -> int:
    """How many rows undoing has restored so far."""
    return sum(c.taken_back.restored for c in chunks)


def settled(chunks: Sequence[ChunkRecord]) -> Undone:
    """The books of every row that a rollback of the whole run need not look at any more.

    What a part left alone can still be undone.
    """
    total = forgotten(chunks)
    for chunk in chunks:
        restored = chunk.taken_back.restored
        total += chunk.taken_back if chunk.undone else Undone(written=restored, restored=restored)
    return total


def undoable(record: ChunkRecord) -> bool:
    """Whether a chunk wrote rows that are not undone yet."""
    return record.state is ChunkState.APPLIED and not record.undone and record.has_undo


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


def _terms(terms: UndoTerms, span: Span) -> dict[str, object]:
    return {
        "start": span.start,
        "stop": span.stop,
        "keys": len(span.keys),
        "since": terms.since.isoformat() if terms.since else None,
    }
