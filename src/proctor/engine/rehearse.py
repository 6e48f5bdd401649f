"""The dry run of real rows: what would become of them, and what their answers cost."""

from __future__ import annotations

import math

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from proctor.authoring import Backfill
from proctor.core.answer import Answered
from proctor.engine.columns import named_in_sql
from proctor.engine.emitted import emitted_previews
from proctor.engine.first import settle_first
from proctor.engine.guardrail import Rehearsed, guarded
from proctor.engine.judging import reviewed, verdicts
from proctor.engine.show import money, plural, previews
from proctor.engine.site import Site
from proctor.engine.snapshot import DryRun, Preview
from proctor.engine.touched import refuse_sample
from proctor.model import OUTCOME_FIELDS, Foresight, Page, Settled, Span, Spec

T = TypeVar("T")

SEED: Final = 1
"""A paid sample is drawn from all rows, for the first may be unlike the others; and always the
same ones, so that looking twice pays once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which rows to look at.

    paid: ask providers, for this many rows in place of `count`, drawn from all that are eligible;
    without it only answers that are kept already are given. eligible: of how many rows what is
    paid is to be forecast; without it, of the sample alone.
    """

    span: Span
    count: int
    paid: int | None = None
    eligible: int | None = None

    @property
    def seed(self) -> int | None:
        """The first rows are the cheapest to find; what is forecast by must be like the rest."""
        return SEED if self.paid is not None and self.span.limit is None else None


async def rehearse(
    site: Site, backfill: Backfill, spec: Spec, params: Any, wanted: Wanted
) -> DryRun:
    """Run the author's function on real rows, in a child without DSNs, and write nothing."""
    if wanted.paid is not None:
        refuse_sample(spec)
    sampler = await site.sampler(backfill, paying=wanted.paid is not None)
    count = wanted.count if wanted.paid is None else wanted.paid
    found = await site.store.sample(spec, count, span=wanted.span, seed=wanted.seed)
    if spec.sql:
        return _inside(site, spec, found, backfill.name)
    now = site.clock.now()
    try:
        tried = await guarded(
            backfill, found, params=params, now=now, root=site.root, sampler=sampler
        )
    finally:
        answers, usd = sampler.spent() if sampler is not None else (0, 0)
        if answers:
            site.events.emit("sample.paid", backfill=backfill.name, answers=answers, usd=str(usd))
    page, given = answered(found, tried)
    checked = await verdicts(backfill, page, given, spec, site.detect)
    seen = await reviewed(backfill, page, given, spec, site.detect)
    settled = await settle_first(site.store, page, seen.answers, spec)
    counts = Counter({k: v for k, v in settled.outcome.as_dict().items() if k in OUTCOME_FIELDS})
    counts["written"] += len(settled.index)
    counts["read"] += len(settled.index)
    shown, existing = await _shown(site, page if page.keys else found, settled, spec, tried)
    paid = None
    if sampler is not None and wanted.paid is not None and page.keys:
        paid = await sampler.foresight(
            rows=len(page.keys),
            units=math.ceil(len(page.keys) / (backfill.batch or 1)),
            eligible=len(page.keys) if wanted.eligible is None else wanted.eligible,
            at_once=backfill.concurrency * (1 if spec.attempts else site.settings.lanes),
        )
    return DryRun(
        backfill=backfill.name,
        env=site.env,
        previews=shown,
        counts={k: v for k, v in counts.items() if v},
        per_row=None if tried.unasked or (paid and paid.providers) else tried.per_row,
        existing=existing,
        warnings=(*_short(found), *_unpaid(tried, spec), *_bounds(paid)),
        unasked=len(tried.unasked),
        paid=paid,
        checks=checked,
    )


async def _shown(
    site: Site, page: Page, settled: Settled, spec: Spec, tried: Rehearsed
) -> tuple[tuple[Preview, ...], int]:
    """Before and after of every row, and how many of those to be written exist."""
    if spec.emits:
        return await emitted_previews(site, settled.page, settled, spec, tried.columns)
    return previews(settled.page, settled, spec, tried.columns), _existing(page)


def _inside(site: Site, spec: Spec, page: Page, name: str) -> DryRun:
    """For `sql=` the store's sample already holds what the expressions give, by name."""
    names = [f"= {field}" for field, _ in spec.sql]
    values = [
        (*(row.get(n) for n in names), *([spec.version] if spec.stamp else [])) for row in page.rows
    ]
    shown = Settled(page=page, index=range(len(values)), values=values)
    rows = [{k: v for k, v in row.items() if k not in names} for row in page.rows]
    shown = replace(shown, page=replace(page, rows=rows))
    columns = named_in_sql(spec, rows[0] if rows else ())
    return DryRun(
        backfill=name,
        env=site.env,
        previews=previews(shown.page, shown, spec, columns),
        counts={"read": len(values), "written": len(values)} if values else {},
        per_row=None,
        existing=_existing(page),
        warnings=_short(page),
    )


def _short(page: Page) -> tuple[str, ...]:
    """That fewer rows are shown than were asked for, though there may be as many."""
    if not page.timed_out:
        return ()
    if not page.keys:
        return ("no eligible row was found in time to be shown: the function was not tried",)
    return (f"no more than {len(page.keys)} eligible rows were found in time to be shown",)


def answered(page: Page, tried: Rehearsed) -> tuple[Page, list[Answered]]:
    """The rows that have an answer, with it: of the others nobody knows what would become."""
    if not tried.unasked:
        return page, tried.answers
    missing = set(tried.unasked)

    def kept(column: Sequence[T]) -> list[T]:
        return [value for i, value in enumerate(column) if i not in missing]

    known = replace(
        page,
        keys=kept(page.keys),
        rows=kept(page.rows),
        versions=kept(page.versions),
        images=kept(page.images),
    )
    return known, kept(tried.answers)


def _unpaid(tried: Rehearsed, spec: Spec) -> Iterator[str]:
    """That rows are missing, for nobody said that their answers may be paid."""
    if tried.unasked and spec.touches:
        rows = plural(len(tried.unasked), "row")
        yield f"{rows} could not be shown: the function calls a service, which only a run does"
    elif tried.unasked:
        rows = plural(len(tried.unasked), "row")
        yield (
            f"{rows} could not be shown: the function asks a provider, and no paid call is made "
            "without your word: add --paid-sample 20 to make those of 20 rows; until then the "
            "money and the time of its answers are in no forecast"
        )


def _bounds(paid: Foresight | None) -> Iterator[str]:
    """That there was nothing to pay, or that the budget will not do."""
    if paid is not None and not paid.providers:
        yield (
            f"the function asked no provider that is paid for the {plural(paid.rows, 'row')} of "
            "the sample"
        )
    for one in paid.providers if paid is not None else ():
        if one.left_usd is not None and one.to_pay > one.left_usd:
            yield (
                f"the provider {one.provider} has {money(one.left_usd)} left of its budget, and "
                f"the answers to come are expected to cost {money(one.to_pay)}: the run would "
                "stop before its end"
            )


def _existing(page: Page) -> int:
    return sum(images is not None for images in page.images)
