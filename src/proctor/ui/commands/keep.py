"""Paid answers that are kept: hand them out, and forget them."""

from __future__ import annotations

import contextlib
import sys

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from proctor.errors import NotConfirmed, UsageError
from proctor.ui.commands.teaching import Taught
from proctor.ui.options import Wish, length, wishes, yes_option

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from proctor.app import App
    from proctor.app.keeping import Cut


@click.command(
    cls=Taught,
    writes="`export`: FILE, if one is named. `prune`: removes answers from the ledger; the same "
    "questions are then paid again.",
    examples=(
        "proctor answers export --backfill moods --out moods.jsonl",
        "proctor answers prune --dry-run",
        "proctor answers prune --older-than 90d",
    ),
)
@click.argument("what", metavar="export|prune", type=click.Choice(["export", "prune"]))
@click.option("--run", metavar="RUN", help="Export: answers that this run asked for.")
@click.option("--backfill", metavar="NAME", help="Export: answers of this backfill.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Export: to a new file.  [default: stdout]",
)
@click.option("--older-than", metavar="D", help="Prune: answers older than this: 30d, 12h, 4w.")
@click.option("--dry-run", is_flag=True, help="Prune: only say what would be forgotten.")
@yes_option
@wishes
@click.pass_obj
def answers(
    wish: Wish,
    *,
    what: str,
    run: str | None,
    backfill: str | None,
    out: Path | None,
    older_than: str | None,
    dry_run: bool,
    yes: bool,
) -> int:
    """Export the paid answers that are kept, as JSON lines, or forget old ones."""
    if what == "export":
        _refuse_words(what, {"--older-than": older_than, "--dry-run": dry_run})
        return _export(wish, run or "", backfill or "", out)
    _refuse_words(what, {"--run": run, "--backfill": backfill, "--out": out})
    return _prune(wish, older_than, dry_run=dry_run, yes=yes)


def _refuse_words(what: str, words: dict[str, Any]) -> None:
    for name, value in words.items():
        if value:
            raise UsageError(f"`answers {what}` does not take {name}", fix="see --help")


def _export(wish: Wish, run: str, backfill: str, out: Path | None) -> int:
    from proctor.ui.out import answer, note
    from proctor.ui.session import with_app

    if out is None:
        # Taken now: while the author's modules are imported, stdout is not theirs to print to.
        echo = partial(click.echo, file=sys.stdout)
        count = with_app(wish, lambda app: _write(app, run, backfill, echo))
        of = f" of {run or backfill}" if run or backfill else ""
        note(f"{count:,} answers{of} exported")
        return 0
    try:
        file = out.open("x", encoding="utf-8")
    except FileExistsError as error:
        raise UsageError(
            "the file is there already", found=str(out), fix="name another file, or move it"
        ) from error
    except OSError as error:
        raise UsageError(
            "the file cannot be written",
            found=f"{out}: {error.strerror}",
            fix="name a file in a folder that you may write to",
        ) from error
    try:
        with file:

            def say(line: str) -> None:
                file.write(f"{line}\n")

            count = with_app(wish, lambda app: _write(app, run, backfill, say))
    except BaseException:
        out.unlink()  # half an export must not be mistaken for a whole one
        raise
    answer(wish, {"answers": count, "file": out.resolve()}, f"{count:,} answers: {out}")
    return 0


async def _write(app: App, run: str, backfill: str, say: Callable[[str], None]) -> int:
    import json

    from proctor.app.keeping import export

    count = 0
    async with contextlib.aclosing(export(app, run=run, backfill=backfill)) as documents:
        async for document in documents:
            say(json.dumps(document))
            count += 1
    return count


def _prune(wish: Wish, older_than: str | None, *, dry_run: bool, yes: bool) -> int:
    from proctor.app.keeping import prunable, prune
    from proctor.ui.out import answer
    from proctor.ui.session import agreed, configured, typed_yes, with_app

    age = length(older_than, "--older-than") if older_than else None
    plan = with_app(wish, lambda app: prunable(app, age))
    going = [cut for cut in plan if not cut.needed]
    told = [_told(cut) for cut in plan]
    some = f"{sum(cut.stock.answers for cut in going):,} answers of {len(going):,} runs"
    if dry_run or not going:
        said = f"up to {some} would be forgotten; nothing was written"
        answer(wish, {"answers": 0, "runs": told}, *_lines(plan), said)
        return 0
    question = f"Forget up to {some}? The same questions are then paid again."
    if configured(wish).env(wish.env).protected:
        if yes or not typed_yes(wish, question):
            raise NotConfirmed(
                f"environment {wish.env} is protected",
                found="no YES was typed",
                fix="run it at a terminal and type YES when asked",
            )
    elif not yes and not agreed(question):
        raise click.Abort
    done = with_app(wish, lambda app: prune(app, going))
    answer(wish, {"answers": done, "runs": told}, *_lines(plan), f"{done:,} answers are forgotten")
    return 0


def _told(cut: Cut) -> dict[str, Any]:
    stock = cut.stock
    return {
        "run": stock.run,
        "backfill": stock.backfill,
        "answers": stock.answers,
        "bytes": stock.size,
        "before": cut.before,
        "stays_because": cut.needed,
    }


def _lines(plan: Sequence[Cut]) -> list[str]:
    from proctor.ui import words

    return [
        words.visible(
            f"  {cut.stock.run}  {cut.stock.backfill}: {cut.stock.answers:,} answers"
            + (f", those before {cut.before:%Y-%m-%d %H:%M} UTC" if cut.before else "")
            + (f"; they stay: {cut.needed}" if cut.needed else "")
        )
        for cut in plan
    ]


__all__ = ["answers"]
