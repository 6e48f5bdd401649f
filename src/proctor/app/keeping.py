"""What the command `answers` does: export what is kept, and forget what nobody needs."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from proctor.app.facade import App
from proctor.core.keeping import Cut, Keep
from proctor.engine import keeping


def export(
    app: App, *, run: str = "", backfill: str = ""
) -> AsyncGenerator[Mapping[str, Any], None]:
    """Every kept answer, of a run or a backfill if named; on record when it is closed."""
    return keeping.exported(app.site, run, backfill)


async def prunable(app: App, age: timedelta | None) -> list[Cut]:
    """What `answers prune` would forget, and what must stay; `age` in place of proctor.toml's."""
    return await keeping.prunable(app.site, app.site.keep if age is None else Keep(age=age))


async def prune(app: App, plan: Sequence[Cut]) -> int:
    """Forget it, on record; how many answers that were."""
    return await keeping.forget(app.site, plan)


__all__ = ["Cut", "export", "prunable", "prune"]
