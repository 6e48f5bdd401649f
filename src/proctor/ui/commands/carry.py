"""What every command that runs has in common: the permission, the live view, the reports."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from proctor.errors import HeldError
from proctor.ui.options import Wish, part_of

if TYPE_CHECKING:
    from proctor.app import App, Ended, RunOptions
    from proctor.engine.snapshot import Report


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
    resumed: bool


async def name_of(app: App, run: str) -> str:
    """The backfill of a run."""
    return (await app.status(run))[0].run.backfill


def permitted(wish: Wish, name: str, typed: Typed, *, asked: bool) -> bool:
    """Whether a person allowed the run: always where the environment is not protected.

    Looks ahead only where a person or `--max-rows` needs the numbers. Raises TooMany.
    """
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
    rows = min(plan.survey.eligible, typed.limit or plan.survey.eligible)
    if typed.max_rows is not None and rows > typed.max_rows:
        raise TooMany(
            "more rows are eligible than this run may touch",
            found=f"{rows:,} eligible, --max-rows {typed.max_rows:,}",
            fix="look at `proctor plan` again, raise --max-rows, or run a part with --limit",
        )
    if not ask:
        return not protected
    warned = "".join(f"\n  ! {warning}" for warning in plan.warnings)
    return typed_yes(
        wish,
        f"{name} will write {', '.join(plan.fills)} on {rows:,} of {plan.survey.rows:,} rows of "
        f"{plan.target} ({plan.shape.identity}).{warned}",
    )


def carry(wish: Wish, what: Callable[[App], Awaitable[tuple[str, RunOptions]]]) -> int:
    """Run in view of whoever watches, keep the reports, and answer; the exit code."""
    from proctor.ui import documents, out
    from proctor.ui.faults import render
    from proctor.ui.session import with_app
    from proctor.ui.text import runs

    done = with_app(wish, lambda app: _work(app, what))
    document = documents.run(done.report.run) | {
        "resumed": done.resumed,
        "interrupted_here": done.ended.interrupted,
        "reports": done.files,
        "next_steps": done.report.next_steps,
        "exit_code": done.exit_code,
    }
    if done.ended.error is not None:
        document |= documents.error(done.ended.error)
        out.note(render(done.ended.error))
    out.answer(wish, document, *runs.ended(done.report, done.files))
    return done.exit_code


async def _work(app: App, what: Callable[[App], Awaitable[tuple[str, RunOptions]]]) -> Worked:
    from proctor.ui import live, out
    from proctor.ui.reports.files import keep
    from proctor.ui.session import listening

    name, options = await what(app)
    view = live.view()
    resumed: list[str] = []

    def hear(event: Any) -> None:
        if event.name == "run.resumed":
            resumed.append(event.run)
            view.say(f"resuming run {event.run}, which was {event.data.get('was')}")

    app.site.events.hear.append(hear)
    with view, listening(options.stop, view.say):
        ended = await app.run(name, options, view)
    report = await app.report(ended.run.id)
    files: Mapping[str, Path] = {}
    try:
        files = keep(report, app.config.env(app.env).reports)
    except OSError as error:
        out.note(f"the reports could not be written: {error.strerror}")
    code = ended.exit_code or (1 if over_budget(app, report) else 0)
    return Worked(ended=ended, report=report, files=files, exit_code=code, resumed=bool(resumed))


def over_budget(app: App, report: Report) -> bool:
    """Whether more rows failed than the backfill bears; also in a run too short to be paused."""
    budget = app.backfill(report.run.backfill).budget
    books = report.run.outcome
    return (budget.count is not None and books.failed > budget.count) or (
        books.failed > budget.share * books.read
    )
