"""Judges a recorded random sample of what a run wrote, and says what that proves of the rest."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import heapq

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from proctor.authoring import Backfill
from proctor.core.checks import Case, Ready, RowsCheck, judge
from proctor.core.same import text_of
from proctor.engine.judging import masked
from proctor.engine.latest import cases_of, filled, overall
from proctor.engine.show import MASK, is_hidden, shown_key
from proctor.engine.show import masked as shown
from proctor.engine.site import Site, own
from proctor.engine.undo import undoable
from proctor.errors import UsageError
from proctor.model import Checked, Claim, Key, Ruling, Run, Spec
from proctor.model.keytext import key_text
from proctor.ports import Statistics

SHOWN_ROWS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """How a run is to be audited. `confidence` is between 0.5 and 1; `by` splits the sample."""

    sample: int = 300
    milestone: str = ""
    confidence: float = 0.95
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What the checks say of a sample that anybody can draw again, and what that proves."""

    run: str
    backfill: str
    env: str
    milestone: str
    population: int
    """Rows that the run wrote and that are not undone or pruned."""
    rows: int
    """Rows of the sample that are still there."""
    gone: int
    drawn: str
    """SHA-256 of the keys of the sample, in the order in which they were drawn."""
    verdict: Ruling
    reason: str
    checks: tuple[Checked, ...]
    claims: tuple[Claim, ...]
    shown: tuple[tuple[Key, Mapping[str, str | None]], ...]


async def audit(
    site: Site, run: Run, backfill: Backfill, wanted: Wanted, statistics: Statistics
) -> Audit:
    """Draw the sample, judge it, put it on record. Writes nothing to the target.

    Raises UsageError where there is no check, or `by` names no column.
    """
    own(site, run)
    ready = tuple(check for check in backfill.ready if not check.standing)
    if not ready:
        raise UsageError(
            f"{backfill.name} has no ready checks that judge a row by itself",
            found=f"{len(backfill.ready)} that only the database can judge: proctor check --all"
            if backfill.ready
            else "no checks= of proctor.checks",
            fix='add some: checks=[checks.leaked_tags("mood"), …]; see docs/checks.md',
        )
    told = functools.partial(judge, ready, detect=site.detect, now=site.clock.now(), standing=True)
    spec = await site.store.spec_of(run.id)
    population, keys = await drawn(site, run, wanted)
    page = await site.store.read_keys(filled(spec), keys)
    cases = _as_drawn(await cases_of(site, spec, page, ready), keys)
    found = await asyncio.to_thread(told, cases)
    claims = _claims(ready, found, statistics, wanted, of=population)
    for stratum, some in _strata(cases, wanted.by, spec).items():
        part = await asyncio.to_thread(told, some)
        claims += _claims(ready, part, statistics, wanted, stratum=stratum)
    verdict, reason = overall(found, len(cases))
    digest = hashlib.sha256("\n".join(map(key_text, keys)).encode()).hexdigest()
    site.events.emit(
        "rows.audited",
        run.id,
        milestone=wanted.milestone,
        population=population,
        rows=len(cases),
        drawn=digest,
        verdict=verdict.value,
        why=reason,
        claims=[f"{c.kind} of {c.field}{_in(c)}: {c.told}" for c in claims],
    )
    return Audit(
        run=run.id,
        backfill=run.backfill,
        env=site.env,
        milestone=wanted.milestone,
        population=population,
        rows=len(cases),
        gone=len(page.gone),
        drawn=digest,
        verdict=verdict,
        reason=reason,
        checks=masked(found, spec.written),
        claims=tuple(claims),
        shown=_shown(cases, spec),
    )


def _in(claim: Claim) -> str:
    return f" in {claim.stratum}" if claim.stratum else ""


async def drawn(site: Site, run: Run, wanted: Wanted) -> tuple[int, list[Key]]:
    """How many rows a run wrote, and those of the smallest hashes among them, smallest first.

    A simple random sample without replacement that anybody can draw again: the SHA-256 of
    `RUN/MILESTONE/KEY`, with the key as `--keys` takes it.
    """
    seen: set[Key] = set()
    smallest: list[tuple[int, str, Key]] = []  # a heap with the largest hash on top
    for chunk in await site.store.chunks(run.id):
        if not undoable(chunk):
            continue
        for key in await site.store.written_keys(run, chunk.chunk.number):
            if key in seen:  # a row that was written in two sweeps is one row
                continue
            seen.add(key)
            text = key_text(key)
            hashed = hashlib.sha256(f"{run.id}/{wanted.milestone}/{text}".encode()).digest()
            item = (-int.from_bytes(hashed), text, key)
            if len(smallest) < wanted.sample:
                heapq.heappush(smallest, item)
            else:
                heapq.heappushpop(smallest, item)
    return len(seen), [key for _, _, key in sorted(smallest, reverse=True)]


def _as_drawn(cases: Sequence[Case], keys: Sequence[Key]) -> list[Case]:
    """In the order in which they were drawn: a part of a sample from its front is one, too."""
    places = {key: place for place, key in enumerate(keys)}
    return sorted(cases, key=lambda case: places[case.key])


def _strata(cases: Sequence[Case], by: str, spec: Spec) -> dict[str, list[Case]]:
    """The sample by the values of a column."""
    if not by:
        return {}
    groups: dict[str, list[Case]] = {}
    for case in cases:
        row = {**case.row, **case.values}
        if by not in row:
            raise UsageError(
                "the sample can only be split by a column of its rows",
                found=f"--by {by}",
                fix=f"name one of: {', '.join(sorted(row))}",
            )
        hidden = is_hidden(by, set(spec.sensitive))
        groups.setdefault(MASK if hidden else str(text_of(row[by])), []).append(case)
    return dict(sorted(groups.items()))


def _claims(
    checks: Sequence[Ready],
    found: Sequence[Checked],
    statistics: Statistics,
    wanted: Wanted,
    *,
    of: int | None = None,
    stratum: str = "",
) -> list[Claim]:
    """What each check's counts prove. One that compares rows with each other proves nothing."""
    claims = []
    for check, seen in zip(checks, found, strict=True):
        if isinstance(check, RowsCheck) or not seen.samples:
            continue
        counts = seen.failures, seen.samples
        # Of how many rows it could be judged is known only where it could be of each.
        rows = None
        if of is not None and not seen.unsure:
            rows = statistics.most_rows(*counts, of, wanted.confidence)
        share = rows / of if rows is not None and of else None
        claims.append(
            Claim(
                kind=seen.kind,
                field=seen.field,
                samples=seen.samples,
                failures=seen.failures,
                share=statistics.most_share(*counts, wanted.confidence) if share is None else share,
                confidence=wanted.confidence,
                rows=rows,
                stratum=stratum,
            )
        )
    return claims


def _shown(cases: Sequence[Case], spec: Spec) -> tuple[tuple[Key, Mapping[str, str | None]], ...]:
    """The first rows of the sample, as a person may see them."""
    heads = dict.fromkeys(fill.partition(".")[0] for fill in spec.writes)
    return tuple(
        (
            shown_key(case.key, spec.written),
            shown(((name, text_of(case.values.get(name))) for name in heads), spec),
        )
        for case in cases[:SHOWN_ROWS]
    )


__all__ = ["Audit", "Wanted", "audit", "drawn"]
