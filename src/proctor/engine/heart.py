"""The heart of a worker: keeps leases, hears the operator, feeds the throttle, watches the pace."""

from __future__ import annotations

import asyncio

from collections.abc import Coroutine
from typing import Any, TypeVar

from proctor.core.pace import Pace
from proctor.engine.kit import Kit
from proctor.engine.noted import tell
from proctor.errors import EngineError, Fenced, Unreachable
from proctor.model import Run, RunState

T = TypeVar("T")

BEAT_EVERY = 1.0
"""Seconds between heartbeats: an operator's word is heard this soon."""

STALLED_AFTER = 120.0
"""Seconds without a settled row, while nothing throttles, after which a run counts as stalled."""

ASKED = frozenset({RunState.PAUSING, RunState.CANCELLING, RunState.FAILED})
"""States in which the chunks in hand are finished; in any other the run is not ours any more."""


async def beating(kit: Kit, doing: Coroutine[Any, Any, T]) -> T:
    """Do something while the heart beats: nobody may take a run over that is counted or swept.

    The heart never ends by itself: an error that nobody foresaw in it ends what is done, too.
    """
    heart, body = asyncio.create_task(_beats(kit)), asyncio.create_task(doing)
    alarms = asyncio.create_task(kit.alarms.keep_looking(kit))
    try:
        await asyncio.wait({heart, body}, return_when=asyncio.FIRST_COMPLETED)
        if heart.done():
            heart.result()
        return body.result()
    finally:
        heart.cancel()
        body.cancel()
        alarms.cancel()
        await asyncio.gather(heart, body, alarms, return_exceptions=True)
        tell(kit)


async def _beats(kit: Kit) -> None:
    while True:
        await kit.clock.sleep(BEAT_EVERY)
        await beat(kit)


async def beat(kit: Kit) -> None:
    """One heartbeat: keep the leases, hear the operator, feed the throttle, watch the pace."""
    try:
        kit.run = await kit.store.beat(kit.run, kit.leased(), kit.lease_for)
        health = await kit.store.health()
    except Fenced:
        kit.halting("fenced: another process took this run over")
        return
    except (EngineError, Unreachable) as error:
        # The lease outlives a few missed beats; if it does not, the fence keeps us out.
        kit.events.emit("run.beat_missed", kit.run.id, why=error.what)
        return
    hear(kit, kit.run)
    cause, unheard = kit.pacing.cause, kit.pacing.unheard
    pressure = await kit.pacing.watch(health)
    for name, why in kit.pacing.unheard.items():
        if name not in unheard:
            kit.events.emit("signal.missed", kit.run.id, signal=name, why=why)
    if pressure.vanished:
        kit.halting(f"throttle signal vanished: {', '.join(pressure.vanished)}")
    if kit.pacing.cause and kit.pacing.cause != cause:
        kit.events.emit("run.throttled", kit.run.id, why=kit.pacing.reason)
    watch_pace(kit)


def hear(kit: Kit, run: Run) -> None:
    """Do as the run's row says: new knobs, or an end."""
    if run.tuning != kit.pacing.tuning:
        # Other knobs, another rate: what was usual before says nothing of it.
        kit.pace = Pace()
    kit.pacing.tuning = run.tuning
    if run.tuning.workers:
        kit.lanes = max(1, run.tuning.workers)
    if run.state is not RunState.RUNNING:
        asked = run.state in ASKED
        kit.halting(f"{run.state.value}: {run.reason}" if asked else f"fenced: {run.state.value}")


def watch_pace(kit: Kit) -> None:
    """Raise an event, once, when the rate collapses against its own past or nothing moves."""
    had = kit.pace.collapsed()
    # Long stretches without an eligible row are no stall: the cursor moves over them.
    before, kit.place = kit.place, (kit.run.outcome.read, kit.run.cursor)
    scanning = before[0] == kit.place[0] and before != kit.place
    held = kit.pacing.held or kit.looking or kit.rest is not None or kit.in_batch()
    kit.pace.mark(kit.clock.now(), kit.run.outcome.read, held=held or scanning)
    found = kit.pace.collapsed()
    if found and not had:
        kit.events.emit(
            "run.rate_collapsed", kit.run.id, rate=round(found[0], 2), usual=round(found[1], 2)
        )
    now = kit.clock.monotonic()
    if kit.place != before or held:
        kit.moved_at, kit.stalled = now, False
    elif not kit.stalled and now - kit.moved_at > STALLED_AFTER:
        kit.stalled = True
        kit.events.emit("run.stalled", kit.run.id, seconds=round(now - kit.moved_at))
