"""Take back: undo what a run wrote, and forget what is needed to undo it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from proctor.errors import NotConfirmed, UsageError
from proctor.ui.commands.teaching import Taught
from proctor.ui.options import (
    Wish,
    key_list,
    length,
    moment,
    part_of,
    range_options,
    run_argument,
    wishes,
    yes_option,
)

if TYPE_CHECKING:
    from proctor.app import App, RollbackOptions
    from proctor.engine.snapshot import Rollback
    from proctor.model import Run


def _range(command: click.decorators.FC) -> click.decorators.FC:
    for option in reversed(range_options()):
        command = option(command)
    return command


@click.command(
    cls=Taught,
    writes="The fields that the run wrote, as they were before; rows that somebody else changed "
    "since are left alone and listed. Nothing with --dry-run; FILE with --sql.",
    examples=(
        "proctor rollback 261122-0a1b2c3d --dry-run",
        "proctor rollback 261122-0a1b2c3d",
        "proctor rollback 261122-0a1b2c3d --from 1000 --to 1999",
        "proctor rollback 261122-0a1b2c3d --sql undo.sql",
    ),
)
@run_argument()
@click.option("--dry-run", is_flag=True, help="Say what would be restored; write nothing.")
@_range
@click.option("--since", metavar="T", help="Only what was written at this moment or later.")
@click.option(
    "--sql",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write SQL that undoes the run without Proctor, with queries that verify it.",
)
@yes_option
@wishes
@click.pass_obj
def rollback(
    wish: Wish,
    run: str,
    *,
    dry_run: bool,
    keys: tuple[str, ...],
    start: str | None,
    stop: str | None,
    since: str | None,
    sql: Path | None,
    yes: bool,
) -> int:
    """Undo exactly what a run wrote; exit 1 when a row had to be left alone."""
    from proctor.app import RollbackOptions
    from proctor.ui import documents
    from proctor.ui.out import answer
    from proctor.ui.session import with_app
    from proctor.ui.text.runs import rollback as shown

    if sql is not None:
        if any((dry_run, keys, start, stop, since)):
            raise UsageError(
                "--sql writes the undo of the whole run",
                found="it was given together with a part or --dry-run",
                fix="leave them out; the script itself may be cut by a person",
            )
        return _script(wish, run, sql)
    record = with_app(wish, lambda app: _record(app, run))
    options = RollbackOptions(
        dry_run=dry_run,
        part=part_of(_columns(record), None, keys, start, stop),
        since=moment(since, "--since") if since else None,
        confirmed=dry_run
        or _confirmed(
            wish,
            yes=yes,
            what=f"Undo run {record.id} of {record.backfill}: {record.outcome.written:,} rows of "
            f"{record.target}?",
        ),
    )
    done = with_app(wish, lambda app: _undo(app, record.id, options))
    answer(wish, documents.rollback(done), *shown(done))
    return 0 if dry_run or not (done.undone.changed or done.undone.blocked) else 1


@click.command(
    cls=Taught,
    writes="Removes before- and after-images. What is forgotten can never be rolled back.",
    examples=(
        "proctor prune --older-than 30d",
        "proctor prune --run 261122-0a1b2c3d",
        "proctor prune --run 261122-0a1b2c3d --keys 17,42   # a person asked to be erased",
    ),
)
@click.option("--older-than", metavar="D", help="Images of runs older than this: 30d, 12h, 4w.")
@click.option("--run", metavar="RUN", help="Images of this run only.")
@click.option("--keys", multiple=True, metavar="K,…", help="Images of these rows; needs --run.")
@yes_option
@wishes
@click.pass_obj
def prune(
    wish: Wish,
    *,
    older_than: str | None,
    run: str | None,
    keys: tuple[str, ...],
    yes: bool,
) -> None:
    """Forget undo data by age, by run or by key."""
    from rich.text import Text

    from proctor.ui.out import answer
    from proctor.ui.session import with_app

    age = length(older_than, "--older-than") if older_than else None
    record = with_app(wish, lambda app: _record(app, run)) if run else None
    what = f"run {record.id}" if record else f"runs older than {older_than}"
    if (age or record) and not _confirmed(
        wish, yes=yes, what=f"Forget the undo data of {what}? It can then never be rolled back."
    ):
        raise NotConfirmed(
            f"environment {wish.env} is protected",
            found="no YES was typed",
            fix="run it at a terminal and type YES when asked",
        )
    parsed = key_list(keys, _columns(record) if record else 1)
    rows = with_app(wish, lambda app: app.prune(older_than=age, keys=parsed, run=run))
    said = f"{rows:,} rows can no longer be undone"
    answer(wish, {"rows": rows, "run": record.id if record else None}, Text(said))


def _confirmed(wish: Wish, *, yes: bool, what: str) -> bool:
    """A typed YES where the environment is protected; elsewhere a y, unless `--yes` said it."""
    from proctor.ui.session import agreed, configured, typed_yes

    if configured(wish).env(wish.env).protected:
        return not yes and typed_yes(wish, what)
    if not yes and not agreed(what):
        raise click.Abort
    return True


async def _record(app: App, run: str) -> Run:
    return (await app.status(run))[0].run


def _columns(record: Run) -> int:
    """Of how many columns a run's keys are."""
    known: Sequence[object] = record.last or ("one",)
    return len(known)


async def _undo(app: App, run: str, options: RollbackOptions) -> Rollback:
    from proctor.ui import out
    from proctor.ui.live import UndoView
    from proctor.ui.reports.files import keep

    with UndoView() as view:
        done = await app.rollback(run, options, view)
    if not options.dry_run:
        try:
            keep(await app.report(run), app.config.env(app.env).reports)
        except OSError as error:
            out.note(f"the reports could not be written: {error.strerror}")
    return done


def _script(wish: Wish, run: str, path: Path) -> int:
    from proctor.ui.out import answer
    from proctor.ui.session import with_app

    async def lines(app: App) -> int:
        written = 0
        async for line in app.rollback_script(run):
            script.write(line if line.endswith("\n") else line + "\n")
            written += 1
        return written

    try:
        script = path.open("x", encoding="utf-8")
    except FileExistsError as error:
        raise UsageError(
            "the script is there already", found=str(path), fix="name another file, or move it"
        ) from error
    except OSError as error:
        raise UsageError(
            "the script cannot be written", found=f"{path}: {error.strerror}"
        ) from error
    try:
        with script:
            count = with_app(wish, lines)
    except BaseException:
        path.unlink()  # half a script must not be mistaken for a whole one
        raise
    answer(wish, {"run": run, "file": path.resolve(), "lines": count}, str(path))
    return 0
