"""Rows on their way out: pages of a chunk, samples, rows by key, and how many there are."""

from __future__ import annotations

import asyncio
import sys

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final, TypeAlias, cast

from proctor.adapters.stores.postgres import keys
from proctor.adapters.stores.postgres.binding import Binding
from proctor.adapters.stores.postgres.literal import ident, text
from proctor.adapters.stores.postgres.pool import Pool, Rows, Transaction
from proctor.adapters.stores.postgres.stretches import asking, stretches
from proctor.errors import TargetError, TooSlow
from proctor.model import Image, Key, Lease, Page, Row, Span, Survey

WEIGHED: Final = 32
"""Rows of a page whose size is measured; the rest is taken to be like them."""
COUNTED_AT_ONCE: Final = 1_000_000
"""Rows, by the planner's estimate, that one statement is let try to count."""
SCATTERED_BELOW: Final = 200_000
"""Rows of a table up to which a random lot is drawn by ordering all of them."""

Version: TypeAlias = tuple[str | None, str | None, tuple[str, ...]]
"""Version of the source row, of the target row (None: absent), levels of deep places."""


def page_of(binding: Binding, found: Rows, *, extra: int = 0, gone: tuple[Key, ...] = ()) -> Page:
    """Rows of `binding.selected`, behind `extra` columns of the caller's, as a page."""
    width, apart = len(binding.key), binding.apart
    versions_at = extra + width
    images_at = versions_at + (2 if apart else 1)
    levels_at = images_at + len(binding.writes)
    rows_at = levels_at + sum(f.deep for f in binding.writes)
    names = (*binding.columns, *(f"= {field}" for field, _ in binding.spec.sql))
    if found:
        # A page of a chunk has no computed values; other callers ask for more than these.
        names = names[: len(found[0]) - rows_at]
    versions: list[Any]
    if apart:
        versions = [(r[versions_at], r[versions_at + 1], r[levels_at:rows_at]) for r in found]
    elif rows_at > levels_at:
        versions = [(None, r[versions_at], r[levels_at:rows_at]) for r in found]
    else:
        versions = list(map(itemgetter(versions_at), found))
    rows = _rows_of(names, rows_at)(found)
    return Page(
        keys=list(map(itemgetter(slice(extra, versions_at)), found)),
        rows=rows,
        versions=versions,
        images=_images(binding, found, images_at, levels_at),
        gone=gone,
        bytes_read=_weight(found),
    )


@lru_cache(maxsize=64)
def _rows_of(names: tuple[str, ...], start: int) -> Callable[[Rows], list[Row]]:
    """Makes rows as the author gets them; written out for these names, as namedtuple does.

    A dict of names that the compiler knows is made in a fifth of the time.
    """
    pairs = ", ".join(f"{name!r}: r[{i}]" for i, name in enumerate(names, start))
    made = eval(f"lambda found: [{{{pairs}}} for r in found]", {})  # noqa: S307 (only literals)
    return cast("Callable[[Rows], list[Row]]", made)


def _images(
    binding: Binding, found: Rows, start: int, stop: int
) -> Sequence[tuple[Image, ...] | None]:
    if not binding.apart and not any(f.nested for f in binding.writes):
        return list(map(itemgetter(slice(start, stop)), found))
    there = start - 1
    return [
        None
        if r[there] is None
        else tuple(f.python(i) for f, i in zip(binding.writes, r[start:stop], strict=True))
        for r in found
    ]


def version_of(version: Any) -> Version:
    """A page's version taken apart."""
    return (None, version, ()) if isinstance(version, str) else version


