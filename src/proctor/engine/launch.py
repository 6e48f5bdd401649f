"""From a command's words to a run under way: new, resumed or taken over; approved or refused."""

from __future__ import annotations

import asyncio
import contextlib
import json

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from proctor.authoring import Backfill
from proctor.core.budget import is_spent
from proctor.core.lifecycle import ACTIVE, OCCUPYING
from proctor.core.sizing import fitted
from proctor.engine.accounts import Books
from proctor.engine.alarms import Alarms
from proctor.engine.approval import (
    Approval,
    differences,
    hold,
    hold_plan,
    judges_drift,
    refuse_drift,
)
from proctor.engine.counting import COUNTED, COUNTED_AT_ONCE, counted
from proctor.engine.hints import with_params
from proctor.engine.kit import Kit, Stop
from proctor.engine.pacing import Pacing
from proctor.engine.paid import let_ask, reading_anew
from proctor.engine.part import Part, resolve
from proctor.engine.run import Ended, Worker, execute
from proctor.engine.show import snapshot
from proctor.engine.site import Site, dice, holder, is_dead, new_id, own
from proctor.engine.snapshot import Snapshot
from proctor.engine.worked import Stretch
from proctor.errors import IllegalMove, NotConfirmed, UsageError
from proctor.model import Reparse, Run, RunState, Shape, Span, Spec
from proctor.ports import Opening, Terms

BEFORE_CANCELLING = (
    RunState.RUNNING,
    RunState.PAUSING,
    RunState.PAUSED,
    RunState.CANCELLING,
)
LOOK_EVERY = 0.25
"""Seconds between two snapshots for whoever watches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What `run` was asked to do."""

    params: Mapping[str, str] = field(default_factory=dict)
    part: Part = field(default_factory=Part)
    approval: Approval | None = None
    confirmed: bool = False
    accept: tuple[str, ...] = ()
    restart: bool = False
    resume: str | None = None
    lanes: int | None = None
    until: datetime | None = None
    patient: bool = True
    """Whether a daily quota that is used up may be waited for."""
    reparse: Reparse = Reparse.NO
    keys_of: tuple[Any, ...] = ()
    """Keys already in the store's form: those of failed rows to try again."""
    stop: Stop = field(default_factory=Stop)

    @property
    def asks_for_a_part(self) -> bool:
        """Whether anything was typed that cuts the key space."""
        return not self.part.whole or bool(self.keys_of)


async def launch(
    site: Site,
    backfill: Backfill,
    request: Request,
    work: Worker,
    on: Callable[[Snapshot], None],
    *,
    approve: Callable[[Spec, Shape, Span], Approval],
) -> Ended:
    """Open or resume the run that was asked for and work it to its end.

    `approve` makes the digests of what would run now. Raises HeldError where a person must
    decide first; nothing is written before that is settled.
    """
    former = await _former(site, backfill, request)
    anew = await reading_anew(site, backfill, request.reparse, former, afresh=request.restart)
    request = replace(request, reparse=anew)
    planned = request.approval
    values = request.params or (planned.params if planned else {}) or params_of(former)
    spec, params = backfill.bind(values)
    shape = await site.store.inspect(spec)
    span = await _span(site, spec, request)
    if former is not None and not request.restart:
        span = _same_part(former, span, asked=request.asks_for_a_part)
    now = approve(spec, shape, span)
    _permit(site, request, now, f"{backfill.name}{with_params(json.dumps(dict(values)))}")
    # Whatever can be wrong is found before a run is opened or given up: an error leaves no trace.
    pacing = site.pacing(backfill.signals)
    if former is not None and not request.restart:
        begun = Approval.parse(former.digest)
        now = now.on_target_of(begun) if shape.beside else now
        opening, row_bytes = _resumed(site, former, spec, (begun, now), request), 0.0
    else:
        opening, row_bytes = await _fresh(site, spec, span, now, request)
        if former is not None:
            await give_up(site, former, "restarted from the beginning")
            former = None
    run = await site.store.open(opening)
    _tell(site, backfill, request, run, opening, former=former)
    pacing.sizing = fitted(pacing.sizing, row_bytes)
    terms = Terms(
        code=now.parts["code"],
        attempts=site.settings.attempts,
        lease_for=site.settings.lease_for,
    )
    kit = await _kit(
        site, backfill, request, run=run, spec=spec, params=params, terms=terms, pacing=pacing
    )
    if former is not None and is_spent(former.reason):
        kit.forgiven = run.outcome  # somebody has looked: what failed until then is no news
    async with _shown(site, kit, on), site.events.flushing():
        return await execute(kit, work, sweeps=run.span.limit is None)


