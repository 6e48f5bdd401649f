"""Look: runs on record, a run as it goes, whether it holds, its report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from proctor.errors import UsageError
from proctor.ui.commands.teaching import Taught
from proctor.ui.options import Wish, run_argument, wishes

if TYPE_CHECKING:
    from proctor.app import App
    from proctor.engine.snapshot import Snapshot


@click.command(
    cls=Taught,
    writes="Nothing.",
    examples=("proctor status", "proctor status 261122-0a1b2c3d", "proctor status --json"),
)
@run_argument(required=False)
@wishes
@click.pass_obj
def status(wish: Wish, run: str | None) -> None:
    """List the runs of an environment, newest first; or show one."""
    from proctor.ui import documents
    from proctor.ui.out import answer
    from proctor.ui.session import with_app
    from proctor.ui.text import runs

    seen = with_app(wish, lambda app: app.status(run))
    shown = runs.one(seen[0]) if run is not None else runs.runs(seen)
    answer(wish, {"runs": [documents.snapshot(s) for s in seen]}, *shown)


@click.command(
    cls=Taught,
    writes="Nothing; Ctrl-C leaves the view, and the run goes on.",
    examples=("proctor watch", "proctor watch 261122-0a1b2c3d"),
)
@run_argument(required=False)
@wishes
@click.pass_obj
def watch(wish: Wish, run: str | None) -> int:
    """Show a run of any process live until it ends; without RUN the newest active one."""
    from proctor.model import RunState
    from proctor.ui import documents
    from proctor.ui.out import answer, note
    from proctor.ui.session import with_app
    from proctor.ui.text.runs import one

    try:
        last = with_app(wish, lambda app: _watch(app, run))
    except KeyboardInterrupt:
        note("no longer watched; the run goes on")
        return 130
    answer(wish, documents.snapshot(last), *one(last))
    good = last.run.state in (RunState.SUCCEEDED, RunState.ROLLED_BACK)
    return 0 if good and not last.run.interrupted else 1


@click.command(
    cls=Taught,
    writes="Nothing to the database; a line in the ledger with the verdict.",
    examples=("proctor verify 261122-0a1b2c3d", "proctor verify 2611 --sample 1000"),
)
@run_argument()
@click.option(
    "--sample",
    type=click.IntRange(0, 100_000),
    default=100,
    show_default=True,
    metavar="N",
    help="How many rows to compute again and compare.",
)
@wishes
@click.pass_obj
def verify(wish: Wish, run: str, *, sample: int) -> int:
    """See that what a run wrote still stands; exit 0 only for the verdict pass."""
    from proctor.ui import documents
    from proctor.ui.out import answer
    from proctor.ui.session import with_app
    from proctor.ui.text.runs import verification

    seen = with_app(wish, lambda app: app.verify(run, sample=sample))
    answer(wish, documents.verification(seen), *verification(seen))
    return 0 if seen.verdict == "pass" else 1


@click.command(
    cls=Taught,
    writes="Nothing without --out. `run` keeps all three formats in .proctor/reports/RUN/.",
    examples=(
        "proctor report 261122-0a1b2c3d",
        "proctor report 2611 --format html --out report.html",
        "proctor report 2611 --format json | jq .success_rate",
    ),
)
@run_argument()
@click.option(
    "--format",
    "form",
    type=click.Choice(["md", "html", "json"]),
    default=None,
    help="Markdown, one self-contained page, or the statistics.  [default: md]",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write it there instead of to stdout.",
)
@wishes
@click.pass_obj
def report(wish: Wish, run: str, *, form: str | None, out: Path | None) -> None:
    """Report on a run: books, rates, waits, failures, a sample, who did what, what is next."""
    from proctor.engine.writing import replace_now
    from proctor.ui.out import answer
    from proctor.ui.reports.files import RENDER
    from proctor.ui.session import with_app

    if wish.json and form not in (None, "json") and out is None:
        raise UsageError(
            "--json prints JSON",
            found=f"--format {form}",
            fix="leave one of them out, or add --out",
        )
    chosen = form or ("json" if wish.json else "md")
    text = RENDER[chosen](with_app(wish, lambda app: app.report(run)))
    if out is None:
        click.echo(text, nl=False)
        return
    try:
        replace_now(out, text)
    except OSError as error:
        raise UsageError(
            "the report cannot be written",
            found=f"{out}: {error.strerror}",
            fix="name a file in a folder that you may write to",
        ) from error
    answer(wish, {"run": run, "format": chosen, "file": out.resolve()}, str(out))


async def _watch(app: App, run: str | None) -> Snapshot:
    from proctor.ui import lines

    found = run or await _active(app)
    last: Snapshot | None = None
    with lines.view() as view:
        async for last in app.watch(found):
            view(last)
    if last is None:  # a run that is found yields at least once
        raise UsageError(f"run {found} cannot be watched")
    return last


async def _active(app: App) -> str:
    from proctor.model import RunState

    moving = {
        RunState.QUEUED,
        RunState.RUNNING,
        RunState.PAUSING,
        RunState.CANCELLING,
        RunState.ROLLING_BACK,
    }
    for seen in await app.status():
        if seen.run.state in moving and not seen.run.interrupted:
            return seen.run.id
    raise UsageError(
        "no run is active",
        found=f"environment {app.env}",
        fix="see `proctor status` for the others",
    )
