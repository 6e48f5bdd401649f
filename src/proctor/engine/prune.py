"""Forget undo data: when its time is over, by run, or of a person's rows; with a count first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from proctor.core.lifecycle import ACTIVE, OCCUPYING
from proctor.engine.site import Site, own
from proctor.engine.undo import undoable
from proctor.errors import IllegalMove, UsageError
from proctor.model import Key, Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgetting:
    """What is to be forgotten, as typed; with nothing given, whatever is past its time.

    `keys` are rows of `run`, or of every run that wrote to `table`.
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
    found = []
    for run in runs:
        # A chunk that was undone keeps its images too, though nobody needs them to undo it.
        kept = [c for c in await site.store.chunks(run.id) if c.has_undo and c.outcome.written]
        keys = await _keys(site, run, words.keys)
        chunks = [c for c in kept if undoable(c)]
        rows = sum(c.outcome.written if c.undo_rows is None else c.undo_rows for c in chunks)
        if kept:
            found.append(Forgotten(run=run, rows=min(rows, len(keys)) if keys else rows, keys=keys))
    return found


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
    if words.table and run.target != words.table:
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


async def _keys(site: Site, run: Run, typed: Sequence[str]) -> tuple[Key, ...]:
    if not typed:
        return ()
    spec = await site.store.spec_of(run.id)
    return tuple(site.store.parse_key(spec, text) for text in typed)


async def forget(site: Site, plan: Sequence[Forgotten]) -> int:
    """Do it; on record, without the keys themselves. How many rows can no longer be undone."""
    total = 0
    for part in plan:
        rows = await site.store.prune(run=part.run.id, keys=part.keys)
        site.events.emit("images.pruned", part.run.id, rows=rows, keys=len(part.keys))
        await site.events.flush()  # of one run at a time: the next may fail
        total += rows
    return total
