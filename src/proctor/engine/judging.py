"""Has ready checks judge a page: before its rows are written, and in a dry run."""

from __future__ import annotations

import asyncio

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from proctor.authoring import Backfill
from proctor.core.answer import Answered
from proctor.core.checks import Case, Detect, Reviewed, cases, judge, review
from proctor.engine.events import Events
from proctor.engine.show import shown_key
from proctor.model import Checked, Event, Page, Spec


async def reviewed(
    backfill: Backfill,
    page: Page,
    answers: Sequence[Answered],
    spec: Spec,
    detect: Detect | None,
) -> Reviewed:
    """The page's answers without those that a check rejects; in a thread, for texts may be long."""
    if not backfill.ready:
        return Reviewed(answers=list(answers))
    return await asyncio.to_thread(review, backfill.ready, page, answers, spec.fills, detect=detect)


async def verdicts(
    backfill: Backfill,
    page: Page,
    answers: Sequence[Answered],
    spec: Spec,
    detect: Detect | None,
) -> tuple[Checked, ...]:
    """What each check says of these answers together."""
    if not backfill.ready:
        return ()
    rows: list[Case] = [case for case in cases(page, answers, spec.fills) if case is not None]
    found = await asyncio.to_thread(judge, backfill.ready, rows, detect=detect)
    return masked(found, spec)


def masked(found: Sequence[Checked], spec: Spec) -> tuple[Checked, ...]:
    """Verdicts as a person may see them: without sensitive columns in the keys of what failed."""
    return tuple(replace(one, keys=tuple(shown_key(k, spec) for k in one.keys)) for one in found)


def note(events: Events, run: str, chunk: int, seen: Reviewed) -> None:
    """Put on record what was written with a warning, or without a verdict."""
    for verdict, reasons in (("warning", seen.warned), ("inconclusive", seen.unsure)):
        for reason, rows in sorted(reasons.items()):
            events.emit("check.noted", run, chunk=chunk, verdict=verdict, why=reason, rows=rows)


def noted(told: Sequence[Event]) -> list[str]:
    """Sentences for a report, of all that was put on record."""
    books: Counter[tuple[str, str]] = Counter()
    for event in told:
        if event.name == "check.noted":
            data = event.data
            books[str(data.get("verdict")), str(data.get("why"))] += int(data.get("rows", 0))
    said = {"warning": "written with a warning", "inconclusive": "written without a verdict"}
    return [
        f"{rows:,} row{'' if rows == 1 else 's'} {said.get(verdict, verdict)} of {reason}"
        for (verdict, reason), rows in sorted(books.items(), key=lambda item: -item[1])
    ]
