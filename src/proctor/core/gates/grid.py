"""The fixed grid of looks at a metric: what was missed, what is due now, and what next.

Look k lies `initial_delay + k * interval` after the stage's begin, whoever looks and whenever:
a process that is killed, or a machine that sleeps, moves no look and loses none in silence.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from proctor.model import Metric, Mode, SqlCounts

SETTLING = timedelta(seconds=1)
"""By so much a clock is set back in the ordinary course of keeping time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What is to be done about a metric now.

    `backwards`: the clock shows a time before one that was already seen, so nobody knows what is
    due; nothing else is said then, and the driver holds.
    """

    missed: range = range(0)
    """Slots at which nobody looked; they are recorded, and never counted."""
    slot: int | None = None
    """The one to be measured now."""
    next_at: datetime | None = None
    """When there is something to do again; None where the stage has no look left."""
    backwards: bool = False


def at(metric: Metric, begun: datetime, slot: int) -> datetime:
    """The place of a slot, counted from 0."""
    return begun + metric.initial_delay + slot * metric.interval


def looks(metric: Metric, begun: datetime, ends: datetime) -> int:
    """How many slots lie in a stage, that of its last moment with them."""
    room = ends - begun - metric.initial_delay
    return 0 if room < timedelta(0) else room // metric.interval + 1


def due(
    metric: Metric,
    *,
    begun: datetime,
    ends: datetime,
    now: datetime,
    last: int | None = None,
    seen: datetime | None = None,
) -> Due:
    """What to do at `now`. last: the last slot that was recorded; seen: the latest time known.

    The slot that has come last is measured, late as it may be, while the next is not yet due. At
    the stage's end the last one can also be measured afterwards where its source is asked about a
    time of its own (SQL with `:since` and `:until`); else it is missed.
    """
    done = -1 if last is None else last
    known = max(seen or begun, begun, at(metric, begun, done) if done >= 0 else begun)
    if now < known - SETTLING:
        return Due(backwards=True)
    total = looks(metric, begun, ends)
    came = looks(metric, begun, now) - 1
    slot: int | None = min(came, total - 1)
    if slot is None or slot <= done:
        slot, missed = None, range(0)
    elif came < total or _windowed(metric):
        missed = range(done + 1, slot)
    else:
        slot, missed = None, range(done + 1, total)
    after = max(min(came, total - 1), done) + 1
    return Due(
        missed=missed, slot=slot, next_at=at(metric, begun, after) if after < total else None
    )


def windows(metric: Metric, begun: datetime, slot: int) -> tuple[tuple[datetime, datetime], ...]:
    """For each question at a slot since when and until when it asks; the first is about now.

    A baseline compares all since the stage's begin; a condition judges what came since the slot
    before. Matched windows ask the same of earlier times, the nearest first.
    """
    until = at(metric, begun, slot)
    baseline = metric.baseline
    if baseline is None:
        return ((until - metric.interval, until),)
    shifts = [timedelta(0)]
    if baseline.mode is Mode.MATCHED_WINDOWS:
        shifts += [baseline.lag * k for k in range(1, baseline.windows + 1)]
    return tuple((begun - shift, until - shift) for shift in shifts)


def _windowed(metric: Metric) -> bool:
    return isinstance(metric.source, SqlCounts) and metric.source.windowed


__all__ = ["Due", "at", "due", "looks", "windows"]
