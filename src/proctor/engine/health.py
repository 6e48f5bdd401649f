"""What still lacks its fill, since when and why: read-only, with a plan for exactly those rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from proctor.authoring import Backfill
from proctor.authoring.placeholders import filled_in
from proctor.engine.plan import make_plan
from proctor.engine.show import plural, shown_key
from proctor.engine.site import Site
from proctor.engine.snapshot import Plan
from proctor.errors import TargetError, UsageError
from proctor.model import Bucket, Key, Ruling, Run, RunState, Shape, Source, Span, Spec, Survey
from proctor.model import UnitState as State

MOST: Final = 10_000
"""Keys that a mini plan names, unless said otherwise: it is read by people, and run as one."""
RUNS: Final = 10
"""Runs, newest first, that are asked why a row lacks its fill."""
SHOWN: Final = 20
"""Keys that are shown."""
ENDLESS: Final = 2**31 - 1
"""So many attempts nobody uses up."""

NEVER, ARRIVED, GIVEN_UP = "never read", "arrived since the run", "failed, with no attempt left"
EMPTY: Final = "done, but the rows of its service are not there"


@dataclass(frozen=True, slots=True, kw_only=True)
class Since:
    """From when on rows are looked at: a column of the source, and the value as it was typed."""

    column: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lacking:
    """A row that lacks its fill, and why as far as the runs know."""

    key: Key
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What was found. `lacking` is None where nothing can count the rows: never well."""

    backfill: str
    env: str
    at: datetime
    since: Since | None
    lacking: int | None
    reasons: Mapping[str, int]
    """Of the rows that were looked at, by why they lack it."""
    shown: tuple[Lacking, ...]
    capped: bool
    """There are more rows than were looked at: the next mini plan takes the rest."""
    verdict: Ruling
    reason: str
    plan: Plan | None
    """Of the rows that a run can fill; None where there are none."""

    @property
    def keys(self) -> int:
        """How many rows the mini plan names."""
        return len(self.plan.span.keys) if self.plan else 0


async def examine_health(
    site: Site,
    backfill: Backfill,
    params: Mapping[str, str],
    *,
    since: Since | None = None,
    most: int = MOST,
) -> Health:
    """Find what lacks its fill, say why, and plan a run over exactly that; writes nothing.

    Raises UsageError for a column that is not there, or that cannot be compared with a date.
    """
    spec, _ = backfill.bind(params)
    shape = await site.store.inspect(spec)
    narrow = await _since(site, spec, shape, since) if since else spec
    every = replace(narrow, attempts=ENDLESS) if spec.attempts else narrow
    survey = await _survey(site, every, since)
    open_ = await _keys(site, narrow, most)
    given_up = await _given_up(site, every, open_, most) if spec.attempts else []
    runs = await _runs(site, backfill)
    why = await _reasons(site, runs)
    # A run of a few keys after it takes nothing from what a run of the whole table has settled.
    settled = any(run.state is RunState.SUCCEEDED and run.span.whole for run in runs)
    other = ARRIVED if settled else NEVER
    found = [Lacking(key=key, reason=why.get(key, other)) for key in open_]
    found += [Lacking(key=key, reason=GIVEN_UP) for key in given_up]
    empty = [] if since else await _empty(site, spec, runs[:1], most)
    found += [Lacking(key=key, reason=EMPTY) for key in empty]
    plan = None
    if open_:
        plan, _ = await make_plan(site, backfill, params=params, keys=tuple(open_))
    lacking = None if survey.estimated else survey.eligible + len(empty)
    verdict, reason = _verdict(lacking, survey.eligible, since)
    health = Health(
        backfill=backfill.name,
        env=site.env,
        at=site.clock.now(),
        since=since,
        lacking=lacking,
        reasons=dict(Counter(one.reason for one in found).most_common()),
        shown=tuple(replace(one, key=shown_key(one.key, spec)) for one in found[:SHOWN]),
        capped=len(found) < (survey.eligible if lacking is None else lacking),
        verdict=verdict,
        reason=reason,
        plan=plan,
    )
    site.events.emit(
        "health.checked",
        backfill=backfill.name,
        verdict=verdict.value,
        why=reason,
        reasons=dict(health.reasons),
        keys=health.keys,
    )
    return health


async def _survey(site: Site, spec: Spec, since: Since | None) -> Survey:
    try:
        return await site.store.survey(spec, Span())
    except TargetError as error:
        if since is None:
            raise
        raise UsageError(
            f"{since.column} cannot be compared with {since.value}",
            found=error.found or error.what,
            fix=f"write a value as that column holds them: --since {since.column}=…",
        ) from error


