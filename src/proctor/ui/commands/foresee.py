"""Look ahead: the plan and the dry run; neither writes to the database."""

from __future__ import annotations

import shlex

from pathlib import Path

import click

from proctor.ui.commands.teaching import Taught
from proctor.ui.options import (
    Wish,
    name_argument,
    pairs,
    params_option,
    part_of,
    part_options,
    wishes,
)

paid_option = click.option(
    "--paid-sample",
    type=click.IntRange(1, 10_000),
    metavar="N",
    help="Ask providers for N rows, drawn from all: real calls, which cost and are kept.",
)


@click.command(
    cls=Taught,
    writes="Nothing to the database; FILE with --out; a line in the ledger that a plan was made, "
    "and with --paid-sample the answers paid for.",
    examples=(
        "proctor plan normalize_email",
        "proctor plan normalize_email --env production --out plan.json",
        "proctor plan song_moods --paid-sample 50",
        "proctor run normalize_email --env production --plan plan.json",
    ),
)
@name_argument
@params_option
@part_options
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the plan as JSON, to be reviewed and given to `run --plan`.",
)
@paid_option
@wishes
@click.pass_obj
def plan(
    wish: Wish,
    name: str,
    *,
    params: tuple[str, ...],
    limit: int | None,
    keys: tuple[str, ...],
    start: str | None,
    stop: str | None,
    out: Path | None,
    paid_sample: int | None,
) -> None:
    """Forecast a run: rows, chunks, time, log, a sample, warnings, and the digest to approve."""
    from proctor.engine.hints import pasteable
    from proctor.ui import documents
    from proctor.ui.out import answer, note
    from proctor.ui.session import with_app
    from proctor.ui.text.plan import plan as shown

    given = pairs(params, "--param")
    forecast = with_app(
        wish,
        lambda app: app.plan(
            name,
            params=given,
            part=part_of(len(app.backfill(name).spec.key), limit, keys, start, stop),
            paid_sample=paid_sample,
        ),
    )
    if out is not None:
        documents.write(forecast, out)
        command = pasteable(f"proctor run {name} --plan {shlex.quote(str(out))}", wish.env)
        note(f"plan written to {out}; run it with: {command}")
    answer(wish, forecast, *shown(forecast))


@click.command(
    "dry-run",
    cls=Taught,
    writes="Nothing: read-only transactions, and your function runs without access to databases. "
    "With --paid-sample the answers paid for are kept in the ledger.",
    examples=(
        "proctor dry-run normalize_email",
        "proctor dry-run normalize_email --sample 100",
        "proctor dry-run normalize_email --keys 17,42",
        "proctor dry-run song_moods --paid-sample 10",
    ),
)
@name_argument
@params_option
@click.option(
    "--sample",
    type=click.IntRange(1, 10_000),
    default=20,
    show_default=True,
    metavar="N",
    help="How many rows to compute.",
)
@paid_option
@part_options
@wishes
@click.pass_obj
def dry_run(
    wish: Wish,
    name: str,
    *,
    params: tuple[str, ...],
    sample: int,
    paid_sample: int | None,
    limit: int | None,
    keys: tuple[str, ...],
    start: str | None,
    stop: str | None,
) -> None:
    """Show before and after of real rows."""
    from proctor.ui.out import answer
    from proctor.ui.session import with_app
    from proctor.ui.text.plan import dry_run as shown

    given = pairs(params, "--param")
    found = with_app(
        wish,
        lambda app: app.dry_run(
            name,
            params=given,
            sample=sample,
            part=part_of(len(app.backfill(name).spec.key), limit, keys, start, stop),
            paid_sample=paid_sample,
        ),
    )
    answer(wish, found, *shown(found))
