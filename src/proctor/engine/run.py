"""One run from its opening to its end: passes, sweeps, pause, cancel, failure, success."""

from __future__ import annotations

import contextlib

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from proctor.engine.heart import beating
from proctor.engine.kit import Kit
from proctor.engine.quota import ready
from proctor.engine.worker import Tally, patiently, refused
from proctor.errors import (
    AuthorError,
    EngineError,
    Fenced,
    IllegalMove,
    OperatorError,
    ProctorError,
)
from proctor.model import Bucket, ChunkState, Run, RunState

SWEEPS = 2
"""Passes over eligible keys that the run has not settled, after the first."""
UNSETTLED = frozenset({"arrived", Bucket.CONFLICTED.value})
"""Why a row is still eligible that a sweep can settle; for any other reason it was counted."""
IDLE_SLICES = 5
"""Slices in a row without progress after which the coordinator gives up."""
WAIT_FOR_OTHERS = 0.2
"""Seconds between two looks while other workers hold the last chunks."""

Worker = Callable[[Kit], Awaitable[Tally]]
"""Runs one slice: in this process, or spread over others by an executor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a run's execution in this process ended."""

    run: Run
    error: ProctorError | None = None
    interrupted: bool = False
    """Somebody said stop, or its time was over: it can be resumed."""
    held: bool = False
    """It rests for money or a quota is used up."""

    @property
    def exit_code(self) -> int:
        """0 done, 1 not clean, 3 held, 130 interrupted; an error's own code where there is one."""
        if self.error is not None:
            return self.error.exit_code
        if self.interrupted:
            return 130
        if self.held:
            return 3
        return 0 if self.run.state is RunState.SUCCEEDED else 1


async def execute(kit: Kit, work: Worker, *, sweeps: bool = True) -> Ended:
    """Work an opened run to whatever end it comes to; the run's row always says which."""
    try:
        ended = await beating(kit, _work_through(kit, work, sweeps=sweeps))
    except (AuthorError, OperatorError, EngineError) as error:
        return await _broken(kit, error)
    await kit.alarms.look(kit, ended.run, ended=True)
    return ended


async def _work_through(kit: Kit, work: Worker, *, sweeps: bool) -> Ended:
    still = await _passes(kit, work, sweeps=sweeps)
    return await _conclude(kit, still)


async def _passes(kit: Kit, work: Worker, *, sweeps: bool) -> Mapping[str, int] | None:
    """The first pass and the sweeps, until nothing is left or something says halt.

    Rows still eligible by reason, where the last look found none that a sweep could settle: on
    a big table it is not taken twice.
    """
    idle, swept = 0, kit.run.sweep
    while await ready(kit):
        tally = await work(kit)
        if kit.rest is not None:
            continue
        if kit.idle:
            return None
        working = kit.batch_open is not None and await kit.batch_open()
        idle = 0 if tally.chunks or working else idle + 1
        left = await _left(kit)
        if left and idle > IDLE_SLICES and not await _others(kit):
            raise EngineError(
                f"{IDLE_SLICES} slices in a row made no progress",
                found=f"{left} chunks are open or claimed, and no worker settles one",
                fix="look for workers that cannot import the backfill; then run it again",
            )
        if left:
            await kit.clock.sleep(WAIT_FOR_OTHERS)
            continue
        swept += 1
        if not sweeps or swept > SWEEPS:
            return None
        still = await _tallied(kit)
        if kit.idle or UNSETTLED.isdisjoint(still):
            return still
        if not await _sweep(kit, swept):
            return None
    return None


async def _tallied(kit: Kit) -> Mapping[str, int]:
    with _looking(kit):
        return await patiently(kit, lambda: kit.store.tally(kit.run, kit.spec))


async def _sweep(kit: Kit, number: int) -> bool:
    rows = kit.pacing.chunk_rows()
    try:
        with _looking(kit):
            # Made once however often it is asked for: a lost reply may be asked for again.
            keys = await patiently(kit, lambda: kit.store.sweep(kit.run, kit.spec, number, rows))
    except Fenced as error:
        await refused(kit, error)
        return False
    if keys:
        kit.events.emit("sweep.started", kit.run.id, sweep=number, keys=keys)
    return bool(keys)


