"""Take back: undo what a run wrote, and forget what is needed to undo it."""

from __future__ import annotations

import shlex

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from proctor.engine.hints import pasteable
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
    from rich.text import Text

    from proctor.app import App, RollbackOptions
    from proctor.engine.prune import Forgotten
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
        "proctor rollback 261122-0a1b2c3d -e production --dry-run --out undo.json",
        "proctor rollback 261122-0a1b2c3d -e production --plan undo.json",
        "proctor rollback 261122-0a1b2c3d --touched",
        "proctor rollback 261122-0a1b2c3d --sql undo.sql",
    ),
)
@run_argument()
@click.option("--dry-run", is_flag=True, help="Say what would be restored; write nothing.")
@_range
@click.option("--since", metavar="T", help="Only what was written at this moment or later.")
@click.option(
    "--touched",
    is_flag=True,
    help="Also the rows that called services wrote (touches=); by default they are left alone.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="With --dry-run: write its result as JSON, to be reviewed and given to --plan.",
)
@click.option(
    "--plan",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Undo what this dry run showed; a protected environment takes it for the typed YES.",
)
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
    touched: bool,
    out: Path | None,
    plan: Path | None,
    sql: Path | None,
    yes: bool,
) -> int:
    """Undo exactly what a run wrote; exit 1 when a row had to be left alone."""
    from proctor.app import RollbackOptions
    from proctor.engine.undoplan import UndoPlan
    from proctor.ui import documents
    from proctor.ui.out import answer, note
    from proctor.ui.session import with_app
    from proctor.ui.text.runs import rollback as shown

    if sql is not None:
        if any((dry_run, keys, start, stop, since, plan)):
            raise UsageError(
                "--sql writes the undo of the whole run",
                found="it was given together with a part, --plan or --dry-run",
                fix="leave them out; the script itself may be cut by a person",
            )
        return _script(wish, run, sql)
    if out is not None and not dry_run:
        raise UsageError(
            "--out keeps what a dry run shows",
            found="--out without --dry-run",
            fix="add --dry-run; the plan is then given to --plan",
        )
    record = with_app(wish, lambda app: _record(app, run))
    options = RollbackOptions(
        dry_run=dry_run,
        part=part_of(_columns(record), None, keys, start, stop),
        since=moment(since, "--since") if since else None,
        plan=plan,
        touched=touched,
        confirmed=dry_run
        or plan is not None
        or _confirmed(wish, yes=yes, what=_what(record, touched=touched)),
    )
    done = with_app(wish, lambda app: _undo(app, record.id, options))
    if out is not None and not done.interrupted:
        documents.write(UndoPlan.of(done).document(), out)
        note(f"written to {out}; undo it with: {_with_plan(wish, run, out)}")
    answer(wish, documents.rollback(done), *shown(done))
    if done.interrupted:
        return 130
    alone = done.undone.changed or done.undone.blocked or done.untouched.left
    return 0 if dry_run or not alone else 1


