"""Spread a run over an executor: keep slices in flight until nothing is left to claim."""

from __future__ import annotations

import asyncio

from collections.abc import Callable
from concurrent.futures import Future

from proctor.engine.heart import BEAT_EVERY, beat
from proctor.engine.kit import Kit
from proctor.engine.run import IDLE_SLICES
from proctor.engine.worker import Tally
from proctor.errors import EngineError, ProctorError
from proctor.model import RunState

SLICE_SECONDS = 30.0
"""How long a slice works: its start-up is divided by hundreds of chunks."""


async def spread(kit: Kit, submit: Callable[[], Future[Tally]], slots: int) -> Tally:
    """Keep `slots` slices in flight; the coordinator itself only listens.

    Raises EngineError after several slices in a row failed without settling a chunk; a slice
    that died otherwise costs nothing, since its leases run out.
    """
    flying: set[asyncio.Future[Tally]] = set()
    chunks = read = failed = 0
    exhausted = False
    await beat(kit)
    try:
        while True:
            await _pass_on(kit)
            while len(flying) < slots and not exhausted and not kit.idle:
                flying.add(asyncio.wrap_future(submit()))
            if not flying:
                return Tally(chunks=chunks, read=read, exhausted=exhausted)
            done, flying = await asyncio.wait(
                flying, timeout=BEAT_EVERY, return_when=asyncio.FIRST_COMPLETED
            )
            for future in done:
                tally, failed = _landed(kit, future, failed)
                chunks, read = chunks + tally.chunks, read + tally.read
                exhausted = exhausted or tally.exhausted
    finally:
        for future in flying:
            future.cancel()


async def _pass_on(kit: Kit) -> None:
    """Tell the slices to stop the only way that reaches them: through the run's row."""
    if kit.stop.level and kit.run.state is RunState.RUNNING:
        kit.run = await kit.store.move(
            kit.run.id,
            RunState.PAUSING,
            among=[RunState.RUNNING],
            reason=kit.stop.reason,
            epoch=kit.run.epoch,
        )


def _landed(kit: Kit, future: asyncio.Future[Tally], failed: int) -> tuple[Tally, int]:
    """A slice's tally, or the count of failures in a row when it has none."""
    error = future.exception()
    if error is None:
        tally = future.result()
        if tally.rest is not None:
            kit.resting(tally.rest)
        if tally.halt and not tally.halt.startswith("fenced"):
            kit.held = kit.held or tally.held
            kit.halting(tally.halt)  # the next slice would find out the same, and so on for ever
        return tally, 0 if tally.chunks else failed
    if isinstance(error, ProctorError) and not isinstance(error, EngineError):
        raise error
    kit.events.emit("slice.failed", kit.run.id, why=f"{type(error).__name__}: {error}")
    failed += 1
    if failed >= IDLE_SLICES:
        raise EngineError(
            f"{failed} slices in a row failed",
            found=f"{type(error).__name__}: {error}",
            fix="see that workers can import the backfill and reach the database",
        ) from error
    return Tally(), failed
