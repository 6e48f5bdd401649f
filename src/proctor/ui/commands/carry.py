"""What every command that runs has in common: the permission, the live view, the reports."""

from __future__ import annotations

import os
import sys

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from proctor.engine.hints import pasteable
from proctor.errors import HeldError
from proctor.ui.options import Wish, part_of

if TYPE_CHECKING:
    from proctor.app import App, Ended, RunOptions
    from proctor.engine.snapshot import Report, Snapshot


class TooMany(HeldError):
    """More rows are eligible than `--max-rows` allows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """The words of `run` that need the backfill to be understood."""

    limit: int | None = None
    keys: tuple[str, ...] = ()
    start: str | None = None
    stop: str | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    max_rows: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Worked:
    """What a command that ran knows at its end."""

    ended: Ended
    report: Report
    files: Mapping[str, Path]
    exit_code: int
    why: str
    """What an exit code of 1 or 3 is about; empty for any other."""
    resumed: bool
    abandoned: bool
    """The second signal came: what the author's function still does is thrown away."""


async def name_of(app: App, run: str) -> str:
    """The backfill of a run."""
    return (await app.status(run))[0].run.backfill


def permitted(wish: Wish, name: str, typed: Typed, *, asked: bool) -> bool:
    """Whether a person allowed the run: always where the environment is not protected.

    Looks ahead only where a person or `--max-rows` needs the numbers. Raises TooMany.
    """
    from proctor.ui import words
    from proctor.ui.session import at_terminal, configured, typed_yes, with_app

    protected = configured(wish).env(wish.env).protected
    ask = protected and asked and at_terminal()
    if not ask and typed.max_rows is None:
        return not protected
    plan = with_app(
        wish,
        lambda app: app.plan(
            name,
            params=typed.params,
            part=part_of(
                len(app.backfill(name).spec.key), typed.limit, typed.keys, typed.start, typed.stop
            ),
        ),
    )
    survey = plan.survey
    # What was not counted may be any number; only a limit is kept whatever there is.
    known = not survey.estimated
    rows = min(survey.eligible, typed.limit or survey.eligible) if known else typed.limit
    shown = words.count(survey.eligible if rows is None else rows, estimated=rows is None)
    if typed.max_rows is not None and (rows is None or rows > typed.max_rows):
        raise TooMany(
            "more rows are eligible than this run may touch"
            if known
            else "nobody knows whether this run would touch more rows than it may",
            found=f"{shown} eligible, --max-rows {typed.max_rows:,}",
            fix="look at `proctor plan` again, raise --max-rows, or run a part with --limit",
        )
    if not ask:
        return not protected
    warned = "".join(f"\n  ! {warning}" for warning in plan.warnings)
    return typed_yes(
        wish,
        f"{name} will write {', '.join(plan.fills)} on {shown} of "
        f"{words.count(survey.rows, estimated=survey.estimated)} rows of "
        f"{plan.target} ({plan.shape.address}).{warned}",
    )


def carry(wish: Wish, what: Callable[[App], Awaitable[tuple[str, RunOptions]]]) -> int:
    """Run in view of whoever watches, keep the reports, and answer; the exit code."""
    from proctor.ui.session import with_app

    def finish(done: Worked) -> None:
        _answer(wish, done)
        if done.abandoned:
            # The author's function may go on for hours in a thread that nobody can stop.
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(done.exit_code)

    return with_app(wish, lambda app: _work(app, what), finish=finish).exit_code


def _answer(wish: Wish, done: Worked) -> None:
    from proctor.ui import documents, out
    from proctor.ui.faults import render, understood
    from proctor.ui.text import runs

    document = documents.run(done.report.run) | {
        "resumed": done.resumed,
        "interrupted_here": done.ended.interrupted,
        "reports": done.files,
        "next_steps": done.report.next_steps,
        "keys_missed": documents.plain(done.report.missed),
        "paid": documents.paid(
            done.report.paid, done.report.paid_unknown, done.report.run.outcome.written
        ),
        "exit_code": done.exit_code,
        "exit_reason": done.why,
    }
    if done.ended.error is not None:
        fault = understood(done.ended.error, wish.redact, wish.env)
        document |= documents.error(fault)
        out.note(render(fault))
    said = runs.ended(done.report, done.files, why=done.why, code=done.exit_code)
    out.answer(wish, document, *said)


async def _work(app: App, what: Callable[[App], Awaitable[tuple[str, RunOptions]]]) -> Worked:
    from proctor.ui import bills, lines, out
    from proctor.ui.session import listening

    name, options = await what(app)
    view = lines.view()
    resumed: list[str] = []

    def hear(event: Any) -> None:
        if event.name == "run.resumed":
            resumed.append(event.run)
            view.tell(f"resuming run {event.run}, which was {event.data.get('was')}")
        elif event.name == "limit.neared":
            view.tell(bills.neared(event))
        elif event.name == "batch.submitted":
            view.tell(bills.submitted(event))
        elif event.name == "quota.spent" and event.data["waits"]:
            view.tell(bills.rests(event))
        elif event.name == "quota.renewed":
            view.tell(f"the daily quota of {event.data['provider']} begins anew: going on")

    app.site.events.hear.append(hear)
    with view, listening(options.stop, view.say):
        last: list[Snapshot] = []

        def show(seen: Snapshot) -> None:
            last[:] = [seen]
            view(seen)

        ended = await app.run(name, options, show)
        # The snapshots were taken while it ran; what stands on the screen is how it ended.
        for seen in last:
            view(replace(seen, run=ended.run, eta=None, throttle_reason="", paid_waits=()))
    from proctor.ui.reports.files import keep  # after the rows: they need not wait for it

    report = await app.report(ended.run.id)
    files: Mapping[str, Path] = {}
    try:
        files = keep(report, app.config.env(app.env).reports)
    except OSError as error:
        out.note(f"the reports could not be written: {error.strerror}")
    over = over_budget(app, report)
    code = ended.exit_code or (1 if over else 0)
    return Worked(
        ended=ended,
        report=report,
        files=files,
        exit_code=code,
        why=_why(report, over) if code in (1, 3) and ended.error is None else "",
        resumed=bool(resumed),
        abandoned=options.stop.level > 1,
    )


def over_budget(app: App, report: Report) -> str:
    """Words for more failed rows than the backfill bears, also in a run too short to be paused."""
    budget = app.backfill(report.run.backfill).budget
    books = report.run.outcome
    if budget.count is not None and books.failed > budget.count:
        return f"{books.failed:,} rows failed; the error budget is {budget.count:,}"
    if books.failed > budget.share * books.read:
        share = books.failed / books.read
        return (
            f"{books.failed:,} of {books.read:,} rows failed ({share:.1%}); "
            f"the error budget is {budget.share:.1%}"
        )
    return ""


def _why(report: Report, over: str) -> str:
    run = report.run
    if over:
        listed = pasteable(f"`proctor failures {run.id}` lists them", run.env)
        return f"{over}; {listed}, and they are still eligible"
    return f"the run is {run.state.value}" + (f": {run.reason}" if run.reason else "")
