"""Undo one chunk, see whether it holds, forget its images: from the journal beside the data."""

from __future__ import annotations

import time

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol

import psycopg

from proctor.adapters.stores import journal, records
from proctor.adapters.stores.postgres import catalog, fills, reading
from proctor.adapters.stores.postgres.applying import blob
from proctor.adapters.stores.postgres.binding import Binding
from proctor.adapters.stores.postgres.bisect import Found, Spoilt, bisect
from proctor.adapters.stores.postgres.faults import of_a_row, row_reason
from proctor.adapters.stores.postgres.literal import text
from proctor.adapters.stores.postgres.pool import Pool, Transaction
from proctor.adapters.stores.postgres.undoing import CHANGED, GONE, REFERENCED, Undoer
from proctor.adapters.stores.postgres.writing import SUPPRESSED
from proctor.model import Bucket, Image, Issue, Journalled, Key, Undone
from proctor.ports import UndoTerms

BUCKETS = {CHANGED: Bucket.CONFLICTED, GONE: Bucket.GONE}
"""Where a row that was left alone is listed; any other reason is the server's refusal."""


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What a chunk's row says of its undo data; no blob: nothing can be undone."""

    applied: datetime | None = None
    undone: bool = True
    blob: bytes | None = None
    after: Key | None = None
    upto: Key | None = None
    one: bool = False
    """The rows are those of one unit, which is covered whole."""
    later: Sequence[int] = ()
    """Chunks of the run that may have written to the same rows since."""
    books: Undone = field(default_factory=Undone)
    """What undoing the chunk has come to so far; only where it was locked."""

    @property
    def undoable(self) -> bytes | None:
        """The blob, unless it was undone already."""
        return None if self.undone else self.blob


class Keeper(Protocol):
    """Where a chunk's undo data is kept while its rows are restored."""

    async def kept(self, work: Transaction, run: str, number: int, *, lock: bool = False) -> Kept:
        """The chunk's undo data; with `lock` to be marked in the same transaction."""

    async def mark(
        self, work: Transaction, run: str, number: int, rest: journal.Undo, books: Undone
    ) -> None:
        """Keep the books, and what is left to undo, or that nothing is; and commit."""


async def kept(work: Transaction, run: str, number: int, *, lock: bool = False) -> Kept:
    """Read a chunk's undo data, keeping others from undoing it at the same time."""
    books = ", undo_books, undo_left" if lock else ", NULL::text, NULL::bytea"
    found = await work.fetch(
        f"SELECT applied, undone, undo, after, upto{books} FROM proctor.chunks "
        f"WHERE run = {text(run)} AND number = {number} AND state = 'applied'"
        f"{' FOR NO KEY UPDATE' if lock else ''}"
    )
    if not found:
        return Kept()
    applied, undone, data, after, upto, counts, left = found[0]
    return Kept(
        applied=applied,
        undone=undone,
        blob=data,
        after=records.key_from_json(after),
        upto=records.key_from_json(upto),
        books=records.undone_from_json(counts, left),
    )


class Beside:
    """Keeps undo data beside the rows that it restores, in the same transaction."""

    async def kept(self, work: Transaction, run: str, number: int, *, lock: bool = False) -> Kept:
        """From the chunk's row."""
        return await kept(work, run, number, lock=lock)

    async def mark(
        self, work: Transaction, run: str, number: int, rest: journal.Undo, books: Undone
    ) -> None:
        """On the chunk's row, with COMMIT."""
        where = f"WHERE run = {text(run)} AND number = {number}"
        if rest.keys:
            changed = f"undo = {blob(journal.pack(rest))}, undo_rows = {len(rest.keys)}"
        else:
            changed = "undone = true"
        changed += f", undo_books = {text(records.undone_to_json(books))}"
        changed += f", undo_left = {blob(records.pack_issues(books.left))}"
        await work.commit(f"UPDATE proctor.chunks SET {changed} {where}")


async def undoer_of(work: Transaction, binding: Binding, found: Kept, data: bytes) -> Undoer:
    """A chunk's journal, with what refers to rows that it inserted."""
    undo = journal.unpack(data)
    inserted = bool(undo.inserted)
    return Undoer(
        binding=binding,
        journal=undo,
        after=found.after,
        upto=found.upto,
        references=await catalog.references(work, binding.target) if inserted else (),
        fields=await catalog.fields_now(work, binding.target) if inserted else (),
        one=found.one,
    )


