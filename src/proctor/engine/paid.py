"""What a run gets whose function may ask providers."""

from __future__ import annotations

from proctor.core.sizing import in_waves
from proctor.engine.kit import Kit
from proctor.engine.site import Site, may_ask
from proctor.engine.turns import Gate


async def let_ask(site: Site, kit: Kit) -> None:
    """Give a run its way to ask, if it may need one, and chunks that are a few waves of calls."""
    backfill = kit.backfill
    if not may_ask(backfill):
        return
    kit.asking = await site.asking(kit.run.id, backfill, kit.stopped)
    if kit.asking is not None:
        kit.pacing.questions = kit.asking.waits
        together = backfill.concurrency * (backfill.batch or 1)
        kit.pacing.sizing = in_waves(kit.pacing.sizing, together)
        kit.seats = Gate(lambda: kit.lanes * backfill.concurrency)