def _tell(
    site: Site,
    backfill: Backfill,
    request: Request,
    run: Run,
    opening: Opening,
    *,
    former: Run | None,
) -> None:
    """Put on record that a run begins, or goes on from what it was."""
    site.events.emit(
        "run.resumed" if opening.resume else "run.opened",
        run.id,
        backfill=backfill.name,
        version=backfill.version,
        accepted=list(opening.accept),
        approved_by_plan=request.approval.digest if request.approval else None,
        was=_was(former) if former else None,
        part=not opening.span.whole,
        drift=_drift(request.approval, opening),
        reparse=request.reparse.value,
    )


def _drift(planned: Approval | None, opening: Opening) -> str | None:
    """What the record says where a plan's count could not be compared with today's."""
    if planned is None or opening.resume or not (planned.estimated or opening.estimated):
        return None
    return "not judged: the rows were estimated, not counted"


def _was(former: Run) -> str:
    """The state that a run is resumed from, as people know it."""
    active = former.state in ACTIVE
    return "interrupted" if active else former.state.value


def _permit(site: Site, request: Request, now: Approval, name: str) -> None:
    """A protected environment takes a typed YES or an approved plan; a plan must still hold."""
    if request.approval is not None:
        hold_plan(request.approval, now, accept=request.accept)
    elif site.protected and not request.confirmed:
        raise NotConfirmed(
            f"environment {site.env} is protected",
            found="no YES was typed and no plan was given",
            fix=f"type YES when asked, or make a plan with `proctor plan {name} --out plan.json` "
            f"and run it with `proctor run {name} --plan plan.json`",
        )


async def _former(site: Site, backfill: Backfill, request: Request) -> Run | None:
    """The run to go on with, if the last one did not come to an end."""
    if request.resume:
        run = await site.store.run(request.resume)
        if run.backfill != backfill.name:
            raise UsageError(
                f"run {run.id} is not a run of {backfill.name}",
                found=run.backfill,
                fix=f"name that one, or see `proctor status` for the runs of {backfill.name}",
            )
        own(site, run)
    else:
        runs = await site.store.runs(backfill=backfill.name)
        mine = (r for r in runs if r.state in OCCUPYING and r.env == site.env)
        run = next(mine, None)  # type: ignore[assignment]
        if run is None:
            return None
    if run.state is RunState.ROLLING_BACK:
        raise IllegalMove(
            f"run {run.id} is being rolled back",
            found="its rollback is not finished",
            fix=f"finish it first: proctor rollback {run.id}",
        )
    if run.state not in OCCUPYING:
        raise IllegalMove(
            f"run {run.id} cannot be resumed", found=f"it is {run.state.value}", fix="start anew"
        )
    return run


def params_of(former: Run | None) -> dict[str, str]:
    """What a run was begun with, as a person would type it again."""
    stored = json.loads(former.params) if former and former.params else {}
    return {name: str(value) for name, value in dict(stored).items() if value is not None}


async def _span(site: Site, spec: Spec, request: Request) -> Span:
    """The part that was typed; without one the plan's."""
    planned = request.approval
    if planned is not None and planned.span is not None and not request.asks_for_a_part:
        return planned.span
    return await resolve(site, spec, request.part, request.keys_of)


def _same_part(former: Run, span: Span, *, asked: bool) -> Span:
    """The part of a run that goes on; UsageError when another one was asked for."""
    if asked and span != former.span:
        raise UsageError(
            f"run {former.id} is not finished and covers another part",
            found="--limit, --keys, --from, --to or --retry says otherwise",
            fix=f"resume it first (proctor resume {former.id}), cancel it (proctor cancel "
            f"{former.id}), or add --restart to give it up",
        )
    return former.span


def _resumed(
    site: Site, former: Run, spec: Spec, approvals: tuple[Approval, Approval], request: Request
) -> Opening:
    """Go on with a run: what it was begun with must still hold, or be accepted on record."""
    begun, now = approvals
    fix = f"give it up (proctor cancel {former.id}) and start anew (proctor run {former.backfill})"
    hold(begun, now, accept=request.accept, since=f"run {former.id} began", fix=fix)
    changed = _changed(begun, now)
    return Opening(
        spec=spec,
        run=former.id,
        env=site.env,
        span=former.span,
        digest=now.dump() if changed else former.digest,
        holder=holder(site.who),
        lease_for=site.settings.lease_for,
        resume=True,
        dead=former.holder is not None and is_dead(former.holder),
        accept=changed or _changed(request.approval, now),
    )


