"""What the commands `audit` and `coverage` do."""

from __future__ import annotations

from collections.abc import Mapping

from proctor.app.facade import App
from proctor.engine.audit import Audit, Wanted, audit
from proctor.engine.coverage import Covered, coverage


async def audit_run(app: App, run: str, wanted: Wanted) -> Audit:
    """Judge a recorded random sample of what a run wrote, and say what it proves."""
    from proctor.adapters.statistics import ExactStatistics

    statistics = ExactStatistics()
    found = await app.site.store.run(run)
    backfill = app.backfill(found.backfill)
    async with app.site.events.flushing():
        return await audit(app.site, found, backfill, wanted, statistics)


async def coverage_of(
    app: App, name: str, params: Mapping[str, str], *, exact: bool = False
) -> Covered:
    """How much of what a backfill is for is filled by now."""
    return await coverage(app.site, app.backfill(name), params, exact=exact)


__all__ = ["Audit", "Covered", "Wanted", "audit_run", "coverage_of"]
