"""Counts by a user's own SELECT, in a transaction in which the server refuses every write."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from proctor.adapters.stores.counts import counts, placed, refused
from proctor.adapters.stores.postgres.literal import scalar, text
from proctor.adapters.stores.postgres.pool import Pool
from proctor.model import Scalar


async def figures(
    pool: Pool, sql: str, told: Mapping[str, Scalar | datetime], within: timedelta | None
) -> dict[str, int]:
    """See the port."""

    def literal(name: str) -> str:
        value = told[name]
        if isinstance(value, datetime):
            return f"{text(value.isoformat())}::pg_catalog.timestamptz"
        return scalar(value)

    statement = placed(sql, told, literal)
    async with pool.read() as work:
        names, rows = await work.answer(statement, within=within)
    if not names:
        raise refused("gives no columns")
    return counts(names, rows)