async def undo(
    pool: Pool,
    binding: Binding,
    run: str,
    number: int,
    terms: UndoTerms,
    *,
    keeper: Keeper | None = None,
) -> Undone:
    """Undo one chunk in one transaction; when a row is refused, again inside savepoints."""
    keeper = keeper or Beside()
    started = time.perf_counter()
    if terms.dry_run:
        async with pool.read(run, snapshot=True) as work:
            found = await keeper.kept(work, run, number)
            return await _look(work, binding, (run, found), terms, started)
    async with pool.write(run, deferred=False) as work:
        found = await keeper.kept(work, run, number, lock=True)
        if found.undoable is None or _too_old(found, terms):
            return Undone()
        undoer = await undoer_of(work, binding, found, found.undoable)
        covered = await undoer.covered(work, terms.span)
        try:
            done: Found[bool] = Found(written=await undoer.attempt(work, covered))
        except (Spoilt, psycopg.Error) as error:
            if isinstance(error, psycopg.Error) and not of_a_row(error):
                raise
            await work.rollback()
            if (await keeper.kept(work, run, number, lock=True)).undoable != found.undoable:
                return Undone()
            done = await bisect(work, covered, undoer)
        reasons = _refused(done, undoer)
        rest = [p for p in covered if p not in done.written and p not in reasons]
        states = await undoer.states(work, rest)
        reasons |= {p: why or SUPPRESSED for p, why in states.items()}
        settled = covered if terms.whole else [p for p in covered if p not in reasons]
        undone = _books(undoer, covered, reasons, started)
        books = found.books.then(undone, [undoer.journal.keys[p] for p in covered])
        await keeper.mark(work, run, number, _remaining(undoer, settled), books)
        return undone


def _too_old(found: Kept, terms: UndoTerms) -> bool:
    return terms.since is not None and (found.applied is None or found.applied < terms.since)


def _refused(done: Found[bool], undoer: Undoer) -> dict[int, str]:
    return {
        p: why if isinstance(why, str) else row_reason(why, _values(undoer, p))
        for p, why in done.refused.items()
    }


def _values(undoer: Undoer, position: int) -> list[object]:
    images = [c[position] for c in (*undoer.journal.before, *undoer.journal.after)]
    return [*undoer.journal.keys[position], *(i for i in images if isinstance(i, str))]


def _remaining(undoer: Undoer, settled: Sequence[int]) -> journal.Undo:
    """The journal of the rows that can be asked for again."""
    done = set(settled)
    rest = [p for p in range(len(undoer.journal.keys)) if p not in done]
    return journal.subset(undoer.journal, rest)


def _books(
    undoer: Undoer, covered: Sequence[int], reasons: Mapping[int, str], started: float
) -> Undone:
    """Every row that was to be undone, in exactly one place."""
    counts = {CHANGED: 0, GONE: 0}
    blocked = 0
    left = []
    for position, why in sorted(reasons.items()):
        if why in counts:
            counts[why] += 1
        else:
            blocked += 1
        bucket = BUCKETS.get(why, Bucket.FAILED)
        left.append(Issue(key=undoer.journal.keys[position], bucket=bucket, reason=why))
    return Undone(
        written=len(covered),
        restored=len(covered) - len(reasons),
        changed=counts[CHANGED],
        gone=counts[GONE],
        blocked=blocked,
        left=tuple(left),
        took=timedelta(seconds=time.perf_counter() - started),
    )


async def _look(
    work: Transaction,
    binding: Binding,
    chunk: tuple[str, Kept],
    terms: UndoTerms,
    started: float,
) -> Undone:
    run, found = chunk
    if found.undoable is None or _too_old(found, terms):
        return Undone()
    undoer = await undoer_of(work, binding, found, found.undoable)
    covered = await undoer.covered(work, terms.span)
    states = await undoer.states(work, covered)
    reasons = {p: why for p, why in states.items() if why}
    if terms.whole:  # newest first, so what later units wrote goes back before
        reasons = await _not_overlaid(work, run, found, undoer, reasons)
    return _books(undoer, covered, reasons, started)


async def _not_overlaid(
    work: Transaction, run: str, found: Kept, undoer: Undoer, reasons: dict[int, str]
) -> dict[int, str]:
    """The same without rows that a later unit of the run wrote too: nobody else changed them.

    Looked up only where rows are not what this unit wrote, for each later journal is opened.
    """
    keys = {undoer.journal.keys[p]: p for p, why in reasons.items() if why == CHANGED}
    for number in found.later if keys else ():
        data = (await kept(work, run, number)).undoable
        for key in journal.unpack(data).keys if data else ():
            if key in keys:
                reasons.pop(keys[key], None)
    return reasons


async def verify(
    pool: Pool, binding: Binding, run: str, number: int, *, keeper: Keeper | None = None
) -> Undone:
    """Which rows of one chunk still hold what was written."""
    keeper = keeper or Beside()
    started = time.perf_counter()
    async with pool.read(run, snapshot=True) as work:
        found = await keeper.kept(work, run, number)
        if found.undoable is None:
            return Undone()
        undoer = await undoer_of(work, binding, found, found.undoable)
        every = range(len(undoer.journal.keys))
        states = await undoer.states(work, every)
        # That others refer to a row does not change what it holds.
        reasons = {p: why for p, why in states.items() if why and why != REFERENCED}
        reasons = await _not_overlaid(work, run, found, undoer, reasons)
        return _books(undoer, every, reasons, started)


