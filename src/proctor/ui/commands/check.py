"""Look at what stands there now: the ready checks of a backfill over its latest rows."""

from __future__ import annotations

import click

from proctor.ui.commands.teaching import Taught
from proctor.ui.options import Wish, name_argument, pairs, params_option, wishes


@click.command(
    cls=Taught,
    writes="Nothing to the database; a line in the ledger with the verdict.",
    examples=(
        "proctor check song_moods",
        "proctor check song_moods --latest 1000 --env production",
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
@wishes
@click.pass_obj
def check(wish: Wish, name: str, *, params: tuple[str, ...], latest: int) -> int:
    """Judge the latest filled rows by the ready checks; exit 0 only for the verdict pass."""
    from proctor.ui.out import answer
    from proctor.ui.session import with_app
    from proctor.ui.text.checked import examined

    given = pairs(params, "--param")
    seen = with_app(wish, lambda app: app.check(name, params=given, latest=latest))
    answer(wish, seen, *examined(seen))
    return 0 if seen.verdict.value == "pass" else 1


__all__ = ["check"]
