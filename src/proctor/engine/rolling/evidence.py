"""What an approval is of: every verdict so far, and the data as it stands at that moment."""

from __future__ import annotations

import hashlib
import json

from collections.abc import Mapping, Sequence
from typing import Any

from proctor.core.lifecycle import ACTIVE
from proctor.core.rolling import Standing
from proctor.core.rolling.standing import evidence
from proctor.engine.rolling.journal import Journal
from proctor.engine.site import Site
from proctor.engine.touched import still_held
from proctor.engine.undo import undoable
from proctor.model import LogEntry, Run

Told = tuple[str, dict[str, Any]]
"""The kind of an entry and what it says."""
CHUNKS = 50
"""Chunks of a run that are compared row by row, spread evenly over it."""


async def digest_now(site: Site, entries: Sequence[LogEntry], standing: Standing) -> str:
    """SHA-256 over the stages, the verdicts and the rows: other data is another digest.

    Anybody who can read the ledger and the target computes the same one.
    """
    seen = [list(one.items()) for one in evidence(entries)]
    accepted = [
        [one.data.get("verdict"), one.data.get("digest"), one.who] for one in standing.accepted
    ]
    facts = {name: await facts_of(site, run) for name, run in sorted(standing.runs.items())}
    told = {
        "definition": standing.definition,
        "stage": standing.stage,
        "evidence": seen,
        "accepted": accepted,
        "runs": facts,
    }
    text = json.dumps(told, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


async def facts_of(site: Site, run_id: str) -> Mapping[str, Any]:
    """What matters of a run: whether it is under way, how much it wrote, what still stands."""
    run = await site.store.run(run_id)
    if run.state in ACTIVE:
        return {"run": run.id, "state": "under way"}
    chunks = await site.store.chunks(run.id)
    books: dict[str, Any] = {
        "run": run.id,
        "state": run.state.value,
        "written": run.outcome.written,
        "undone": sum(one.undone for one in chunks),
    }
    return books | await _standing(site, run, [c.chunk.number for c in chunks if undoable(c)])


async def _standing(site: Site, run: Run, numbers: Sequence[int]) -> dict[str, Any]:
    """How many of the rows that it wrote are as it left them, over some of its chunks."""
    step = max(1, len(numbers) // CHUNKS)
    some = numbers[::step]
    counts = {"holds": 0, "changed": 0, "gone": 0}
    for number in some:
        found = await site.store.verify(run, number)
        counts["holds"] += found.restored
        counts["changed"] += found.changed
        counts["gone"] += found.gone
    spec = await site.store.spec_of(run.id)
    touched = await still_held(site.store, run, spec.touches)
    services = {"touched": touched.written, "touched and changed": touched.changed}
    return counts | services | {"of chunks": len(some)}


async def digest_of(journal: Journal, site: Site, about: Sequence[Told] = ()) -> str:
    """The same for a rollout in hand, with what is about to be written down."""
    now = journal.clock.now()
    coming = [LogEntry(kind=kind, at=now, who="", data=data) for kind, data in about]
    return await digest_now(site, [*journal.entries, *coming], journal.standing)


__all__ = ["Told", "digest_now", "digest_of", "facts_of"]