@contextlib.contextmanager
def _looking(kit: Kit) -> Iterator[None]:
    kit.looking = True
    try:
        yield
    finally:
        kit.looking = False


async def _left(kit: Kit) -> int:
    chunks = await patiently(kit, lambda: kit.store.chunks(kit.run.id))
    return sum(1 for c in chunks if c.state in (ChunkState.OPEN, ChunkState.CLAIMED))


async def _others(kit: Kit) -> bool:
    """Whether chunks are claimed under other names, whose leases may still run out."""
    chunks = await patiently(kit, lambda: kit.store.chunks(kit.run.id))
    return any(c.state is ChunkState.CLAIMED and c.worker != kit.worker for c in chunks)


async def _conclude(kit: Kit, still: Mapping[str, int] | None = None) -> Ended:
    """Move the run to where it belongs after an orderly end of work."""
    run = await patiently(kit, lambda: kit.store.run(kit.run.id))
    if run.epoch != kit.run.epoch:
        kit.halt = "fenced: another process took this run over"
    if kit.halt.startswith("fenced"):
        kit.events.emit("run.failed", run.id, why=kit.halt)
        return Ended(run=run, error=Fenced(kit.halt))
    if run.state is RunState.CANCELLING:
        run = await _moved(kit, RunState.CANCELLED, among=[RunState.CANCELLING])
        kit.events.emit("run.cancelled", run.id, **run.outcome.as_dict())
        return Ended(run=run)
    if kit.idle:
        asked = bool(kit.stop.level) or not kit.halt or run.state is RunState.PAUSING
        return Ended(run=await _pause(kit, run), interrupted=asked, held=kit.held)
    if still is None:
        still = await _tallied(kit)
    try:
        run = await _moved(kit, RunState.SUCCEEDED, among=[RunState.RUNNING, RunState.PAUSING])
    except IllegalMove:
        if (await patiently(kit, lambda: kit.store.run(run.id))).state is not RunState.CANCELLING:
            raise
        return await _conclude(kit)  # somebody asked for it while the rows left were counted
    run = replace(run, still_eligible=still)
    kit.events.emit("run.succeeded", run.id, still_eligible=dict(still), **run.outcome.as_dict())
    return Ended(run=run)


async def _moved(kit: Kit, then: RunState, *, among: Sequence[RunState], reason: str = "") -> Run:
    """Change our run's state; where the reply was lost, a move that took place is as good."""

    async def ask() -> Run:
        try:
            return await kit.store.move(
                kit.run.id, then, among=among, reason=reason, epoch=kit.run.epoch
            )
        except IllegalMove:
            run = await kit.store.run(kit.run.id)
            if run.state is not then:
                raise
            return run

    return await patiently(kit, ask)


async def _pause(kit: Kit, run: Run) -> Run:
    reason = kit.halt or "the time that it was given is over"
    if run.state is RunState.RUNNING:
        run = await _moved(kit, RunState.PAUSING, among=[RunState.RUNNING], reason=reason)
    said = run.reason or reason
    run = await _moved(kit, RunState.PAUSED, among=[RunState.PAUSING], reason=said)
    kit.events.emit("run.paused", run.id, why=run.reason, **run.outcome.as_dict())
    return run


async def _broken(kit: Kit, error: ProctorError) -> Ended:
    """Say on the run's row why it failed, if the store can still be reached at all."""
    try:
        run = await kit.store.move(
            kit.run.id,
            RunState.FAILED,
            among=[RunState.RUNNING, RunState.PAUSING],
            reason=kit.redact(str(error)),
            epoch=kit.run.epoch,
        )
    except ProctorError:
        # Unreachable now: its heartbeat runs out and it reads as interrupted, which is true.
        run = kit.run
    else:
        if not run.outcome.read and isinstance(error, AuthorError | OperatorError):
            # Nothing was settled: a run to resume would only keep others off the fields.
            run = await _moved(kit, RunState.CANCELLED, among=[RunState.FAILED], reason=run.reason)
    kit.events.emit("run.failed", run.id, why=str(error))
    return Ended(run=run, error=error)