def _changed(then: Approval | None, now: Approval) -> tuple[str, ...]:
    """The parts that are not what was approved: each was accepted by name, or nothing runs."""
    return tuple(differences(then, now)) if then is not None else ()


async def _fresh(
    site: Site, spec: Spec, span: Span, now: Approval, request: Request
) -> tuple[Opening, float]:
    upto = COUNTED if judges_drift(request.approval) else COUNTED_AT_ONCE
    survey = await counted(site, spec, span, upto=upto)
    if request.approval is not None:
        refuse_drift(request.approval, survey)
    opening = Opening(
        spec=spec,
        run=new_id(site.clock.now()),
        env=site.env,
        span=span,
        digest=now.dump(),
        holder=holder(site.who),
        lease_for=site.settings.lease_for,
        accept=_changed(request.approval, now),
        last=survey.last,
        expected=survey.eligible,
        estimated=survey.estimated,
    )
    return opening, survey.row_bytes


async def give_up(site: Site, run: Run, reason: str) -> Run:
    """Cancel a run that no living process holds; with a living one, only ask it to."""
    idle = run.state in (RunState.FAILED, RunState.QUEUED)
    alive = not (idle or run.interrupted or run.state is RunState.PAUSED)
    alive = alive and not (run.holder is not None and is_dead(run.holder))
    if idle:
        after = await site.store.move(
            run.id, RunState.CANCELLED, among=[RunState.FAILED, RunState.QUEUED], reason=reason
        )
    else:
        after = await site.store.move(
            run.id, RunState.CANCELLING, among=BEFORE_CANCELLING, reason=reason
        )
    site.events.emit(
        "run.cancelling", run.id, why=reason, before=run.state.value, after=after.state.value
    )
    if not alive:
        if not idle:
            after = await site.store.move(
                run.id, RunState.CANCELLED, among=[RunState.CANCELLING], reason=reason
            )
        site.events.emit("run.cancelled", run.id, why=reason, **after.outcome.as_dict())
    await site.events.flush()
    return after


async def _kit(
    site: Site,
    backfill: Backfill,
    request: Request,
    *,
    run: Run,
    spec: Spec,
    params: Any,
    terms: Terms,
    pacing: Pacing,
) -> Kit:
    settings = site.settings
    kit = Kit(
        store=site.store,
        backfill=backfill,
        spec=spec,
        run=run,
        params=params,
        terms=terms,
        pacing=pacing,
        clock=site.clock,
        events=site.events,
        dice=dice,
        worker=f"{run.epoch}:{holder(site.who).host}:{holder(site.who).pid}",
        lease_for=settings.lease_for,
        detect=site.detect,
        redact=site.redact,
        alarms=Alarms(site.alerts),
        lanes=request.lanes or settings.lanes,
        until=request.until,
        stop=request.stop,
        patient=request.patient and settings.patient,
        reparse=request.reparse,
        began=run.outcome,
        first=run.outcome.read == 0,
    )
    await let_ask(site, kit)
    return kit


@contextlib.asynccontextmanager
async def _shown(site: Site, kit: Kit, on: Callable[[Snapshot], None]) -> AsyncIterator[None]:
    """Hand a snapshot to the face a few times a second, and once at the very end."""
    stretch, books = await Stretch.of(site, kit.run), Books(site=site, run=kit.run.id)

    def show() -> None:
        run = replace(kit.run, outcome=kit.seen)
        now, pacing = site.clock.now(), kit.pacing
        seen = snapshot(run, now, pace=kit.pace, chunks=kit.chunks, pacing=pacing, lanes=kit.lanes)
        on(books.on(replace(seen, elapsed=stretch.until(now)), kit.rest))

    async def ticks() -> None:
        while True:
            show()
            await site.clock.sleep(LOOK_EVERY)

    tasks = [asyncio.create_task(ticks())]
    if kit.asking is not None:
        tasks.append(asyncio.create_task(books.keep_looking()))  # a busy ledger stops no picture
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if kit.asking is not None:
            await books.look(at_once=True)
        show()


def read_plan(path: Path) -> Approval:
    """The approval in a plan file; UsageError if it is none."""
    try:
        return Approval.parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(
            "the plan file cannot be read",
            found=f"{path}: {error.strerror}",
            fix="make one with `proctor plan NAME --out FILE`",
        ) from error
