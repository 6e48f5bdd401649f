"""Run: a new run, a resumed one, the failed rows of one; and whether anything is left to do."""

from __future__ import annotations

import re

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from proctor.errors import UsageError
from proctor.ui.commands.teaching import Taught
from proctor.ui.options import (
    Wish,
    name_argument,
    pairs,
    params_option,
    part_of,
    part_options,
    run_argument,
    wishes,
    yes_option,
)

if TYPE_CHECKING:
    from proctor.app import App, RunOptions
    from proctor.model import Reparse

ACCEPTABLE = ("code", "params", "schema", "limits", "providers")
"""Parts of a digest whose change may be accepted; another table, key or fill is another run."""
RUN_WRITES = (
    "The fields that the backfill declares, and beside them Proctor's own tables with progress "
    "and undo data; then reports in .proctor/reports/RUN/."
)


@click.command(
    cls=Taught,
    writes=RUN_WRITES,
    examples=(
        "proctor run normalize_email",
        "proctor run normalize_email --limit 100",
        "proctor run normalize_email --env production --plan plan.json --until 06:00",
        "proctor run normalize_email --accept-changes code",
        "proctor run moods --reparse",
    ),
)
@name_argument
@params_option
@click.option(
    "--plan",
    "plan_file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Run what this plan forecast; refused when anything in its digest differs.",
)
@click.option(
    "--workers", type=click.IntRange(1, 64), metavar="N", help="Chunks at once, in one process."
)
@click.option(
    "--processes",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    metavar="N",
    help="Processes on this machine; each has --workers.",
)
@part_options
@click.option(
    "--max-rows",
    type=click.IntRange(min=0),
    metavar="N",
    help="Refuse to begin when more rows than this are eligible.",
)
@click.option("--until", metavar="T", help="Stop claiming at this time, such as 06:00; resumable.")
@click.option(
    "--no-wait",
    is_flag=True,
    help="Pause where a provider's daily quota is used up, instead of waiting for the next.",
)
@click.option(
    "--accept-changes",
    "accept",
    metavar="PART,…",
    help="Go on although code, params, schema, limits or providers changed since the run or plan; "
    "on record.",
)
@click.option("--restart", is_flag=True, help="Cancel the unfinished run and begin a new one.")
@click.option(
    "--reparse",
    is_flag=True,
    help="Read the replies anew that the rows got in their last run, and pay for nothing.",
)
@click.option("--or-ask", is_flag=True, help="With --reparse: ask where none is kept, or fits.")
@yes_option
@wishes
@click.pass_obj
def run(
    wish: Wish,
    name: str,
    *,
    params: tuple[str, ...],
    plan_file: Path | None,
    workers: int | None,
    processes: int,
    limit: int | None,
    keys: tuple[str, ...],
    start: str | None,
    stop: str | None,
    max_rows: int | None,
    until: str | None,
    no_wait: bool,
    accept: str | None,
    restart: bool,
    reparse: bool,
    or_ask: bool,
    yes: bool,
) -> int:
    """Run a backfill to its end; resume its last run if that was interrupted or paused."""
    from proctor.app import RunOptions
    from proctor.ui.commands.carry import Typed, carry, permitted

    typed = Typed(
        limit=limit,
        keys=keys,
        start=start,
        stop=stop,
        params=pairs(params, "--param"),
        max_rows=max_rows,
    )
    options = RunOptions(
        params=typed.params,
        plan=plan_file,
        workers=workers,
        processes=processes,
        until=until,
        wait=not no_wait,
        accept=accepted(accept),
        restart=restart,
        reparse=_reparse(reparse=reparse, or_ask=or_ask),
        confirmed=permitted(wish, name, typed, asked=not (yes or plan_file)),
    )

    async def whole(app: App) -> tuple[str, RunOptions]:
        columns = len(app.backfill(name).spec.key)
        return name, replace(options, part=part_of(columns, limit, keys, start, stop))

    return carry(wish, whole)