@click.command(
    cls=Taught,
    writes="Removes before- and after-images. What is forgotten can never be rolled back.",
    examples=(
        "proctor prune --dry-run",
        "proctor prune --older-than 90d",
        "proctor prune --run 261122-0a1b2c3d",
        "proctor prune --table users --keys 17,42   # a person asked to be erased",
    ),
)
@click.option("--older-than", metavar="D", help="Images of runs older than this: 30d, 12h, 4w.")
@click.option("--run", metavar="RUN", help="Images of this run only.")
@click.option(
    "--table", metavar="T", help="Images of runs that wrote to this table, or whose services did."
)
@click.option(
    "--keys", multiple=True, metavar="K,…", help="Images of these rows; needs --run or --table."
)
@click.option("--dry-run", is_flag=True, help="Only say what would be forgotten.")
@yes_option
@wishes
@click.pass_obj
def prune(
    wish: Wish,
    *,
    older_than: str | None,
    run: str | None,
    table: str | None,
    keys: tuple[str, ...],
    dry_run: bool,
    yes: bool,
) -> int:
    """Forget undo data: past its time, or by age, run, table or key."""
    from proctor.app import Forgetting
    from proctor.app.keeping import key_columns
    from proctor.engine.show import plural
    from proctor.ui.out import answer
    from proctor.ui.session import with_app

    age = length(older_than, "--older-than") if older_than else None
    columns = with_app(wish, lambda app: key_columns(app, run, table)) if keys else 1
    words = Forgetting(older_than=age, run=run, table=table, keys=key_list(keys, columns))
    plan = with_app(wish, lambda app: app.prunable(words))
    rows = sum(part.rows for part in plan)
    told = [
        {"run": p.run.id, "backfill": p.run.backfill, "state": p.run.state.value, "rows": p.rows}
        for p in plan
    ]
    if dry_run or not plan:
        some = f"{plural(rows, 'row')} of {plural(len(plan), 'run')}"
        said = f"up to {some} would be forgotten; nothing was written"
        answer(wish, {"rows": 0, "would_forget": rows, "runs": told}, _lines(told, said))
        return 0
    names = ", ".join(part.run.id for part in plan[:5]) + (" …" if len(plan) > 5 else "")
    some = f"{plural(rows, 'row')} ({names})"
    what = f"Forget the undo data of up to {some}? It can never be rolled back."
    if not _confirmed(wish, yes=yes, what=what):
        raise NotConfirmed(
            f"environment {wish.env} is protected",
            found="no YES was typed",
            fix="run it at a terminal and type YES when asked",
        )
    done, anew, stale = with_app(wish, lambda app: _forget(app, plan))
    said = f"{plural(done, 'row')} can no longer be undone or verified"
    said += "".join(f"\n  written anew without their values: {path}" for path in anew)
    said += "".join(f"\n  may still hold their values, delete it: {path}" for path in stale)
    document = {"rows": done, "runs": told, "reports_renewed": anew, "reports_stale": stale}
    answer(wish, document, _lines(told, said))
    return 1 if stale else 0


async def _forget(app: App, plan: Sequence[Forgotten]) -> tuple[int, list[Path], list[Path]]:
    """Forget, and write the reports that are kept of the runs anew: their samples showed rows.

    Files that could not be written anew, and those that are not ours, come last.
    """
    from proctor.errors import ProctorError
    from proctor.ui.reports.files import keep, kept

    done = await app.prune(plan)
    anew: list[Path] = []
    stale: list[Path] = []
    folder = app.config.env(app.env).reports
    for run in (part.run.id for part in plan):
        if not (files := kept(run, folder)):
            continue
        try:
            written = set(keep(await app.report(run), folder).values())
        except (OSError, ProctorError):
            written = set()
        anew += sorted(written)
        stale += [path for path in files if path not in written and path.exists()]
    return done, anew, stale


def _lines(told: Sequence[Mapping[str, object]], said: str) -> Text:
    from rich.text import Text

    lines = [f"  {t['run']}  {t['backfill']}, {t['state']}: {t['rows']:,} rows" for t in told]
    return Text("\n".join([*lines, said]))


def _confirmed(wish: Wish, *, yes: bool, what: str) -> bool:
    """A typed YES where the environment is protected; elsewhere a y, unless `--yes` said it."""
    from proctor.ui.session import agreed, configured, typed_yes

    if configured(wish).env(wish.env).protected:
        return not yes and typed_yes(wish, what)
    if not yes and not agreed(what):
        raise click.Abort
    return True


def _with_plan(wish: Wish, run: str, plan: Path) -> str:
    return pasteable(f"proctor rollback {run} --plan {shlex.quote(str(plan))}", wish.env)


def _what(record: Run, *, touched: bool) -> str:
    """The question that a person answers."""
    rows = f"{record.outcome.written:,} rows of {record.target}"
    also = ", and the rows that called services wrote" if touched else ""
    return f"Undo run {record.id} of {record.backfill}: {rows}{also}?"


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
    from proctor.ui.session import listening

    with UndoView(dry_run=options.dry_run) as view, listening(options.stop, view.say):
        done = await app.rollback(run, options, view)
    if not (options.dry_run or done.interrupted):
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
            "the script cannot be written",
            found=f"{path}: {error.strerror}",
            fix="name a file in a folder that you may write to",
        ) from error
    try:
        with script:
            count = with_app(wish, lines)
    except BaseException:
        path.unlink()  # half a script must not be mistaken for a whole one
        raise
    answer(wish, {"run": run, "file": path.resolve(), "lines": count}, str(path))
    return 0
