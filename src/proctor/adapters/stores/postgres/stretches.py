"""The key space in stretches, so that no statement looks at more rows than it can in time."""

from __future__ import annotations

import time

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Final, TypeAlias

from proctor.adapters.stores.postgres.binding import Binding
from proctor.adapters.stores.postgres.pool import Pool, Rows
from proctor.model import Key

FIRST: Final = 1_000
"""Keys of the first stretch; from there on what they took says how many."""
AT_ONCE: Final = 128
"""Ends of chunks in the longest stretch along them: about as many keys as in another."""
LEAST: Final = 100
MOST: Final = 1_000_000
SHARE: Final = 8
"""Part of the statement time-out that a stretch may come near to: the next may be slower."""
GROWTH: Final = 4

Ask: TypeAlias = Callable[[str], Awaitable[Rows]]
"""Sends one statement; its rows."""


def asking(pool: Pool, run: str = "") -> Ask:
    """Each statement in a read-only transaction of its own: none of them holds vacuum up."""

    async def ask(sql: str) -> Rows:
        async with pool.read(run) as work:
            return await work.commit(sql)

    return ask


async def stretches(
    ask: Ask, binding: Binding, *, inside: str, stop: Key, within: timedelta
) -> AsyncIterator[str]:
    """The scan up to `stop` in parts of a bounded number of keys, eligible or not, in order.

    Each is a condition on the scanned rows. It is as long as its asker can deal with in a small
    share of the time-out; a query is walked in the longest ones, for it may cost the same
    however little of it is asked for.
    """
    rows = MOST if binding.source is None else FIRST
    after: Key | None = None
    while True:
        began = time.perf_counter()
        rest = f"{inside} AND {binding.after(after)} AND {binding.upto(stop)}"
        # OFFSET counts the keys of this one stretch; nothing is paged by it.
        found = await ask(
            f"SELECT {binding.printed_key} FROM {binding.scanned} WHERE {rest} "
            f"ORDER BY {binding.order} OFFSET {rows - 1} LIMIT 1"
        )
        upto: Key = tuple(found[0]) if found else stop
        yield f"{inside} AND {binding.after(after)} AND {binding.upto(upto)}"
        if upto == stop:
            return
        after = upto
        if binding.source is not None:
            rows = _next(rows, time.perf_counter() - began, within, least=LEAST, most=MOST)


async def along(
    ends: Sequence[Key], binding: Binding, *, inside: str, stop: Key, within: timedelta
) -> AsyncIterator[str]:
    """The same along ends that are known, as those of a run's chunks are: no key is counted.

    Behind rows that were just written, finding an end costs about as much as looking at them.
    """
    many, done = AT_ONCE if binding.source is None else 1, 0
    after: Key | None = None
    while done < len(ends):
        began = time.perf_counter()
        done = min(done + many, len(ends))
        upto = ends[done - 1]
        yield f"{inside} AND {binding.after(after)} AND {binding.upto(upto)}"
        after = upto
        if binding.source is not None:
            many = _next(many, time.perf_counter() - began, within, least=1, most=AT_ONCE)
    if after != stop:
        yield f"{inside} AND {binding.after(after)} AND {binding.upto(stop)}"


def _next(length: int, took: float, within: timedelta, *, least: int, most: int) -> int:
    """How long the next stretch may be, after one of this length."""
    good = within.total_seconds() / SHARE
    if took * GROWTH < good:
        return min(most, length * GROWTH)
    return max(least, length // 2) if took > good else length
