"""Steer: pause, cancel and tune a run from any terminal; it is heard within a second."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import click

from proctor.errors import UsageError
from proctor.ui.commands.teaching import Taught
from proctor.ui.options import Wish, pairs, run_argument, wishes

if TYPE_CHECKING:
    from proctor.app import App
    from proctor.model import Run


@click.command(
    cls=Taught,
    writes="The run's state; the chunks in hand are finished first.",
    examples=("proctor pause 261122-0a1b2c3d", "proctor resume 261122-0a1b2c3d"),
)
@run_argument()
@wishes
@click.pass_obj
def pause(wish: Wish, run: str) -> None:
    """Ask a run to stop after the chunks in hand; it can be resumed."""
    _told(wish, lambda app: app.pause(run))


@click.command(
    cls=Taught,
    writes="The run's state. What it wrote stays until `rollback`.",
    examples=("proctor cancel 261122-0a1b2c3d", "proctor rollback 261122-0a1b2c3d"),
)
@run_argument()
@wishes
@click.pass_obj
def cancel(wish: Wish, run: str) -> None:
    """Give a run up for good; it cannot be resumed."""
    _told(wish, lambda app: app.cancel(run))


@click.command(
    cls=Taught,
    writes="The run's knobs, on record with who and when.",
    examples=(
        "proctor tune 261122-0a1b2c3d chunk_rows=200 pause=0.5",
        "proctor tune 261122-0a1b2c3d rows_per_second=1000 workers=1",
        "proctor tune 261122-0a1b2c3d chunk_rows=auto",
    ),
)
@run_argument()
@click.argument("changes", metavar="KEY=VALUE…", nargs=-1)
@wishes
@click.pass_obj
def tune(wish: Wish, run: str, changes: tuple[str, ...]) -> None:
    """Change chunk_rows, workers, pause (seconds) or rows_per_second while a run goes on."""
    if not changes:
        raise UsageError(
            "say what to change",
            found="no KEY=VALUE",
            fix="for example: proctor tune RUN chunk_rows=200, or =auto",
        )
    given = pairs(changes, "tune RUN")
    _told(wish, lambda app: app.tune(run, given))


def _told(wish: Wish, word: Callable[[App], Awaitable[Run]]) -> None:
    from proctor.ui import documents
    from proctor.ui.out import answer
    from proctor.ui.session import with_app
    from proctor.ui.text.runs import hint_after, moved

    after = with_app(wish, word)
    answer(wish, documents.run(after), *moved(after, hint_after(after)))
