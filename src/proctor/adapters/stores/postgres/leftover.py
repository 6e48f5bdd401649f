"""What a run left behind: issues, sweeps over unsettled rows, rows still eligible by reason.

Everything goes page by page over the eligible keys, and for each page one chunk's journal at a
time: the memory that it takes does not grow with the table, nor does the time of a statement.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from proctor.adapters.stores import journal, keyset, records
from proctor.adapters.stores.postgres import keys, tables
from proctor.adapters.stores.postgres.binding import Binding
from proctor.adapters.stores.postgres.claims import fenced
from proctor.adapters.stores.postgres.literal import text
from proctor.adapters.stores.postgres.pool import Pool, Transaction
from proctor.adapters.stores.postgres.stretches import Ask, along, asking, stretches
from proctor.model import Bucket, Chunk, ChunkState, Issue, Key, Run

PAGE: Final = 5_000
"""Eligible keys held in memory at once."""
ARRIVED: Final = "arrived"
WRITTEN: Final = "written"


async def issues(work: Transaction, run: str, limit: int | None) -> list[Issue]:
    """Rows that were read and not written; a conflict that a later chunk settled is no more."""
    found = await work.fetch(
        f"SELECT number, keys, issues, revisited FROM proctor.chunks WHERE run = {text(run)} "
        f"AND state = 'applied' AND (issues IS NOT NULL OR revisited > 0) ORDER BY number"
    )
    conflicts: dict[Key, Issue] = {}
    others: list[Issue] = []
    for _, listed, packed, revisited in found:
        if revisited:
            for key in records.keys_from_json(listed) or ():
                conflicts.pop(key, None)
        for issue in records.unpack_issues(packed):
            if issue.bucket is Bucket.CONFLICTED:
                conflicts[issue.key] = issue
            else:
                others.append(issue)
    listed_issues = [*others, *conflicts.values()]
    return listed_issues if limit is None else listed_issues[:limit]


async def tally(pool: Pool, binding: Binding, run: Run) -> Mapping[str, int]:
    """Rows of the target set that are eligible now, by why this run left them so."""
    counts: Counter[str] = Counter()
    ask = asking(pool, run.id)
    within, ends = pool.manners.statement_timeout, await _ends(ask, binding, run)
    async for page in eligible_pages(ask, binding, run, within, ends=ends):
        reasons = dict.fromkeys(page, ARRIVED)
        async for settled in _settled(ask, binding, run, page):
            reasons |= {k: why for k, why in settled.items() if k in reasons}
        counts.update(reasons.values())
    found = {reason: counts[reason] for reason in sorted(counts)}
    async with pool.write(run.id, control=True) as work:
        await work.commit(
            f"UPDATE proctor.runs SET still_eligible = {text(records.to_json(found))} "
            f"WHERE id = {text(run.id)} AND epoch = {run.epoch}"
        )
    return found


@dataclass(kw_only=True)
class _Sweep:
    """Chunks of one sweep in the making."""

    run: str
    number: int
    conflicted: frozenset[Key]
    after: Key | None = None

    async def open(self, work: Transaction, some: Sequence[Key]) -> None:
        """Keep one chunk of listed keys."""
        chunk = Chunk(
            run=self.run,
            number=(await work.fetch(tables.numbers(self.run, 1)))[0][0],
            after=self.after,
            upto=some[-1],
            keys=tuple(some),
            sweep=self.number,
            revisited=sum(1 for k in some if k in self.conflicted),
        )
        row = tables.inserted(chunk, state=ChunkState.OPEN, fence=0, worker="", until="NULL")
        await work.run(f"{tables.INSERT} {row}")
        self.after = some[-1]


async def sweep(pool: Pool, binding: Binding, run: Run, number: int, rows: int) -> int:
    """Open chunks of the eligible keys that the run has not settled; how many keys.

    The run's row is locked last, and the lane of heartbeats is left free: its holder's heart
    goes on beating meanwhile. That is behind the numbers of chunks, which come last elsewhere;
    but nothing of the run is claimed by now, so nobody asks for a number with that row in hand.
    """
    async with pool.read(run.id) as work:
        found = await issues(work, run.id, None)
        conflicted = frozenset(i.key for i in found if i.bucket is Bucket.CONFLICTED)
    rows = binding.spec.chunk_rows(rows)
    making = _Sweep(run=run.id, number=number, conflicted=conflicted)
    total = 0
    async with pool.write(run.id, patient=True) as work:
        left: list[Key] = []
        within, ends = pool.manners.statement_timeout, await _ends(work.fetch, binding, run)
        async for page in eligible_pages(work.fetch, binding, run, within, ends=ends):
            unsettled = await _unsettled(work.fetch, binding, run, page, conflicted)
            left += unsettled
            total += len(unsettled)
            while len(left) >= rows:
                await making.open(work, left[:rows])
                left = left[rows:]
        if left:
            await making.open(work, left)
        mine = await work.fetch(
            f"UPDATE proctor.runs SET sweep = {number} WHERE id = {text(run.id)} "
            f"AND epoch = {run.epoch} AND state = 'running' AND sweep < {number} RETURNING id"
        )
        if not mine:
            await work.rollback()
            return await _swept(work, run, number)
        await work.commit()
    return total


async def _unsettled(
    ask: Ask, binding: Binding, run: Run, page: Sequence[Key], conflicted: frozenset[Key]
) -> list[Key]:
    """The keys of a page that the run has not settled; conflicted ones are not settled."""
    left = dict.fromkeys(page)
    async for settled in _settled(ask, binding, run, page):
        for key, why in settled.items():
            if why != Bucket.CONFLICTED.value:
                left.pop(key, None)
    if run.span.limit is None:
        return list(left)
    # A limit is a number of rows read: only rows that were counted already are read again.
    return [key for key in left if key in conflicted]


async def _swept(work: Transaction, run: Run, number: int) -> int:
    """The sweep was made already (the reply was lost), or the run is not ours any more."""
    found = await work.fetch(
        f"SELECT r.sweep, (SELECT coalesce(sum(json_array_length(c.keys::json)), 0)::int8 "
        f"FROM proctor.chunks c WHERE c.run = r.id AND c.sweep = {number} AND c.attempt = 1) "
        f"FROM proctor.runs r WHERE r.id = {text(run.id)} AND r.epoch = {run.epoch} "
        f"AND r.state = 'running'"
    )
    if not found or found[0][0] < number:
        raise fenced(run.id)
    return int(found[0][1])


async def eligible_pages(
    ask: Ask, binding: Binding, run: Run, within: timedelta, *, ends: Sequence[Key] = ()
) -> AsyncIterator[list[Key]]:
    """Pages of the keys of the target set that are eligible now, in scan order.

    Along `ends`, where they are known, nothing has to be looked up but the rows themselves.
    """
    stop = run.last if run.span.limit is None else run.cursor
    if run.last is None or stop is None:
        return
    inside = binding.spanned(replace(run.span, keys=(), limit=None))
    if run.span.keys:
        inside += f" AND {binding.among(run.span.keys)}"
    page: list[Key] = []
    if ends:
        parts = along(ends, binding, inside=inside, stop=stop, within=within)
    else:
        parts = stretches(ask, binding, inside=inside, stop=stop, within=within)
    async for part in parts:
        after: Key | None = None
        while True:
            found = await ask(
                f"SELECT {binding.printed_key} FROM {binding.joined} WHERE {part} "
                f"AND {binding.after(after)} AND {binding.eligible} "
                f"ORDER BY {binding.order} LIMIT {PAGE}"
            )
            page += [tuple(row) for row in found]
            if len(page) >= PAGE:
                yield page
                page = []
            if len(found) < PAGE:
                break
            after = tuple(found[-1])
    if page:
        yield page


async def _ends(ask: Ask, binding: Binding, run: Run) -> list[Key]:
    """Where the chunks of the first pass end, in scan order."""
    found = await ask(
        f"SELECT upto FROM proctor.chunks WHERE run = {text(run.id)} AND sweep = 0 "
        f"AND keys IS NULL ORDER BY {keyset.order_by(_parts(binding, 'upto'))}"
    )
    keys_found = (records.key_from_json(row[0]) for row in found)
    return [key for key in keys_found if key is not None]


async def _settled(
    ask: Ask, binding: Binding, run: Run, page: Sequence[Key]
) -> AsyncIterator[dict[Key, str]]:
    """For each applied chunk that meets the page's range: its keys and how they ended."""
    bounds = meets(binding, page[0], page[-1])
    numbers = await ask(
        f"SELECT number FROM proctor.chunks WHERE run = {text(run.id)} AND state = 'applied' "
        f"AND {bounds} ORDER BY number"
    )
    for (number,) in numbers:
        ((undo, packed, upto, listed),) = await ask(
            f"SELECT undo, issues, upto, keys FROM proctor.chunks WHERE run = {text(run.id)} "
            f"AND number = {number}"
        )
        settled = {i.key: i.bucket.value for i in records.unpack_issues(packed)}
        if undo is not None and binding.spec.emits:  # its keys are those of emitted rows
            units = records.keys_from_json(listed) or (records.key_from_json(upto) or (),)
            settled |= dict.fromkeys(units, WRITTEN)
        elif undo is not None:
            settled |= dict.fromkeys(journal.unpack(undo).keys, WRITTEN)
        yield settled


def meets(binding: Binding, first: Key, last: Key) -> str:
    """Whether a chunk's range `(after, upto]` meets the keys from `first` to `last`."""
    upto, after = _parts(binding, "upto"), _parts(binding, "after")
    ends = keyset.behind(upto, keys.place(binding.key, first), inclusive=True)
    begins = keyset.up_to(after, keys.place(binding.key, last), inclusive=False)
    return f"({ends}) AND (after IS NULL OR ({begins}))"


def _parts(binding: Binding, column: str) -> list[tuple[str, bool]]:
    """A key kept in the chunk table as values to compare with those of the target."""
    return [
        (f"({c.field.compared(f'({column}::pg_catalog.json ->> {i})')})", c.descending)
        for i, c in enumerate(binding.key)
    ]
