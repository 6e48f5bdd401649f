"""What a run gets whose function may ask providers."""

from __future__ import annotations

from dataclasses import replace

from proctor.core.sizing import in_waves
from proctor.engine.asker import Asker
from proctor.engine.kit import Kit
from proctor.engine.site import Site, may_ask
from proctor.engine.turns import Gate


async def let_ask(site: Site, kit: Kit) -> None:
    """Give a run its way to ask, if it may need one, and chunks that are a few waves of calls."""
    backfill = kit.backfill
    if not may_ask(backfill):
        return
    kit.asking = await site.asking(kit.run.id, backfill, kit.stopped)
    if isinstance(kit.asking, Asker) and kit.run.span.keys:
        # Somebody named these rows, by --retry or --keys: replies that were no use are not final.
        kit.asking = replace(kit.asking, anew=True)
    if kit.asking is not None:
        kit.pacing.questions = kit.asking.waits
        together = backfill.concurrency * (backfill.batch or 1)
        kit.pacing.sizing = in_waves(kit.pacing.sizing, together)
        kit.seats = Gate(lambda: kit.lanes * backfill.concurrency)
