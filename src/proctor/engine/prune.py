"""Forget undo data: when its time is over, by run, or of a person's rows; with a count first."""

from __future__ import annotations

import csv

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from proctor.core.lifecycle import ACTIVE, OCCUPYING
from proctor.engine.site import Site, own
from proctor.engine.undo import undoable
from proctor.errors import IllegalMove, UsageError
from proctor.model import Key, Run, Spec, Touch, TouchedUnit


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgetting:
    """What is to be forgotten, as typed; with nothing given, whatever is past its time.

    `keys` are rows of `run`, or of every run that wrote to `table`; where services that a run
    called wrote to `table`, they are rows of that.
    """

    older_than: timedelta | None = None
    run: str | None = None
    table: str | None = None
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """One run's part: rows that can then no longer be undone (at most, before it was done).

    None of a run that was rolled back: only its images go.
    """

    run: Run
    rows: int
    keys: tuple[Key, ...] = ()
    touched: str | None = None
    """Only rows of this table, which a called service wrote: `typed`, or all."""
    typed: tuple[tuple[str, ...], ...] = ()


async def chosen(
    site: Site, words: Forgetting, kept_for: Mapping[str, timedelta]
) -> list[Forgotten]:
    """The runs that the words mean, newest first, and how many rows each could still undo.

    kept_for: how long each backfill wants its undo data kept (`undo_for`); the site's own time
    holds for backfills that are no longer defined. Runs that are not finished are left alone
    unless they are named.
    """
    if words.keys and not (words.run or words.table):
        raise UsageError(
            "keys are only known within a run or a table",
            found="--keys alone",
            fix="name where: proctor prune --table T --keys K, or --run RUN --keys K",
        )
    if words.run:
        named = await site.store.run(words.run)
        own(site, named)
        runs = [_idle(named)]
    else:
        runs = [r for r in await site.store.runs() if _meant(site, r, words, kept_for)]
    parts = [await _part(site, run, words) for run in runs]
    return [part for part in parts if part is not None]


async def _part(site: Site, run: Run, words: Forgetting) -> Forgotten | None:
    """What of a run is to be forgotten; None where there is nothing."""
    spec = await site.store.spec_of(run.id)
    units = [u for u in await site.store.touched(run.id) if not u.pruned] if spec.touches else []
    if words.table and not _wrote(run, spec, words.table):
        return _of_service(run, spec, units, words)
    # A chunk that was undone keeps its images too, though nobody needs them to undo it.
    kept = [c for c in await site.store.chunks(run.id) if c.has_undo and c.outcome.written]
    if not kept and not units:
        return None
    keys = tuple(site.store.parse_key(spec, text) for text in words.keys)
    rows = sum(
        c.outcome.written if c.undo_rows is None else c.undo_rows for c in kept if undoable(c)
    )
    if keys and not spec.emits:
        rows = min(rows, len(keys))
    mine = [u for u in units if not u.undone and (not keys or u.unit in keys)]
    return Forgotten(run=run, rows=rows + sum(u.rows for u in mine), keys=keys)


def _wrote(run: Run, spec: Spec, table: str) -> bool:
    """Whether a run's rows are those of a table: of units that fill nothing, the source's."""
    return table == (spec.source if spec.only_touches else run.target)


def _of_service(
    run: Run, spec: Spec, units: Sequence[TouchedUnit], words: Forgetting
) -> Forgotten | None:
    """Rows of a table that a called service wrote."""
    touch = next((t for t in spec.touches if t.table == words.table), None)
    if touch is None or not units:
        return None
    typed = tuple(_apart(touch, text) for text in words.keys)
    rows = sum(t.rows for u in units if not u.undone for t in u.tables if t.table == touch.table)
    rows = min(rows, len(typed)) if typed else rows
    return Forgotten(run=run, rows=rows, touched=touch.table, typed=typed)


def _apart(touch: Touch, text: str) -> tuple[str, ...]:
    """The parts of a key as it was typed."""
    parts = (text,) if len(touch.key) == 1 else tuple(next(csv.reader([text]), ()))
    if len(parts) != len(touch.key):
        raise UsageError(
            f"{text!r} is no key of {touch.table}",
            found=f"{len(parts)} parts",
            fix=f"give {len(touch.key)}: {','.join(touch.key)}",
        )
    return parts


async def key_columns(site: Site, run: str | None, table: str | None) -> int:
    """Of how many columns the keys are that are typed beside a run or a table; 1 if unknown."""
    runs = [await site.store.run(run)] if run else await site.store.runs()
    for one in runs:
        spec = await site.store.spec_of(one.id)
        if table is None or _wrote(one, spec, table):
            return len(spec.key)
        for touch in spec.touches:
            if touch.table == table:
                return len(touch.key)
    return 1


def _idle(run: Run) -> Run:
    """The run, unless somebody works on it: it would lose what it has just learned to undo."""
    if run.state in ACTIVE and not run.interrupted:
        raise IllegalMove(
            f"the undo data of run {run.id} cannot be forgotten now",
            found=f"it is {run.state.value}",
            fix=f"wait for its end, or stop it first: proctor pause {run.id}",
        )
    return run


def _meant(site: Site, run: Run, words: Forgetting, kept_for: Mapping[str, timedelta]) -> bool:
    if run.env != site.env:
        return False
    if words.keys:
        return True
    if run.state in OCCUPYING or run.ended is None:
        return False
    age = words.older_than
    if age is None:
        if words.table:
            return True
        age = kept_for.get(run.backfill, site.settings.undo_for)
    return run.ended < site.clock.now() - age


async def forget(site: Site, plan: Sequence[Forgotten]) -> int:
    """Do it; on record, without the keys themselves. How many rows can no longer be undone."""
    total = 0
    for part in plan:
        run, store = part.run.id, site.store
        if part.touched is None:
            rows = await store.prune(run=run, keys=part.keys)
            rows += await store.forget_touched(run, units=part.keys)
        else:
            rows = await store.forget_touched(run, table=part.touched, keys=part.typed)
        keys = len(part.keys or part.typed)
        site.events.emit("images.pruned", run, rows=rows, keys=keys)
        await site.events.flush()  # of one run at a time: the next may fail
        total += rows
    return total
