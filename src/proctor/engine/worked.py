"""For how long a run was worked on: the time that it was paused or dead is no part of it."""

from __future__ import annotations

import contextlib

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from proctor.core.lifecycle import ACTIVE
from proctor.engine.site import Site
from proctor.errors import ProctorError
from proctor.model import ChunkRecord, Event, Run, RunState

ENDS: Final = frozenset({"run.paused", "run.failed", "run.succeeded", "run.cancelled"})
AT_WORK: Final = ACTIVE - {RunState.ROLLING_BACK, RunState.QUEUED}


async def time_worked(
    site: Site, run: Run, at: datetime, chunks: Sequence[ChunkRecord] | None = None
) -> timedelta:
    """The same from the ledger's record and the target; from the run's row alone at the least."""
    if run.epoch == 1 and (run.ended or (run.state in AT_WORK and not run.interrupted)):
        return worked(run, at)
    told: Sequence[Event] = ()
    with contextlib.suppress(ProctorError):
        told = await site.events.ledger.events(run=run.id)
        chunks = await site.store.chunks(run.id) if chunks is None else chunks
    return worked(run, at, told, [c.applied for c in chunks or () if c.applied is not None])


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A run's time worked, known at one moment, and whether it has grown since."""

    before: timedelta
    at: datetime
    grows: bool

    @classmethod
    async def of(cls, site: Site, run: Run) -> Stretch:
        """The time until now."""
        now = site.clock.now()
        grows = run.state in AT_WORK and not run.interrupted
        return cls(before=await time_worked(site, run, now), at=now, grows=grows)

    def until(self, now: datetime) -> timedelta:
        """The time until then, if nothing has changed."""
        return self.before + (_stretch(self.at, now) if self.grows else timedelta(0))


def worked(
    run: Run, at: datetime, told: Iterable[Event] = (), signs: Sequence[datetime] = ()
) -> timedelta:
    """The sum of the stretches between a process's taking a run and its leaving it.

    told: the run's events in order. signs: when its chunks were applied. A process that was
    killed said nothing of its end: its stretch ends with the last sign of its life.
    """
    total = timedelta(0)
    since: datetime | None = run.started or run.created
    alive = since
    for event in told:
        if event.name == "run.resumed":
            if since is not None:
                total += _stretch(since, _last(alive, signs, before=event.at))
            since = event.at
        elif event.name in ENDS and since is not None:
            total += _stretch(since, event.at)
            since = None
        alive = event.at
    return total if since is None else total + _stretch(since, _until(run, at, signs, since))


def _until(run: Run, at: datetime, signs: Sequence[datetime], since: datetime) -> datetime:
    """When a stretch ended of which no event tells the end."""
    if run.state is RunState.QUEUED or (run.state in AT_WORK and not run.interrupted):
        return at
    if run.ended is not None and run.state not in AT_WORK:
        return run.ended
    return _last(run.heartbeat or since, signs, before=at)


def _last(alive: datetime | None, signs: Sequence[datetime], *, before: datetime) -> datetime:
    known = [sign for sign in (alive, *signs) if sign is not None and sign <= before]
    return max(known, default=before)


def _stretch(since: datetime, until: datetime) -> timedelta:
    # Two clocks may disagree a little.
    return max(timedelta(0), until - since)