@click.command(
    cls=Taught,
    writes=RUN_WRITES,
    examples=("proctor resume 261122-0a1b2c3d", "proctor resume 2611 --accept-changes code"),
)
@run_argument()
@click.option("--workers", type=click.IntRange(1, 64), metavar="N", help="Chunks at once.")
@click.option("--until", metavar="T", help="Stop claiming at this time, such as 06:00.")
@click.option(
    "--no-wait",
    is_flag=True,
    help="Pause where a provider's daily quota is used up, instead of waiting for the next.",
)
@click.option(
    "--accept-changes",
    "accept",
    metavar="PART,…",
    help="Go on although code, params, schema, limits or providers changed since the run began; "
    "on record.",
)
@yes_option
@wishes
@click.pass_obj
def resume(
    wish: Wish,
    run: str,
    *,
    workers: int | None,
    until: str | None,
    no_wait: bool,
    accept: str | None,
    yes: bool,
) -> int:
    """Go on with a run that was paused or interrupted, or that failed."""
    from proctor.app import RunOptions
    from proctor.ui.commands.carry import Typed, carry, name_of, permitted
    from proctor.ui.session import with_app

    name = with_app(wish, lambda app: name_of(app, run))
    options = RunOptions(
        workers=workers,
        until=until,
        wait=not no_wait,
        accept=accepted(accept),
        resume=run,
        confirmed=permitted(wish, name, Typed(), asked=not yes),
    )

    async def again(_app: App) -> tuple[str, RunOptions]:
        return name, options

    return carry(wish, again)


@click.command(
    cls=Taught,
    writes="Nothing without --retry; with it, what `run` writes.",
    examples=(
        "proctor failures 261122-0a1b2c3d",
        "proctor failures 261122-0a1b2c3d --retry",
    ),
)
@run_argument()
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    metavar="N",
    help="List at most N rows.  [default: 100; all with --json]",
)
@click.option("--retry", is_flag=True, help="Run the failed rows again, as a new run.")
@yes_option
@wishes
@click.pass_obj
def failures(wish: Wish, run: str, *, limit: int | None, retry: bool, yes: bool) -> int:
    """List the rows that a run read and did not write, with reasons; or try them again."""
    from proctor.app import RunOptions
    from proctor.ui import documents, out
    from proctor.ui.commands.carry import Typed, carry, name_of, permitted
    from proctor.ui.session import with_app
    from proctor.ui.text.issues import issues

    if not retry:
        found = with_app(wish, lambda app: app.unwritten(run))
        out.answer(wish, documents.unwritten(found, limit), *issues(found, limit))
        return 0
    if limit is not None:
        raise UsageError(
            "--limit lists; it does not go with --retry",
            found=f"--limit {limit} --retry",
            fix="leave one of them out",
        )
    name = with_app(wish, lambda app: name_of(app, run))
    options = RunOptions(
        retry_failures_of=run,
        confirmed=permitted(wish, name, Typed(), asked=not yes),
    )

    async def failed(_app: App) -> tuple[str, RunOptions]:
        return name, options

    return carry(wish, failed)


@click.command(
    cls=Taught,
    writes="Nothing: it counts, so that a deploy or a CI job can wait for a backfill.",
    examples=("proctor ensure normalize_email --env production && ./deploy",),
)
@name_argument
@params_option
@wishes
@click.pass_obj
def ensure(wish: Wish, name: str, *, params: tuple[str, ...]) -> int:
    """Exit 0 only when no eligible row is left, 1 when there is one."""
    from rich.text import Text

    from proctor.ui import documents, out
    from proctor.ui.session import with_app

    given = pairs(params, "--param")
    found = with_app(wish, lambda app: app.ensure(name, params=given))
    document = {
        "backfill": name,
        "env": wish.env,
        "done": found.done,
        "remaining": found.remaining,
        "reason": found.reason,
        "run": documents.run(found.run) if found.run else None,
    }
    out.answer(wish, document, Text(f"{name} in {wish.env}: {found.reason}"))
    return 0 if found.done else 1


def _reparse(*, reparse: bool, or_ask: bool) -> Reparse:
    from proctor.model import Reparse

    if or_ask and not reparse:
        raise UsageError(
            "--or-ask says what --reparse does where no reply is kept",
            found="--or-ask alone",
            fix="a run without either asks; or write --reparse --or-ask",
        )
    if not reparse:
        return Reparse.NO
    return Reparse.OR_ASK if or_ask else Reparse.ONLY


def accepted(text: str | None) -> tuple[str, ...]:
    """The parts named by `--accept-changes`; UsageError for one that cannot be accepted."""
    named = tuple(part for part in re.split(r"[,|\s]+", text or "") if part)
    if text is not None and not (named and set(named) <= set(ACCEPTABLE)):
        raise UsageError(
            "--accept-changes names a part that cannot be accepted",
            found=repr(text),
            fix=f"it takes {', '.join(ACCEPTABLE)}, separated by commas",
        )
    return named