def _weight(found: Rows) -> int:
    """Roughly how much memory rows take."""
    if not found:
        return 0
    step = max(1, len(found) // WEIGHED)
    looked = found[::step]
    size = sum(sys.getsizeof(value) for row in looked for value in row if not _deep(value))
    size += sum(len(repr(value)) for row in looked for value in row if _deep(value))
    return size * len(found) // len(looked)


def _deep(value: Any) -> bool:
    return isinstance(value, dict | list)


async def read(
    pool: Pool, binding: Binding, lease: Lease, *, answered: Callable[[], None] | None = None
) -> Page:
    """The eligible rows of a chunk, in one round trip.

    The page is made in another thread, so that whoever was let in can send meanwhile.
    """
    chunk, listed_keys = lease.chunk, lease.chunk.keys
    async with pool.read(chunk.run) as work:
        if listed_keys is not None:
            page = await listed(work, binding, listed_keys, eligible=True)
        else:
            found = await work.commit(
                f"SELECT {binding.selected} FROM {binding.joined} "
                f"WHERE {binding.after(chunk.after)} AND {binding.upto(chunk.upto)} "
                f"AND {binding.eligible} ORDER BY {binding.order}"
            )
    if answered is not None:
        answered()
    return page if listed_keys is not None else await asyncio.to_thread(page_of, binding, found)


async def by_keys(pool: Pool, binding: Binding, wanted: Sequence[Key]) -> Page:
    """These rows, eligible or not."""
    async with pool.read() as work:
        return await listed(work, binding, wanted, eligible=False, extra=values_of(binding))


async def listed(
    work: Transaction, binding: Binding, wanted: Sequence[Key], *, eligible: bool, extra: str = ""
) -> Page:
    """Listed rows as a page; those that are not there are gone."""
    if not wanted:
        return page_of(binding, [])
    found = await work.commit(listing(binding, wanted, eligible=eligible, extra=extra))
    return page_of(binding, found, extra=1, gone=gone_of(wanted, found))


def gone_of(wanted: Sequence[Key], found: Rows) -> tuple[Key, ...]:
    """The keys of a list that no row of `listing` answered to."""
    seen = {row[0] for row in found}
    return tuple(key for i, key in enumerate(wanted, 1) if i not in seen)


def listing(binding: Binding, wanted: Sequence[Key], *, eligible: bool, extra: str = "") -> str:
    """The SELECT of listed rows, with the place of each in the list before it."""
    sent = keys.sent(binding.key)
    on = " AND ".join(f"{sql} = {s}" for s, (sql, _) in zip(sent, binding.parts, strict=True))
    only = binding.eligible if eligible else "true"
    # The listed keys stand first, so that the lateral join behind them keeps its place.
    return (
        f"SELECT {keys.SENT}.proctor_at, {binding.selected}{extra} FROM "
        f"{keys.unnested(binding.key, wanted)} CROSS JOIN {binding.joined} "
        f"WHERE {on} AND {only} ORDER BY {binding.order}"
    )


def values_of(binding: Binding) -> str:
    """What the expressions of `sql=` give, as text, behind the columns of a page."""
    return "".join(
        f", ({binding.bound(expression)}\n)::pg_catalog.text AS {ident(f'= {field}')}"
        for field, expression in binding.spec.sql
    )


async def sample(
    pool: Pool, binding: Binding, count: int, *, span: Span, seed: int | None, latest: bool
) -> Page:
    """Eligible rows for people to look at; under `span.keys` exactly those."""
    try:
        return await _sample(pool, binding, count, span=span, seed=seed, latest=latest)
    except TooSlow:
        if span.keys or latest or seed is not None or binding.source is None:
            raise
        # The first eligible row may lie behind more others than one statement can look through.
        return await _first(pool, binding, count, span)


async def _first(pool: Pool, binding: Binding, count: int, span: Span) -> Page:
    ask, inside = asking(pool), binding.spanned(span)
    last = await ask(
        f"SELECT {binding.printed_key} FROM {binding.scanned} WHERE {inside} "
        f"ORDER BY {binding.backwards} LIMIT 1"
    )
    found: Rows = []
    stop, within = tuple(last[0]) if last else (), pool.manners.statement_timeout
    parts = stretches(ask, binding, inside=inside, stop=stop, within=within)
    timed_out = False
    # Where no stretch can be looked through in time, a sample is what was found until then.
    try:
        while last and len(found) < count and (part := await anext(parts, None)):
            found += await ask(
                f"SELECT {binding.selected}{values_of(binding)} FROM {binding.joined} WHERE {part} "
                f"AND {binding.eligible} ORDER BY {binding.order} LIMIT {count - len(found)}"
            )
    except TooSlow:
        timed_out = True
    return replace(page_of(binding, found), timed_out=timed_out)


async def _sample(
    pool: Pool, binding: Binding, count: int, *, span: Span, seed: int | None, latest: bool
) -> Page:
    async with pool.read() as work:
        if span.keys:
            extra = values_of(binding)
            return await listed(work, binding, span.keys, eligible=False, extra=extra)
        order, only = binding.backwards if latest else binding.order, "true"
        extra = values_of(binding)
        if seed is not None and not latest:
            order, only = _shuffled(binding, seed), _thinned(binding, count, seed)
            extra += f", row_number() OVER (ORDER BY {binding.order})"
        found = await work.commit(
            f"SELECT {binding.selected}{extra} FROM {binding.joined} "
            f"WHERE {binding.spanned(span)} AND {binding.eligible} AND {only} "
            f"ORDER BY {order} LIMIT {count}"
        )
        if latest:
            found.reverse()
        elif seed is not None:
            found.sort(key=lambda row: row[-1])
        return page_of(binding, found)


def _shuffled(binding: Binding, seed: int) -> str:
    """An order in which the same seed always puts the same rows first."""
    joined = ", ".join(f"{sql}::pg_catalog.text" for sql, _ in binding.parts)
    return f"pg_catalog.md5({text(str(seed))} || pg_catalog.concat_ws(',', {joined}))"


def _thinned(binding: Binding, count: int, seed: int) -> str:
    """On a big table look at a seeded share of the rows only, many times as many as are wanted.

    The share goes by a hash of the key, so that the same seed draws the same rows again.
    """
    rows = (binding.source or binding.target).rows
    if rows <= SCATTERED_BELOW:
        return "true"
    share = max(1, min(1_000_000, int(1_000_000 * 200 * count / rows)))
    joined = ", ".join(f"{sql}::pg_catalog.text" for sql, _ in binding.parts)
    return (
        f"pg_catalog.abs(pg_catalog.hashtextextended(pg_catalog.concat_ws(',', {joined}), {seed}) "
        f"% 1000000) < {share}"
    )


async def survey(pool: Pool, binding: Binding, span: Span, *, exact: bool) -> Survey:
    """How many rows there are and how many are eligible; estimates where nothing can count them."""
    inside = binding.spanned(span)
    if span.keys:
        inside += f" AND {binding.among(span.keys)}"
    async with pool.read(snapshot=True) as work:
        first, last, size = await work.run(
            f"SELECT {binding.printed_key} FROM {binding.scanned} WHERE {inside} "
            f"ORDER BY {binding.order} LIMIT 1;\n"
            f"SELECT {binding.printed_key} FROM {binding.scanned} WHERE {inside} "
            f"ORDER BY {binding.backwards} LIMIT 1;\n"
            f"SELECT pg_catalog.avg(pg_catalog.pg_column_size(x.*))::pg_catalog.float8 "
            f"FROM (SELECT * FROM {binding.target.sql} LIMIT 200) AS x"
        )
        if binding.source is None:
            await _refuse_bad_keys(work, binding)
    found = Survey(
        rows=0,
        eligible=0,
        first=tuple(first[0]) if first else None,
        last=tuple(last[0]) if last else None,
        row_bytes=size[0][0] or 0.0,
        writes_per_row=writes_per_row(binding),
    )
    if found.last is None:
        return found
    try:
        if exact:
            rows, eligible = await _counts(pool, binding, inside, found.last)
        else:
            rows, eligible = await _estimates(pool, binding, inside)
    except TooSlow:
        if not exact:
            raise
        rows, eligible = await _estimates(pool, binding, inside)
        exact = False
    if span.limit is not None:
        eligible = min(eligible, span.limit)
    return replace(found, rows=rows, eligible=eligible, estimated=not exact)


async def _counts(pool: Pool, binding: Binding, inside: str, last: Key) -> tuple[int, int]:
    """Counted: at once where that may succeed, else stretch by stretch; or TooSlow.

    A query is only asked at once: each of its stretches may cost as much as all of it.
    """
    ask = asking(pool)
    counting = (
        f"SELECT count(*), count(*) FILTER (WHERE {binding.eligible}) FROM {binding.joined} WHERE"
    )
    guess, _ = await _estimates(pool, binding, inside)
    if binding.source is None or guess <= COUNTED_AT_ONCE:
        try:
            ((rows, eligible),) = await ask(f"{counting} {inside}")
        except TooSlow:
            if binding.source is None:
                raise
        else:
            return rows, eligible
    rows = eligible = 0
    within = pool.manners.statement_timeout
    async for part in stretches(ask, binding, inside=inside, stop=last, within=within):
        ((some, wanted),) = await ask(f"{counting} {part}")
        rows, eligible = rows + some, eligible + wanted
    return rows, eligible


async def _estimates(pool: Pool, binding: Binding, inside: str) -> tuple[int, int]:
    async with pool.read() as work:
        rows = await _planned(work, f"SELECT 1 FROM {binding.scanned} WHERE {inside}")
        eligible = await _planned(
            work, f"SELECT 1 FROM {binding.joined} WHERE {inside} AND {binding.eligible}"
        )
        return rows, eligible


async def _planned(work: Transaction, sql: str) -> int:
    ((plan,),) = await work.fetch(f"EXPLAIN (FORMAT JSON) {sql}")
    return int(plan[0]["Plan"]["Plan Rows"])


async def _refuse_bad_keys(work: Transaction, binding: Binding) -> None:
    """A query has no index that makes its key unique: look at the rows themselves."""
    columns = ", ".join(sql for sql, _ in binding.parts)
    null = " OR ".join(f"{sql} IS NULL" for sql, _ in binding.parts)
    ((nulls,),) = await work.fetch(f"SELECT EXISTS (SELECT FROM {binding.scanned} WHERE {null})")
    ((twice,),) = await work.fetch(
        f"SELECT EXISTS (SELECT FROM {binding.scanned} GROUP BY {columns} HAVING count(*) > 1)"
    )
    if nulls or twice:
        raise TargetError(
            "the key of the query does not tell its rows apart",
            found="some keys are null" if nulls else "some keys occur more than once",
            fix="choose columns that are unique and not null in the query's rows",
        )


def writes_per_row(binding: Binding) -> float:
    """Heap tuples and index entries that one update makes.

    Where no index touches a fill, half of the updates are taken to find room on their page.
    """
    written = {f.field.name for f in binding.writes}
    indexes = [i for i in binding.target.indexes if i.method != "brin"]
    indexed = any(written & i.touches for i in indexes)
    return 1.0 + len(indexes) * (1.0 if indexed else 0.5)
