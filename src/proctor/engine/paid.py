"""What a run gets whose function may ask providers.

What asks them is imported when there are any: no other run need wait for it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from proctor.authoring import Backfill
from proctor.core.sizing import in_waves
from proctor.engine.kit import Kit
from proctor.engine.site import Site, may_ask
from proctor.engine.turns import Gate
from proctor.errors import UsageError
from proctor.model import Reparse, Run
from proctor.ports import Asking

if TYPE_CHECKING:
    from proctor.engine.asker import Asker


def as_asker(asking: Asking | None) -> Asker | None:
    """What asks providers for a run, where anything does."""
    if asking is None:
        return None
    from proctor.engine.asker import Asker

    return asking if isinstance(asking, Asker) else None


async def let_ask(site: Site, kit: Kit) -> None:
    """Give a run its way to ask, if it may need one, and chunks that are a few waves of calls."""
    backfill = kit.backfill
    if not may_ask(backfill):
        return
    kit.asking = await site.asking(kit.run.id, backfill, kit.stopped)
    asker = as_asker(kit.asking)
    if asker is not None:
        from proctor.engine.links import Links

        kit.asking = asker = replace(
            asker,
            # Somebody named these rows, by --retry or --keys: what was no use is not final.
            anew=bool(kit.run.span.keys),
            paying=kit.reparse is not Reparse.ONLY,
            links=Links(
                purse=asker.answers.purse,
                clock=kit.clock,
                dice=kit.dice,
                backfill=backfill.name,
                params=kit.run.params,
                run=kit.run.id,
                mode=kit.reparse,
            ),
        )
    if asker is not None and asker.paying and (most := asker.together()):
        kit.asking = asker = replace(asker, batching=True)
        kit.pacing.questions = asker.waits
        kit.together = most
        kit.in_batch, kit.batch_open = asker.in_batch, asker.batch_open
        kit.seats = Gate(lambda: most, each=most)
    elif kit.asking is not None:
        kit.pacing.questions = kit.asking.waits
        together = backfill.concurrency * (backfill.batch or 1)
        kit.pacing.sizing = in_waves(kit.pacing.sizing, together)
        kit.seats = Gate(lambda: kit.lanes * backfill.concurrency)


async def reading_anew(
    site: Site, backfill: Backfill, asked: Reparse, former: Run | None, *, afresh: bool
) -> Reparse:
    """Whether a run reads kept replies anew: as was asked for, or as it was begun.

    A run that was begun so must not pay because a word was left out when it went on.
    """
    if asked is not Reparse.NO and not may_ask(backfill):
        raise UsageError(
            f"{backfill.name} has no replies to read anew",
            found="its function asks nobody",
            fix="leave --reparse out",
        )
    if asked is not Reparse.NO or former is None or afresh:
        return asked
    told = await site.events.ledger.events(run=former.id)
    begun = [e.data.get("reparse") for e in told if e.name in ("run.opened", "run.resumed")]
    return Reparse(begun[-1] or "") if begun else asked


async def tie(kit: Kit) -> None:
    """Put on record which answers which rows got: before these are written."""
    asker = as_asker(kit.asking)
    if asker is not None and asker.links is not None:
        await asker.links.put()
