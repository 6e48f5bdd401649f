"""Has ready checks judge a page: before its rows are written, and in a dry run."""

from __future__ import annotations

import asyncio

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from proctor.authoring import Backfill
from proctor.core.answer import Answered, Failure
from proctor.core.checks import Case, Detect, Reviewed, cases, judge, review
from proctor.core.emit import Emitting
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
    if spec.emits:
        return await asyncio.to_thread(review_units, backfill, page, answers, spec, detect)
    return await asyncio.to_thread(review, backfill.ready, page, answers, spec.fills, detect=detect)


def review_units(
    backfill: Backfill,
    page: Page,
    answers: Sequence[Answered],
    spec: Spec,
    detect: Detect | None,
) -> Reviewed:
    """The same for units that emit: each row is judged, and one that is rejected fails its unit."""
    seen = Reviewed(answers=list(answers))
    for i in range(len(answers)):
        unit = replace(page, keys=page.keys[i : i + 1], rows=page.rows[i : i + 1])
        few, rows = emitted_rows(unit, answers[i : i + 1], spec)
        one = review(backfill.ready, few, rows, spec.fills, detect=detect)
        if bad := [a for a in one.answers if isinstance(a, Failure)]:
            seen.answers[i] = bad[0]
            continue
        seen.warned.update(one.warned)
        seen.unsure.update(one.unsure)
    return seen


def emitted_rows(
    page: Page, answers: Sequence[Answered], spec: Spec
) -> tuple[Page, list[Answered]]:
    """The rows that units emit as answers of their own, each beside the unit that gave it."""
    keys, units, rows = [], [], list[Answered]()
    for i, answer in enumerate(answers):
        if not isinstance(answer, list) or isinstance(Emitting(spec).read(answer), Failure):
            continue  # settling says in better words what is wrong with it
        rows += [{name: row[name] for name in spec.fills} for row in answer]
        keys += [page.keys[i]] * len(answer)
        units += [page.rows[i]] * len(answer)
    nothing = [None] * len(rows)
    return Page(keys=keys, rows=units, versions=nothing, images=nothing), rows


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
    if spec.emits:
        page, answers = emitted_rows(page, answers, spec)
    rows: list[Case] = [case for case in cases(page, answers, spec.fills) if case is not None]
    each = [check for check in backfill.ready if not check.standing]
    found = await asyncio.to_thread(judge, each, rows, detect=detect)
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
