"""A worker: claims chunks ahead of need and carries each through its retries."""

from __future__ import annotations

import asyncio
import contextlib

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from proctor.core.retry import Do, next_step
from proctor.engine.calm import calm
from proctor.engine.heart import beat, hear
from proctor.engine.kit import Kit, Rest
from proctor.engine.process import Processed, process
from proctor.engine.turns import Turn
from proctor.errors import ConnectionLost, EngineError, Fenced, Unreachable
from proctor.model import ChunkState, Lease

T = TypeVar("T")

AHEAD = 2
"""Chunks claimed for each lane in one trip."""
LOOK_EVERY = 0.25
"""Seconds between two looks at the stop word and the number of lanes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What a slice of work came to; small and picklable."""

    chunks: int = 0
    read: int = 0
    exhausted: bool = False
    """Nothing was left to claim when it ended."""
    halt: str = ""
    """Why the run must not go on, where the slice found that out."""
    held: bool = False
    """That is for a person: money is used up."""
    rest: Rest | None = None
    """A daily quota that the slice found to be used up."""


@dataclass(slots=True)
class Work:
    """One slice in motion."""

    kit: Kit
    queue: deque[Lease] = field(default_factory=deque)
    held: dict[int, Lease] = field(default_factory=dict)
    cut: dict[int, int] = field(default_factory=dict)
    """Keys that each new chunk was cut to, by number."""
    orphaned: set[str] = field(default_factory=set)
    """Former names of ours, to which a lost reply may have leased chunks that nobody works on."""
    claiming: asyncio.Lock = field(default_factory=asyncio.Lock)
    ahead: asyncio.Task[None] | None = None
    exhausted: bool = False
    broken: BaseException | None = None
    chunks: int = 0
    read: int = 0

    async def next_lease(self) -> Lease | None:
        """The next chunk to work on; None when there is none or nothing may be begun."""
        kit = self.kit
        while not kit.idle:
            if self.queue:
                lease = self.queue.popleft()
                if len(self.queue) < kit.lanes and not self.exhausted:
                    self._claim_ahead()
                return lease
            if self.exhausted:
                return None
            await self._claim()
        return None

    def _claim_ahead(self) -> None:
        if self.ahead is None or self.ahead.done():
            if self.ahead is not None:
                self.ahead.result()
            self.ahead = asyncio.create_task(self._claim())

    async def _claim(self) -> None:
        async with self.claiming:
            if len(self.queue) >= self.kit.lanes or self.exhausted or self.kit.idle:
                return
            kit = self.kit
            rows = kit.pacing.chunk_rows()
            try:
                leases = await patiently(kit, lambda: self._ask(rows))
            except Fenced as error:
                await refused(self.kit, error)
                return
            self.queue.extend(leases)
            found = await self._hand_back() if self.orphaned else 0
            self.exhausted = not leases and not found
            self.cut |= {x.chunk.number: rows for x in leases if x.fence == 1}

    async def _ask(self, rows: int) -> list[Lease]:
        kit = self.kit
        try:
            return await kit.store.claim(
                kit.run,
                kit.spec,
                kit.worker,
                count=kit.lanes * AHEAD,
                rows=rows,
                lease_for=kit.lease_for,
            )
        except (EngineError, Unreachable):
            # The claim may have committed all the same: nobody may keep those leases.
            self._rename()
            raise

    def _rename(self) -> None:
        """Go on under a new name, so that leases under the old one can be told apart."""
        self.orphaned.add(self.kit.worker)
        self.kit.rename()

    async def _hand_back(self) -> int:
        """Open the chunks that a lost reply left with a former name of ours; how many.

        The claim that was answered just now had to wait for every transaction in doubt, so
        none of them can still appear.
        """
        kit, names = self.kit, frozenset(self.orphaned)
        chunks = await patiently(kit, lambda: kit.store.chunks(kit.run.id))
        mine = {*self.held, *(lease.chunk.number for lease in self.queue)}
        lost = [
            Lease(chunk=c.chunk, fence=c.fence, worker=c.worker, until=kit.clock.now())
            for c in chunks
            if c.state is ChunkState.CLAIMED and c.worker in names and c.chunk.number not in mine
        ]
        await patiently(kit, lambda: kit.store.release(lost))
        self.orphaned -= names
        return len(lost)

    def names(self) -> list[str]:
        """The names under which leases are in hand, and the present one."""
        return sorted({self.kit.worker, *(x.worker for x in (*self.queue, *self.held.values()))})

    async def run(self) -> None:
        """Keep as many lanes going as the knobs say; the second word from outside abandons them."""
        lanes: dict[asyncio.Task[None], int] = {}
        try:
            while True:
                if not self.kit.idle and not self.exhausted:
                    for number in sorted(set(range(self.kit.hands)) - set(lanes.values())):
                        lanes[asyncio.create_task(self.lane(number))] = number
                if not lanes or self._abandoned():
                    break
                await asyncio.wait(lanes, timeout=LOOK_EVERY, return_when=asyncio.FIRST_COMPLETED)
                for task in [t for t in lanes if t.done()]:
                    del lanes[task]
                    self._ended(task)
        finally:
            for task in lanes:
                task.cancel()
            await asyncio.gather(*lanes, return_exceptions=True)
        if self.broken is not None:
            raise self.broken

    def _ended(self, lane: asyncio.Task[None]) -> None:
        """A lane that broke lets the others finish their chunks before the run fails."""
        error = lane.exception()
        if error is not None:
            self.broken = self.broken or error
            self.kit.halting(str(error))

    def _abandoned(self) -> bool:
        return self.kit.stop.level >= 2 or self.kit.halt.startswith("fenced")

    async def end(self) -> None:
        """Hand back what was claimed ahead and not begun."""
        if self.ahead is not None:
            self.ahead.cancel()
            await asyncio.gather(self.ahead, return_exceptions=True)
        if self.queue:
            with contextlib.suppress(Fenced, ConnectionLost, Unreachable):
                await self.kit.store.release(list(self.queue))

    async def lane(self, number: int) -> None:
        """Carry chunks until there are none, or until fewer lanes are asked for."""
        turn = Turn(self.kit.writing)
        try:
            while number < self.kit.hands and (lease := await self.next_lease()) is not None:
                await self.carry(lease, turn)
        finally:
            turn.give()

    async def carry(self, lease: Lease, turn: Turn) -> None:
        """One chunk and the chunks of its moved rows, through every retry."""
        current: Lease | None = lease
        while current is not None and not self.kit.halt.startswith("fenced"):
            number = current.chunk.number
            self.held[number] = current
            try:
                current = await self._once(current, turn)
            finally:
                del self.held[number]

    async def _once(self, lease: Lease, turn: Turn) -> Lease | None:
        """Try a chunk until it is settled, handed on or given up; its retry lease, if any."""
        kit, attempt = self.kit, 1
        while True:
            try:
                done = await process(lease, kit, turn)
            except (EngineError, Unreachable) as error:
                turn.give()
                step = next_step(error, attempt, kit.dice())
                kit.events.emit(
                    "chunk.retried",
                    kit.run.id,
                    chunk=lease.chunk.number,
                    attempt=attempt,
                    step=step.do.value,
                    why=error.what,
                )
                if step.do is Do.LEAVE:
                    kit.events.emit("chunk.fenced", kit.run.id, chunk=lease.chunk.number)
                    return None
                if step.do is Do.FAIL:
                    raise
                await kit.clock.sleep(step.wait)
                if step.do is Do.SPLIT:
                    await self._split(lease)
                    return None
                attempt += 1
                if step.do is Do.RECLAIM:
                    again = await self._reclaim(lease)
                    if again is None:
                        return None
                    lease = again
                continue
            return await self._settled(lease, done)

    async def _split(self, lease: Lease) -> None:
        """Cut a chunk that is too slow; somebody will claim its halves."""
        kit = self.kit
        try:
            await patiently(kit, lambda: kit.store.split(lease, None))
        except Fenced:
            return
        kit.events.emit("chunk.split", kit.run.id, chunk=lease.chunk.number)
        self.exhausted = False

    def _scanned(self, lease: Lease, read: int) -> int:
        """Keys behind a write: what the chunk was cut to, where that is known."""
        if lease.chunk.keys is not None:
            return len(lease.chunk.keys)
        return max(self.cut.pop(lease.chunk.number, 0), read)

    async def _reclaim(self, lease: Lease) -> Lease | None:
        """Ask under a new fence whether the write in doubt took place."""
        kit = self.kit
        try:
            again = await patiently(kit, lambda: kit.store.reclaim(lease, kit.lease_for))
        except Fenced:
            return None
        if again is None:
            # It had committed, perhaps with a chunk of moved rows leased to our name, which
            # nobody works on: under a new name it is found and handed back.
            self.chunks += 1
            self.exhausted = False
            self._rename()
        return again

    async def _settled(self, lease: Lease, done: Processed) -> Lease | None:
        kit = self.kit
        if done.applied is None:
            if not kit.idle:  # else it is known why, or this slice's time is over
                kit.halting(done.verdict.reason)
            await kit.store.release([lease])
            return None
        applied = done.applied
        kit.mine += applied.outcome
        kit.chunks += 1
        self.chunks += 1
        self.read += applied.outcome.read
        kit.pacing.wrote(
            keys=self._scanned(lease, applied.outcome.read),
            took=applied.took,
            rows=applied.outcome.written,
            bytes_read=done.page.bytes_read if done.page else 0,
        )
        kit.events.emit(
            "chunk.applied",
            kit.run.id,
            chunk=lease.chunk.number,
            took_ms=applied.took.total_seconds() * 1000,
            **applied.outcome.as_dict(),
        )
        if not done.verdict.go:
            kit.halting(done.verdict.reason)
        return applied.retry