def _verdict(lacking: int | None, guess: int, since: Since | None) -> tuple[Ruling, str]:
    of = f" of those since {since.value} by {since.column}" if since else ""
    if lacking is None:
        why = f"the rows cannot be counted in time; the server guesses {guess:,}"
        return Ruling.INCONCLUSIVE, why
    if not lacking:
        return Ruling.PASS, f"nothing lacks its fill{of}"
    verb = "lacks" if lacking == 1 else "lack"
    return Ruling.FAIL, f"{plural(lacking, 'row')}{of} {verb} what should be there"


async def _since(site: Site, spec: Spec, shape: Shape, since: Since) -> Spec:
    """The spec of the rows from then on. A row without a value there is looked at, too."""
    named = [part.column for part in spec.key]
    known = list(dict.fromkeys([c.name for c in shape.columns] or named))
    if since.column not in known:
        raise UsageError(
            f"--since names a column that {spec.source if spec.into else spec.target} has not",
            found=f"{since.column!r}; there are: {', '.join(known)}",
            fix="write --since COLUMN=DATE, such as --since created_at=2026-01-31",
        )
    column, value = _quoted(since.column), _literal(since.value)
    number = since.value.replace(".", "", 1).lstrip("-").isdigit()
    if site.dialect == "sqlite" and not number:
        of_numbers = f"typeof({column}) IN ('integer', 'real')"
        all_of_them = replace(spec, missing="1 = 1", stamp=None)
        found = await site.store.survey(_narrowed(all_of_them, of_numbers), Span())
        if found.eligible:
            raise UsageError(
                f"{since.column} holds numbers, which no date can be compared with",
                found=f"--since {since.column}={since.value}",
                fix=f"write the number that stands for that moment: --since {since.column}=…",
            )
    return _narrowed(spec, f"{column} >= {value} OR {column} IS NULL")


def _narrowed(spec: Spec, condition: str) -> Spec:
    also = f"({spec.where}\n) AND " if spec.where else ""
    return replace(spec, where=f"{also}({condition})")


async def _keys(site: Site, spec: Spec, most: int) -> list[Key]:
    """The first rows that a run could fill, in the order of their keys."""
    if spec.kind is Source.TABLE and spec.into is None and not spec.sql:
        needed = dict.fromkeys(part.column for part in spec.key)
        spec = replace(spec, columns=tuple(needed))
    page = await site.store.sample(replace(spec, sql=()), most, span=Span())
    return list(page.keys)


async def _given_up(site: Site, every: Spec, open_: Sequence[Key], most: int) -> list[Key]:
    """Units that no run takes any more."""
    known = set(open_)
    return [key for key in await _keys(site, every, most) if key not in known]


async def _runs(site: Site, backfill: Backfill) -> list[Run]:
    runs = await site.store.runs(backfill=backfill.name)
    mine = [run for run in runs if run.env == site.env and run.outcome.read]
    return mine[:RUNS]


async def _reasons(site: Site, runs: Sequence[Run]) -> dict[Key, str]:
    """What the newest run that read a row and did not write it said of it."""
    found: dict[Key, str] = {}
    for run in reversed(runs):
        for issue in await site.store.issues(run.id):
            if issue.bucket is Bucket.UNCHANGED:
                continue
            found[issue.key] = issue.bucket.value
    return found


async def _empty(site: Site, spec: Spec, runs: Sequence[Run], most: int) -> list[Key]:
    """Units that are done, and of which nothing stands that a service had written.

    A table of which it only deleted rows may be empty. No run takes them: what is done is done,
    until it is taken back or the version changes.
    """
    if not (spec.touches and spec.attempts and runs):
        return []
    units = await site.store.units(runs[0].id)
    done = [u for u in units if u.state is State.COMPLETED and u.version == spec.version][:most]
    wrote: dict[tuple[str, Key], set[str]] = {}
    for run in {unit.run for unit in done}:
        for touched in await site.store.touched(run):
            there = {t.table for t in touched.tables if t.inserted or t.changed}
            wrote[run, touched.unit] = there
    empty = []
    for unit in done:
        counts = await _counts(site, spec, unit.key)
        expected = wrote.get((unit.run, unit.key), set())
        lost = any(not counts.get(table, 1) for table in expected)
        if lost or not any(counts.values()):
            empty.append(unit.key)
    return empty


async def _counts(site: Site, spec: Spec, key: Key) -> dict[str, int]:
    """How many rows of a unit each table of a service holds."""
    values = {p.column: _value(v) for p, v in zip(spec.key, key, strict=True)}
    values |= {name: _value(value) for name, value in spec.params}
    found: dict[str, int] = {}
    for touch in spec.touches:
        table = ".".join(_quoted(part) for part in touch.table.split("."))
        where = filled_in(touch.where, values)
        found[touch.table] = int(
            await site.store.measure(f"SELECT count(*) FROM {table} WHERE {where}")
        )
    return found


def _value(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).upper()
    return str(value) if isinstance(value, int | float) else _literal(str(value))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


__all__ = ["Health", "Lacking", "Since", "examine_health"]
