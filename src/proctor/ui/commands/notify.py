"""Tell people: where notices go, and whether they get there."""

from __future__ import annotations

import click

from proctor.ui.commands.teaching import Taught
from proctor.ui.options import Wish, wishes


@click.command(
    cls=Taught,
    writes="Nothing. With --test one message at each place that is configured.",
    examples=("proctor notify", "proctor notify --test", "proctor notify --test --place oncall"),
)
@click.option("--test", is_flag=True, help="Send a test message and say what came of it.")
@click.option("--place", metavar="NAME", help="Only the place of this name.")
@wishes
@click.pass_obj
def notify(wish: Wish, *, test: bool, place: str | None) -> int:
    """Show the places of [notify], or send each a test message; exit 1 if one does not work."""
    from proctor.app.notifying import places_seen, try_places
    from proctor.ui.out import answer
    from proctor.ui.session import with_app
    from proctor.ui.text.notices import places, tried

    if test:
        came = with_app(wish, lambda app: try_places(app, place))
        well = all(one.sent for one in came)
        answer(wish, {"ok": well, "tried": came}, *tried(came))
        return 0 if well else 1
    seen = with_app(wish, lambda app: places_seen(app, place))
    well = not any(one.wrong for one in seen)
    answer(wish, {"ok": well, "places": seen}, *places(seen))
    return 0 if well else 1


__all__ = ["notify"]