async def refused(kit: Kit, error: Fenced) -> None:
    """The run grants nothing any more: an operator's word, or a new holder."""
    run = await patiently(kit, lambda: kit.store.run(kit.run.id))
    if run.epoch == kit.run.epoch:
        hear(kit, run)
    if not kit.halt:
        kit.halting(f"fenced: {error.what}")


async def patiently(kit: Kit, ask: Callable[[], Awaitable[T]]) -> T:
    """Ask a question again until it is answered, or the policy says that it never will be."""
    attempt = 1
    while True:
        try:
            return await ask()
        except (EngineError, Unreachable) as error:
            step = next_step(error, attempt, kit.dice())
            if step.do in (Do.LEAVE, Do.FAIL):
                raise
            await kit.clock.sleep(step.wait)
            attempt += 1


async def work(kit: Kit) -> Tally:
    """Claim and work chunks until none is left, the slice's time is over or somebody says stop.

    The heart is the caller's: it beats for longer than there are chunks to work on.
    """
    slice_ = Work(kit=kit)
    kit.leased = slice_.names
    await beat(kit)
    with calm():
        try:
            await slice_.run()
        finally:
            await slice_.end()
            kit.leased = tuple
    return Tally(
        chunks=slice_.chunks,
        read=slice_.read,
        exhausted=slice_.exhausted,
        halt=kit.halt,
        held=kit.held,
        rest=kit.rest,
    )
