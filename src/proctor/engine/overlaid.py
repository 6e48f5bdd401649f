"""Runs that lie over one another are undone newest first: a newer one's before-images are ours."""

from __future__ import annotations

from collections.abc import Sequence

from proctor.errors import HeldError
from proctor.model import Run, RunState, Touch, shared_fields, touched_books
from proctor.ports import Store


async def refuse_if_overlaid(store: Store, run: Run) -> None:
    """Runs that overlap are undone newest first: a newer one's before-images are ours."""
    for other in await store.runs():
        if other.id == run.id:
            return
        if (
            other.place == run.place
            and shared_fields(run.writes, other.writes)
            and other.outcome.written
            and other.state is not RunState.ROLLED_BACK
        ):
            raise HeldError(
                f"run {run.id} lies under a newer run on the same fields",
                found=f"run {other.id} of {other.backfill} wrote to them since",
                fix=f"roll back the newest first: proctor rollback {other.id}",
            )


async def refuse_if_touched_since(store: Store, run: Run, touches: Sequence[Touch]) -> None:
    """Newest first, as with fills: what a newer run found before its call is ours."""
    mine = {touch.table for touch in touches}
    for other in await store.runs():
        if other.id == run.id:
            return
        if other.state is RunState.ROLLED_BACK:
            continue
        books = touched_books(await store.touched(other.id), ())
        if shared := [t.table for t in books.tables if t.rows and t.table in mine]:
            raise HeldError(
                f"run {run.id} lies under a newer run whose service wrote to the same tables",
                found=f"run {other.id} of {other.backfill} wrote to {', '.join(shared)} since",
                fix=f"roll back the newest first: proctor rollback {other.id} --touched",
            )
