"""What the commands `answers` and `prune` do: export what is kept, forget what nobody needs."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from proctor.app.facade import App
from proctor.core.keeping import Cut, Keep
from proctor.engine import keeping
from proctor.engine import prune as undo_data


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


async def key_columns(app: App, run: str | None, table: str | None) -> int:
    """Of how many columns the keys are that are typed beside a run or a table."""
    return await undo_data.key_columns(app.site, run, table)


__all__ = ["Cut", "export", "key_columns", "prunable", "prune"]
