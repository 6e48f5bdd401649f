"""How many keys the next chunk gets: follow the time of the write transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

GROWTH = 1.5
"""A chunk grows by at most this factor a step: one fast chunk proves little."""
SHRINK = 0.25
"""It shrinks at once, but never to less than a quarter: one slow chunk proves little too."""
WEIGHT = 0.4
"""How much the latest measurement counts in the moving rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizing:
    """The present size and what it rests on.

    `rows` are keys a chunk; `rate` is keys a second of write transaction, None before the
    first; `target` is how long a write transaction should take; `cap_bytes` bounds what one
    chunk may hold in memory.
    """

    rows: int = 500
    target: timedelta = timedelta(milliseconds=500)
    floor: int = 10
    cap: int = 10_000
    cap_bytes: int = 8_000_000
    rate: float | None = None


def resized(now: Sizing, *, keys: int, took: timedelta, bytes_read: int = 0) -> Sizing:
    """The size after a chunk of `keys` keys was written in `took`; unchanged if nothing was."""
    seconds = took.total_seconds()
    if keys <= 0 or seconds <= 0:
        return now
    measured = keys / seconds
    rate = measured if now.rate is None else WEIGHT * measured + (1 - WEIGHT) * now.rate
    wanted = rate * now.target.total_seconds()
    if bytes_read > 0:
        wanted = min(wanted, keys * now.cap_bytes / bytes_read)
    rows = max(now.rows * SHRINK, min(wanted, now.rows * GROWTH))
    return Sizing(
        rows=int(max(now.floor, min(rows, now.cap))),
        target=now.target,
        floor=now.floor,
        cap=now.cap,
        cap_bytes=now.cap_bytes,
        rate=rate,
    )
