"""The forecast of a run: it writes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from proctor.authoring import Backfill
from proctor.core.forecast import chunk_count, duration, log_bytes
from proctor.core.windows import closed_until
from proctor.engine.accounts import on_record
from proctor.engine.approval import Approval, approve
from proctor.engine.counting import COUNTED, counted
from proctor.engine.pacing import Pacing
from proctor.engine.part import Part, foreseen, resolve
from proctor.engine.rehearse import Wanted, rehearse
from proctor.engine.show import shown_span, source_of
from proctor.engine.site import Site
from proctor.engine.snapshot import DryRun, Estimate, Plan
from proctor.engine.touched import may_touch
from proctor.model import Key, Shape, Span, Spec, Survey

SAMPLE = 5
"""Rows that a plan shows before and after; a dry run shows as many as asked for."""


async def make_plan(
    site: Site,
    backfill: Backfill,
    *,
    params: Mapping[str, str],
    part: Part | None = None,
    keys: tuple[Key, ...] = (),
    paid_sample: int | None = None,
) -> tuple[Plan, Approval]:
    """Forecast a run: rows, chunks, time, log; a sample; warnings; and the digest to approve.

    keys: of exactly these rows, as the store knows them.
    paid_sample: how many rows to ask providers for, and to forecast their answers by.
    """
    spec, bound = backfill.bind(params)
    shape = await site.store.inspect(spec)
    span = await resolve(site, spec, part or Part(), keys)
    survey = await counted(site, spec, span, upto=COUNTED)
    few = Wanted(span=span, count=SAMPLE, paid=paid_sample, eligible=survey.eligible)
    dry = await rehearse(site, backfill, spec, bound, few)
    approval = replace(
        approve(site, backfill, spec, shape, span),
        eligible=survey.eligible,
        estimated=survey.estimated,
    )
    pacing = await _watched(site, backfill)
    chunk_rows = spec.chunk_rows(site.settings.first_rows)
    ends = shown_span(Span(start=survey.first, stop=survey.last), spec)
    logged = site.dialect == "postgres"
    plan = Plan(
        backfill=backfill.name,
        version=backfill.version,
        env=site.env,
        target=spec.target,
        fills=spec.fills,
        made=site.clock.now(),
        digest=approval.digest,
        parts=approval.parts,
        files=approval.files,
        facts=approval.facts,
        params=dict(spec.params),
        span=span,
        shape=shape,
        survey=replace(survey, first=ends.start, last=ends.stop),
        chunks=chunk_count(survey, chunk_rows, alone=spec.alone),
        chunk_rows=chunk_rows,
        duration=_time(site, spec, survey, dry),
        wal_bytes=log_bytes(survey) if logged else None,
        dead_tuples=dead_tuples(survey, dry) if logged else None,
        sample=dry.previews,
        warnings=_warnings(site, shape, survey, dry, [*may_touch(spec), *_unheard(pacing.unheard)]),
        throttle=pacing.signals,
        source=source_of(spec),
        missed=foreseen(span, survey),
        paid=dry.paid,
        checks=dry.checks,
    )
    foresaw = on_record(dry.paid)
    site.events.emit("plan.made", backfill=backfill.name, digest=plan.digest, foreseen=foresaw)
    return plan, approval


async def _watched(site: Site, backfill: Backfill) -> Pacing:
    """The very sources that the run would ask: what cannot be loaded is refused here as there."""
    pacing = site.pacing(backfill.signals)
    await pacing.watch(await site.store.health())
    return pacing


def _time(site: Site, spec: Spec, survey: Survey, dry: DryRun) -> Estimate:
    """How long the run will take: what computes, writes and asks providers, and the pauses."""
    settings = site.settings
    most = spec.chunk_rows(max(settings.first_rows, settings.most_rows))
    ends = (most, spec.chunk_rows(settings.first_rows))
    chunks = tuple(chunk_count(survey, n, alone=spec.alone) for n in ends)
    low, high = duration(
        survey,
        per_row=dry.per_row or timedelta(0),
        rows_per_second=settings.usual_rate,
        chunks=(chunks[0], chunks[1]),
        pause=settings.pause,
    )
    if dry.paid is not None:
        low, high = max(low, dry.paid.low), high + dry.paid.high
    return Estimate(low=low, high=high)


def _unheard(signals: Mapping[str, str]) -> list[str]:
    return [
        f"the throttle signal {name} is not watched ({why}): the run would not slow down for it"
        for name, why in signals.items()
    ]


def dead_tuples(survey: Survey, dry: DryRun) -> int:
    """Row versions that updates leave behind: an insertion leaves none."""
    shown = len(dry.previews) or dry.unasked
    return survey.eligible * dry.existing // shown if shown else 0


def _warnings(
    site: Site,
    shape: Shape,
    survey: Survey,
    dry: DryRun,
    also: Sequence[str],
) -> tuple[str, ...]:
    found: list[str] = list(shape.warnings)
    found += dry.warnings
    if survey.estimated:
        found.append(
            "the rows are estimated (~), not counted: a run by this plan is not held if they "
            "become more or fewer"
        )
    # Where the number is a guess, what was looked for is not.
    if not (dry.previews or dry.warnings if survey.estimated else survey.eligible):
        found.append("no row is eligible: this run would do nothing")
    if not shape.can_create:
        found.append(
            "this role may not create Proctor's tables here: a run needs progress = 'ledger', in "
            "which a crash may leave one chunk to be settled by comparing images"
        )
    shut = [w for w in site.settings.windows if closed_until(w, site.clock.now())]
    found += [f"blackout {w.text} is on: the run would wait" for w in shut]
    return (*found, *also)
