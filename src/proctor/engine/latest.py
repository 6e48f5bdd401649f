"""Asks ready checks about the latest rows that are filled in: what stands there now, read-only."""

from __future__ import annotations

import asyncio

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from proctor.authoring import Backfill
from proctor.core.checks import Case, Ready, StandingCheck, judge
from proctor.engine.allrows import Whole
from proctor.engine.evidence import evidence
from proctor.engine.judging import masked
from proctor.engine.show import plural
from proctor.engine.site import Site
from proctor.errors import UsageError
from proctor.model import (
    Checked,
    Guard,
    Key,
    KeyPart,
    Level,
    Page,
    Row,
    Ruling,
    Source,
    Span,
    Spec,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What the checks of a backfill say of the latest rows, and the verdict over all of them."""

    backfill: str
    env: str
    rows: int
    verdict: Ruling
    reason: str
    checks: tuple[Checked, ...]


async def examine_latest(
    site: Site,
    backfill: Backfill,
    params: Mapping[str, str],
    count: int,
    *,
    whole: bool = False,
    files: Sequence[Path] = (),
    tell: bool = True,
) -> Examined:
    """Judge the `count` rows with the highest keys in which any fill is there.

    With a stamp only those of the present version. With `whole` all rows are judged, by the
    database, by those checks that have an SQL form, and by the others the latest. What only the
    database can judge it always judges over all rows. `files` are of other tools, and stand
    beside. tell: put it on record; not of a rollout, which asks again and again and has its own.
    Raises UsageError where there is neither check nor file.
    """
    if not backfill.ready and not files:
        raise _nothing_to_ask(backfill)
    spec, _ = backfill.bind(params)
    shape = await site.store.inspect(spec)
    now = site.clock.now()
    there = Whole(site=site, spec=filled(spec), shape=shape, now=now)
    seen: dict[int, Checked] = {}
    left: dict[str, list[int]] = {}
    for place, check in enumerate(backfill.ready):
        wanted = whole or isinstance(check, StandingCheck)
        form = there.form(check) if wanted else None
        if form is not None:
            seen[place] = await there.judge(check, form)
        elif isinstance(check, StandingCheck):
            seen[place] = _without_column(check)
        else:
            left.setdefault(check.where, []).append(place)
    for where, places in left.items():
        some = tuple(backfill.ready[place] for place in places)
        latest = await _latest(site, spec, some, where, count)
        told = await asyncio.to_thread(
            judge, some, latest, detect=site.detect, now=now, standing=True
        )
        over = f"the latest {plural(len(latest), 'row')}" if whole or seen else ""
        seen |= {p: replace(one, over=over) for p, one in zip(places, told, strict=True)}
    found = tuple(seen[place] for place in range(len(backfill.ready)))
    found += await evidence(site, backfill, there.spec, files)
    rows = max(one.samples + one.unsure for one in found)
    verdict, reason = overall(found, rows)
    if tell:
        site.events.emit(
            "rows.checked", backfill=backfill.name, verdict=verdict.value, why=reason, rows=rows
        )
    return Examined(
        backfill=backfill.name,
        env=site.env,
        rows=rows,
        verdict=verdict,
        reason=reason,
        checks=masked(found, spec.written),
    )


def _nothing_to_ask(backfill: Backfill) -> UsageError:
    return UsageError(
        f"{backfill.name} has no ready checks",
        found="no checks= of proctor.checks",
        fix='add some: checks=[checks.leaked_tags("mood"), …]; see docs/checks.md',
    )


async def _latest(
    site: Site, spec: Spec, checks: tuple[Ready, ...], where: str, count: int
) -> list[Case]:
    """The latest filled rows, of those that a check's own condition takes in."""
    plain = filled(spec)
    if where:
        plain = replace(plain, missing=f"({plain.missing}) AND ({where})")
    page = await site.store.sample(plain, count, span=Span(), latest=True)
    return await cases_of(site, spec, page, checks)


def _without_column(check: Ready) -> Checked:
    return Checked(
        kind=check.kind,
        field=check.field,
        level=check.level,
        verdict=Ruling.INCONCLUSIVE,
        reason="the database can judge a column alone, and no path inside one",
        samples=0,
        failures=0,
    )


def overall(found: tuple[Checked, ...], rows: int) -> tuple[Ruling, str]:
    """The worst that a check of level error or critical says; warnings are told and pass."""
    grave = [one for one in found if one.level is not Level.WARNING]
    by = {ruling: [one for one in grave if one.verdict is ruling] for ruling in Ruling}
    words = f"{plural(rows, 'row')} looked at"
    for ruling in (Ruling.FAIL, Ruling.INCONCLUSIVE):
        if by[ruling]:
            named = ", ".join(f"{one.kind} of {one.field}" for one in by[ruling])
            return ruling, f"{words}; {ruling.value}: {named}"
    if warned := [one for one in found if one.verdict is not Ruling.PASS]:
        words += f"; {plural(len(warned), 'warning')}"
    # Where there are warnings alone, one of them has to have seen something.
    judged = any(one.verdict is not Ruling.INCONCLUSIVE for one in found)
    return (Ruling.PASS, words) if rows and judged else (Ruling.INCONCLUSIVE, words)


def filled(spec: Spec) -> Spec:
    """The target as rows to look at: those in which any fill is there, in the present version."""
    heads = dict.fromkeys(fill.partition(".")[0] for fill in spec.fills)
    there = " OR ".join(f"{_quoted(head)} IS NOT NULL" for head in heads)
    if spec.stamp and "." not in spec.stamp:
        there = f"({there}) AND {_quoted(spec.stamp)} = {_literal(spec.version)}"
    key = spec.into_key or tuple(part.column for part in spec.key)
    return replace(
        spec,
        kind=Source.TABLE,
        source=spec.target,
        key=tuple(KeyPart(column=column) for column in key),
        columns=None,
        where=None if spec.into else spec.where,
        missing=there,
        stamp=None,
        into=None,
        into_key=(),
        sql=(),
        guard=Guard.ROWS,
        row_version=None,
        attempts=0,
        emits=False,
    )


async def cases_of(site: Site, spec: Spec, page: Page, checks: tuple[Ready, ...]) -> list[Case]:
    """The rows with what they were made from, where a check compares with that."""
    source: dict[Key, Row] = {}
    if spec.into is None:
        source = dict(zip(page.keys, page.rows, strict=True))
    elif any(check.columns() for check in checks) and page.keys:
        if not spec.emits:  # which unit gave a row is not known of the row
            made_from = await site.store.read_keys(spec, page.keys)
            source = dict(zip(made_from.keys, made_from.rows, strict=True))
        lost: dict[str, Any] = {name: None for check in checks for name in check.columns()}
        source = {key: source.get(key, lost) for key in page.keys}
    return [
        Case(key=key, row=source.get(key, {}), values=row)
        for key, row in zip(page.keys, page.rows, strict=True)
    ]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


__all__ = ["Examined", "cases_of", "examine_latest", "filled", "overall"]
