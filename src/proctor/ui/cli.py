"""The command line: its entry point, its sections, and the one place where errors end."""

from __future__ import annotations

import gc
import io
import os
import sys

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from proctor.ui.commands import (
    back,
    begin,
    check,
    foresee,
    health,
    keep,
    look,
    notify,
    rollout,
    steer,
    work,
)
from proctor.ui.commands.teaching import Sections
from proctor.ui.options import Wish, wishes

if TYPE_CHECKING:
    from datetime import timedelta

INTERRUPTED = 130
EXIT_CODES = """\b
Exit codes: 0 done, 1 finished but not clean, 2 wrong use, 3 held or refused
(needs a person), 130 interrupted (resumable).
"""


@click.group(
    cls=Sections,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EXIT_CODES,
)
@click.version_option(package_name="proctor", prog_name="proctor")
@wishes
@click.pass_context
def cli(context: click.Context) -> None:
    """Run backfills on live databases: planned, guarded, audited, exactly undone.

    A backfill fills a new or changed field for every row that already exists. Progress and
    logs go to stderr, the answer to stdout; --json makes the answer one JSON document.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


cli.take(
    "Begin", begin.init, begin.demo, begin.list_, begin.doctor, notify.notify, begin.completion
)
cli.take("Look ahead", foresee.plan, foresee.dry_run)
cli.take("Run", work.run, work.resume, work.ensure, work.failures)
cli.take("Look", look.status, look.watch, look.verify)
cli.take("Look", check.coverage, check.check, check.audit, health.health, look.report)
cli.take("Roll out", rollout.rollout, rollout.approve, rollout.reject)
cli.take("Steer", steer.pause, steer.cancel, steer.tune)
cli.take("Take back", back.rollback, back.prune, keep.answers)


def main(arguments: Sequence[str] | None = None, *, limits_ahead: timedelta | None = None) -> int:
    """Run one command line; the exit code. Errors become words here and nowhere else.

    limits_ahead: how far the time of providers' limits is moved, where a demo plays tomorrow.
    """
    if arguments is None:  # the process is ours: looking for garbage while modules load finds none
        gc.set_threshold(50_000, 20, 20)
    words = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        # A terminal that lacks a letter shows its code; it does not end the command.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    wish = Wish(limits_ahead=limits_ahead)
    try:
        code = cli.main(args=words, prog_name="proctor", standalone_mode=False, obj=wish)
    except click.exceptions.Exit as left:
        return left.exit_code
    except SystemExit as left:  # click's own way out of shell completion
        return left.code if isinstance(left.code, int) else 1
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted; what is committed stays, and a run can be resumed", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read us (a pager, head) has left: nothing can be said to anybody.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # noqa: BLE001 - the last place: nobody above would say it
        # A wrong option is found before --json is understood: look for the word itself.
        return _failed(error, wish, as_json=wish.json or "--json" in words)
    return code if isinstance(code, int) else 0


def _failed(error: Exception, wish: Wish, *, as_json: bool) -> int:
    from proctor.ui import faults

    fault = faults.understood(error, wish.redact, wish.env)
    if as_json:
        from proctor.ui import documents

        click.echo(documents.dump(documents.error(fault)))
    click.echo(faults.render(fault), err=True)
    if wish.debug:
        click.echo(faults.trace(error, wish.redact), err=True)
    return fault.exit_code
