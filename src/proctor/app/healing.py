"""What the command `health` does."""

from __future__ import annotations

from collections.abc import Mapping

from proctor.app.facade import App
from proctor.engine.health import MOST, Health, Lacking, Since, examine_health


async def examine(
    app: App,
    name: str,
    *,
    params: Mapping[str, str] | None = None,
    since: Since | None = None,
    most: int = MOST,
) -> Health:
    """What of a backfill still lacks its fill, and a plan for exactly that."""
    async with app.site.events.flushing():
        return await examine_health(
            app.site, app.backfill(name), params or {}, since=since, most=most
        )


__all__ = ["MOST", "Health", "Lacking", "Since", "examine"]