async def written_keys(pool: Pool, run: str, number: int) -> list[Key]:
    """What one chunk wrote and nobody has undone or pruned."""
    async with pool.read(run) as work:
        found = await kept(work, run, number)
    return list(journal.unpack(found.undoable).keys) if found.undoable else []


async def journalled(
    pool: Pool, binding: Binding, run: str, number: int, count: int
) -> list[Journalled]:
    """A few rows of one chunk's journal."""
    async with pool.read(run) as work:
        found = await kept(work, run, number)
    return await shown(pool, binding, found.blob, count)


async def shown(pool: Pool, binding: Binding, data: bytes | None, count: int) -> list[Journalled]:
    """A few rows of a journal; what was kept as a digest is looked up in the rows as they are."""
    if data is None:
        return []
    few = journal.some(journal.unpack(data), count, len(binding.writes))
    digests = [row.key for row in few if any(map(fills.looks_like_digest, row.after or ()))]
    page = await reading.by_keys(pool, binding, digests) if digests else None
    now = dict(zip(page.keys, page.images, strict=True)) if page else {}
    return [_legible(binding, row, now.get(row.key)) for row in few]


def _legible(binding: Binding, row: Journalled, now: tuple[Image, ...] | None) -> Journalled:
    """A row without the marks and digests that the journal keeps for the server."""
    before, after = row.before, row.after
    if before is not None:
        pairs = zip(binding.writes, before, strict=True)
        before = tuple(fill.journalled(image) for fill, image in pairs)
    if after is not None and any(map(fills.looks_like_digest, after)):
        holds = now is not None and all(map(fills.holds, after, now))
        after = now if holds else None
    return replace(row, before=before, after=after)


async def prune(
    pool: Pool, *, older_than: datetime | None, run: str | None, listed: Sequence[Key]
) -> int:
    """Forget images; how many rows can no longer be undone because of it."""
    where = "undo IS NOT NULL"
    if run is not None:
        where += f" AND run = {text(run)}"
    if older_than is not None:
        where += f" AND applied < {text(older_than.isoformat())}::timestamptz"
    async with pool.write(run or "") as work:
        if not listed:
            ((count,),) = await work.commit(
                f"WITH proctor_old AS (SELECT run, number, undone, undo_rows "
                f"FROM proctor.chunks WHERE {where} ORDER BY run, number FOR NO KEY UPDATE), "
                f"proctor_new AS (UPDATE proctor.chunks AS c SET undo = NULL, undo_rows = 0 "
                f"FROM proctor_old AS o WHERE c.run = o.run AND c.number = o.number) "
                f"SELECT coalesce(sum(undo_rows) FILTER (WHERE NOT undone), 0)::int8 "
                f"FROM proctor_old"
            )
            return int(count)
        chunks = await work.fetch(
            f"SELECT run, number FROM proctor.chunks WHERE {where} ORDER BY run, number"
        )
        wanted, count = set(listed), 0
        for name, number in chunks:
            count += await _forget(work, name, number, wanted)
        await work.commit()
        return count


async def _forget(work: Transaction, run: str, number: int, wanted: set[Key]) -> int:
    """Take some rows out of one chunk's journal; how many could still have been undone."""
    await work.run(
        f"SELECT FROM proctor.chunks WHERE run = {text(run)} AND number = {number} "
        f"FOR NO KEY UPDATE"
    )
    found = await kept(work, run, number)
    if found.blob is None:
        return 0
    unit = await _unit(work, run, number)
    if unit is not None and unit not in wanted:
        return 0
    undo = journal.unpack(found.blob)
    rest = [p for p, key in enumerate(undo.keys) if unit is None and key not in wanted]
    lost = len(undo.keys) - len(rest)
    if lost:
        smaller = journal.pack(journal.subset(undo, rest)) if rest else None
        await work.run(
            f"UPDATE proctor.chunks SET undo = {blob(smaller)}, undo_rows = {len(rest)} "
            f"WHERE run = {text(run)} AND number = {number}"
        )
    return 0 if found.undone else lost


async def _unit(work: Transaction, run: str, number: int) -> Key | None:
    """The unit that a chunk's rows were emitted by; None where they are the rows themselves."""
    ((spec, upto, keys),) = await work.fetch(
        f"SELECT r.spec, c.upto, c.keys FROM proctor.chunks AS c JOIN proctor.runs AS r "
        f"ON r.id = c.run WHERE c.run = {text(run)} AND c.number = {number}"
    )
    if not records.spec_from_json(spec).emits:
        return None
    return (records.keys_from_json(keys) or (records.key_from_json(upto) or (),))[0]
