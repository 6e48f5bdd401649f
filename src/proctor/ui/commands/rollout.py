"""Rollouts: drive one through its stages, and the words of the people who decide."""

from __future__ import annotations

from typing import Any

import click

from proctor.ui.commands.teaching import Taught
from proctor.ui.options import Wish, wishes

WRITES = (
    "What its stages say: runs write their fills, flags are set; a log of each step in the "
    "ledger; reports in .proctor/reports/ROLLOUT/."
)


@click.command(
    cls=Taught,
    writes=WRITES,
    examples=(
        "proctor rollout overnight",
        "proctor rollout overnight --show",
        "proctor rollout overnight --rehearse",
        "proctor rollout overnight --wait --env production",
        'proctor rollout overnight --retry "the flag tool is up again"',
    ),
)
@click.argument("name", metavar="[NAME]", required=False)
@click.option("--show", is_flag=True, help="Say what it would do and where it stands; do nothing.")
@click.option(
    "--rehearse",
    is_flag=True,
    help="Ask its soaks about times before, and say how often they would have been wrong.",
)
@click.option("--wait", "patient", is_flag=True, help="Wait for approvals instead of leaving.")
@click.option(
    "--retry",
    default="",
    metavar="REASON",
    help="Begin the stage at which it is held anew; the reason is on record.",
)
@click.option("--again", is_flag=True, help="Begin a new one although the latest has ended.")
@click.option(
    "--accept-changes",
    "accept",
    is_flag=True,
    help="Go on although its stages are not what they were when it began; on record.",
)
@click.option(
    "--speed",
    type=click.FloatRange(min=1.0, max=100_000.0),
    default=1.0,
    metavar="N",
    help="Begin it with a clock that runs N times as fast, to try it out; said in every report.",
)
@wishes
@click.pass_obj
def rollout(
    wish: Wish,
    /,
    name: str | None,
    *,
    show: bool,
    rehearse: bool,
    **words: Any,
) -> int:
    """Drive a rollout until it is through or held for a person; without NAME show those there are.

    Exit 0 only when it is through.
    """
    from proctor.app.rolling import RolloutOptions
    from proctor.ui.rolling import driven, listed, rehearsed, shown

    if name is None:
        return listed(wish)
    if show:
        return shown(wish, name)
    if rehearse:
        return rehearsed(wish, name)
    return driven(wish, name, RolloutOptions(**words))


@click.command(
    cls=Taught,
    writes="A word in the rollout's log: who, when, why, and the digest of what it is about.",
    examples=(
        'proctor approve r261122-0a1b2c3d --reason "looked at the sample of 10"',
        'proctor approve r2611 --force --reason "the drop is the holiday, see the ticket"',
    ),
)
@click.argument("ident", metavar="ROLLOUT")
@click.option("--reason", required=True, metavar="TEXT", help="What you looked at; on record.")
@click.option("--force", is_flag=True, help="Go on although the verdict is fail; on record.")
@wishes
@click.pass_obj
def approve(wish: Wish, ident: str, *, reason: str, force: bool) -> int:
    """Approve what a rollout is held for, exactly as it is now."""
    from proctor.app.approving import approve as approved
    from proctor.ui.out import answer
    from proctor.ui.session import with_app

    found, why = with_app(wish, lambda app: approved(app, ident, reason=reason, forced=force))
    document = {"rollout": found.id, "name": found.name, "state": found.state.value, "why": why}
    answer(wish, document, f"approved: {why}; go on with `proctor rollout {found.name}`")
    return 0


@click.command(
    cls=Taught,
    writes="A word in the rollout's log; whoever drives it then steps back: flag, run, rows.",
    examples=('proctor reject r261122-0a1b2c3d --reason "the texts are too long"',),
)
@click.argument("ident", metavar="ROLLOUT")
@click.option("--reason", required=True, metavar="TEXT", help="Why; on record.")
@wishes
@click.pass_obj
def reject(wish: Wish, ident: str, *, reason: str) -> int:
    """Give a rollout up: what it opened is closed, and it ends."""
    from proctor.app.approving import reject as rejected
    from proctor.ui.out import answer
    from proctor.ui.session import with_app

    found = with_app(wish, lambda app: rejected(app, ident, reason=reason))
    document = {"rollout": found.id, "name": found.name, "state": found.state.value}
    answer(wish, document, f"rejected; step back and end it with `proctor rollout {found.name}`")
    return 0


__all__ = ["approve", "reject", "rollout"]
