"""How many keys the next chunk gets: follow the time of the write transaction."""

from __future__ import annotations

import math

from dataclasses import dataclass, replace
from datetime import timedelta

GROWTH = 1.5
"""A chunk grows by at most this factor a step: one fast chunk proves little."""
SHRINK = 0.25
"""It shrinks faster, yet by no more than to a quarter a step: one slow chunk proves little too."""
WEIGHT = 0.4
"""How much a full chunk's measurement counts in the moving rate; a smaller chunk's counts less,
since its fixed costs hide what a row costs."""

WAVES = 4
"""Times that each call in flight is made anew in one chunk of paid rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizing:
    """The present size and what it rests on.

    `rows` are keys a chunk; `rate` is keys a second of write transaction, None before the
    first; `target` is how long a write transaction should take; `cap_bytes` bounds what one
    chunk may hold in memory, and goes before `floor`.
    """

    rows: int = 500
    target: timedelta = timedelta(milliseconds=500)
    floor: int = 10
    cap: int = 8_000
    cap_bytes: int = 8_000_000
    rate: float | None = None


def resized(now: Sizing, *, keys: int, took: timedelta, bytes_read: int = 0) -> Sizing:
    """The size after a chunk of `keys` keys was written in `took`; unchanged if nothing was.

    bytes_read: what its rows took in memory, 0 where that is not known.
    """
    seconds = took.total_seconds()
    if keys <= 0 or seconds <= 0:
        return now
    weight = WEIGHT * min(1.0, keys / now.rows)
    measured = keys / seconds
    # The mean is geometric: a store that becomes ten times as slow is met as soon as one that
    # becomes ten times as fast.
    rate = measured if now.rate is None else measured**weight * now.rate ** (1 - weight)
    wanted = rate * now.target.total_seconds()
    # Rounded up, or a chunk of one row could never grow again.
    rows = math.ceil(max(now.rows * SHRINK, min(wanted, now.rows * GROWTH)))
    rows = max(now.floor, min(rows, now.cap))
    if bytes_read > 0:
        rows = min(rows, keys * now.cap_bytes // bytes_read)
    return replace(now, rows=max(1, rows), rate=rate)


def fitted(now: Sizing, row_bytes: float) -> Sizing:
    """The first size on a table whose rows are this large: one chunk must fit into memory."""
    if row_bytes <= 0:
        return now
    return replace(now, rows=max(1, min(now.rows, int(now.cap_bytes / row_bytes))))


def in_waves(now: Sizing, together: int) -> Sizing:
    """Chunks for a function that asks providers for `together` rows at once: a few waves of calls.

    Their time is the calls', not the write's; rows that are paid for are to be written soon.
    """
    most = max(now.floor, WAVES * together)
    return replace(now, rows=min(now.rows, most), cap=min(now.cap, most))
