"""Look at what stands there now: ready checks over the latest rows, or a sample of a run's."""

from __future__ import annotations

from pathlib import Path

import click

from proctor.ui.commands.teaching import Taught
from proctor.ui.options import (
    Wish,
    name_argument,
    pairs,
    params_option,
    run_argument,
    wishes,
)


@click.command(
    cls=Taught,
    writes="Nothing to the database; a line in the ledger with the verdict.",
    examples=(
        "proctor check song_moods",
        "proctor check song_moods --latest 1000 --env production",
        "proctor check song_moods --all",
        "proctor check song_moods --evidence target/run_results.json",
        "proctor check song_moods --json | jq .verdict",
    ),
)
@name_argument
@params_option
@click.option(
    "--latest",
    type=click.IntRange(1, 10_000),
    default=200,
    show_default=True,
    metavar="N",
    help="How many filled rows to look at, those with the highest keys.",
)
@click.option(
    "--all",
    "whole",
    is_flag=True,
    help="Have the database judge every filled row, by the checks that it can.",
)
@click.option(
    "--evidence",
    "files",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Results of dbt, Great Expectations, pandera or Pointblank to judge by as well.",
)
@wishes
@click.pass_obj
def check(
    wish: Wish,
    name: str,
    *,
    params: tuple[str, ...],
    latest: int,
    whole: bool,
    files: tuple[Path, ...],
) -> int:
    """Judge filled rows by the ready checks; exit 0 only for the verdict pass."""
    from proctor.ui.out import answer
    from proctor.ui.session import with_app
    from proctor.ui.text.checked import examined

    given = pairs(params, "--param")
    seen = with_app(
        wish,
        lambda app: app.check(name, params=given, latest=latest, whole=whole, files=files),
    )
    answer(wish, seen, *examined(seen))
    return 0 if seen.verdict.value == "pass" else 1


@click.command(
    cls=Taught,
    writes="Nothing.",
    examples=(
        "proctor coverage song_moods",
        "proctor coverage song_moods --exact --env production",
        "proctor coverage song_moods --json | jq .share",
    ),
)
@name_argument
@params_option
@click.option("--exact", is_flag=True, help="Count every row, however long that takes.")
@wishes
@click.pass_obj
def coverage(wish: Wish, name: str, *, params: tuple[str, ...], exact: bool) -> int:
    """Say how much of what a backfill is for is filled: counted, or as the server guesses."""
    from proctor.app.auditing import coverage_of
    from proctor.ui.out import answer
    from proctor.ui.session import with_app
    from proctor.ui.text.checked import covered

    given = pairs(params, "--param")
    seen = with_app(wish, lambda app: coverage_of(app, name, given, exact=exact))
    answer(wish, seen, *covered(seen))
    return 0


@click.command(
    cls=Taught,
    writes="Nothing to the database; a line in the ledger with the sample, verdict and claims.",
    examples=(
        "proctor audit 261122-0a1b2c3d",
        "proctor audit 261122-0a1b2c3d --milestone 10% --sample 300",
        "proctor audit 261122-0a1b2c3d --by provider --json | jq .claims",
    ),
)
@run_argument()
@click.option(
    "--sample",
    type=click.IntRange(1, 10_000),
    default=300,
    show_default=True,
    metavar="N",
    help="How many of the rows that the run wrote to judge.",
)
@click.option(
    "--milestone",
    default="",
    metavar="TEXT",
    help="A name for the sample: another name draws another one.",
)
@click.option("--by", default="", metavar="COLUMN", help="Also judge each of its values apart.")
@click.option(
    "--confidence",
    type=click.FloatRange(50, 99.99),
    default=95.0,
    show_default=True,
    metavar="PERCENT",
    help="How sure the claims are.",
)
@wishes
@click.pass_obj
def audit(wish: Wish, run: str, *, sample: int, milestone: str, by: str, confidence: float) -> int:
    """Judge a random sample of what a run wrote, and say what that proves; exit 0 for a pass."""
    from proctor.app.auditing import Wanted, audit_run
    from proctor.ui import documents
    from proctor.ui.out import answer
    from proctor.ui.session import with_app
    from proctor.ui.text.checked import audited

    wanted = Wanted(sample=sample, milestone=milestone, by=by, confidence=confidence / 100)
    seen = with_app(wish, lambda app: audit_run(app, run, wanted))
    answer(wish, documents.audit(seen), *audited(seen))
    return 0 if seen.verdict.value == "pass" else 1


__all__ = ["audit", "check", "coverage"]
