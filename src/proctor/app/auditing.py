"""What the command `audit` does."""

from __future__ import annotations

from proctor.app.facade import App
from proctor.engine.audit import Audit, Wanted, audit


async def audit_run(app: App, run: str, wanted: Wanted) -> Audit:
    """Judge a recorded random sample of what a run wrote, and say what it proves."""
    from proctor.adapters.statistics import ExactStatistics

    statistics = ExactStatistics()
    found = await app.site.store.run(run)
    backfill = app.backfill(found.backfill)
    async with app.site.events.flushing():
        return await audit(app.site, found, backfill, wanted, statistics)


__all__ = ["Audit", "Wanted", "audit_run"]
