"""Turns runs, rows and answers into what faces show; masks what is sensitive on the way."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from proctor.core.lifecycle import ACTIVE
from proctor.core.pace import Pace
from proctor.core.same import text_of
from proctor.engine.pacing import Pacing
from proctor.engine.snapshot import Estimate, Preview, Snapshot
from proctor.engine.worked import worked
from proctor.model import (
    ABSENT,
    ChunkRecord,
    ChunkState,
    Image,
    Issue,
    Key,
    Page,
    Run,
    Settled,
    Source,
    Span,
    Spec,
    Undone,
)

MASK = "•••"
SHOWN = 200
"""Characters of a value that a preview shows."""


def snapshot(
    run: Run,
    at: datetime,
    *,
    pace: Pace,
    chunks: int = 0,
    pacing: Pacing | None = None,
    lanes: int = 0,
    lease_for: timedelta | None = None,
    elapsed: timedelta | None = None,
) -> Snapshot:
    """The run at this moment, for every face alike.

    elapsed: the time worked where more is known of it than the run's row says.
    """
    silent = None
    if run.state in ACTIVE and run.heartbeat is not None:
        silent = max(timedelta(0), at - run.heartbeat)
    eta = pace.eta(max(0, run.expected - run.outcome.read)) if run.expected is not None else None
    return Snapshot(
        run=run,
        at=at,
        expected=run.expected,
        elapsed=worked(run, at) if elapsed is None else elapsed,
        rate=pace.rate(),
        eta=Estimate(low=eta[0], high=eta[1]) if eta else None,
        chunks_applied=chunks,
        chunk_rows=pacing.chunk_rows() if pacing else None,
        workers=lanes or None,
        throttle=pacing.signals if pacing else (),
        throttle_reason=(pacing.reason or pacing.questions()) if pacing else "",
        silent_for=silent,
        lease_left=lease_for - silent if silent is not None and lease_for is not None else None,
    )


def previews(
    page: Page, settled: Settled, spec: Spec, columns: Collection[str]
) -> tuple[Preview, ...]:
    """Before and after of every row of a page, as a dry run shows them.

    columns: those that the function used; of the others nothing is shown.
    """
    after = dict(zip(settled.index, settled.values, strict=True))
    reasons = {issue.key: issue for issue in settled.issues}
    shown = []
    for i, key in enumerate(page.keys):
        issue = reasons.get(key)
        before = images(page.images[i], spec)
        new = masked(
            ((n, text_of(v)) for n, v in zip(spec.writes, after.get(i, ()), strict=False)), spec
        )
        shown.append(
            Preview(
                key=shown_key(key, spec),
                bucket=issue.bucket.value if issue else "written",
                before=before or dict.fromkeys(spec.writes),
                after=new,
                inputs=inputs(page.rows[i], spec, columns),
                reason=issue.reason if issue else "",
            )
        )
    return tuple(shown)


def images(row: Sequence[Image] | None, spec: Spec) -> dict[str, str | None]:
    """Images of the written fields by name, masked; empty for a row that is not there."""
    return masked(((n, image_text(v)) for n, v in zip(spec.writes, row or (), strict=False)), spec)


def inputs(row: Mapping[str, Any], spec: Spec, columns: Collection[str]) -> dict[str, str | None]:
    """What the function used of a row, without the fields that it fills."""
    filled = {name.partition(".")[0] for name in spec.writes}
    used = (n for n in row if n in columns and n not in filled)
    return masked(((n, text_of(row[n])) for n in used), spec)


def masked(pairs: Iterable[tuple[str, str | None]], spec: Spec) -> dict[str, str | None]:
    """Sensitive fields as bullets, the others cut to what fits on a screen."""
    hidden = set(spec.sensitive)
    return {
        name: None if text is None else MASK if is_hidden(name, hidden) else cut(text)
        for name, text in pairs
    }


def is_hidden(name: str, sensitive: set[str]) -> bool:
    """Whether a field is marked sensitive, lies in one that is, or holds one."""
    return any(f"{name}.".startswith(f"{s}.") or s.startswith(f"{name}.") for s in sensitive)


def shown_key(key: Key, spec: Spec) -> Key:
    """A key with its sensitive columns as bullets."""
    hidden = set(spec.sensitive)
    return tuple(
        MASK if is_hidden(part.column, hidden) else value
        for part, value in zip(spec.key, key, strict=True)
    )


def shown_span(span: Span, spec: Spec) -> Span:
    """A part of the key space as a person may see it; not one to run or undo."""
    start, stop = (k if k is None else shown_key(k, spec) for k in (span.start, span.stop))
    keys = tuple(shown_key(k, spec) for k in span.keys)
    return replace(span, start=start, stop=stop, keys=keys)


def shown_run(run: Run, spec: Spec) -> Run:
    """A run as a person may see it."""
    return replace(run, span=shown_span(run.span, spec))


def shown_undone(books: Undone, spec: Spec) -> Undone:
    """The books of an undo as a person may see them."""
    return replace(
        books, left=tuple(replace(i, key=shown_key(i.key, spec.written)) for i in books.left)
    )


def in_key_order(issues: Iterable[Issue], spec: Spec) -> list[Issue]:
    """For people to find a row in a list; only a store knows the exact order of texts."""
    found = list(issues)
    for place in reversed(range(len(spec.key))):
        found.sort(
            key=lambda issue: (isinstance(issue.key[place], str), issue.key[place]),
            reverse=spec.key[place].descending,
        )
    return found


def source_of(spec: Spec) -> str:
    """Where the rows come from; empty where that is the table that is filled."""
    if spec.kind is Source.QUERY:
        return "a grid" if spec.attempts else "a query"
    return "" if spec.source == spec.target else spec.source


def plural(number: int, noun: str) -> str:
    """A number with its noun: 1 row, 3,421 rows."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def money(usd: Decimal) -> str:
    """US dollars: to the cent, and of small sums the two digits that say something."""
    if usd and abs(usd) < Decimal("0.1"):
        return f"${usd:.{1 - usd.adjusted()}f}"
    return f"${usd:,.2f}"


def cost(spent: Decimal, held: Decimal) -> str:
    """Money that is spent, and money held for calls whose end nobody knows: that counts, too."""
    return f"spent {money(spent)}, held {money(held)}"


def cut(text: str, most: int = SHOWN) -> str:
    """At most `most` characters, with a sign that there was more."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def image_text(image: Image) -> str | None:
    """An image as a person reads it."""
    return None if image is None or image is ABSENT else str(image)


def rates(chunks: Sequence[ChunkRecord], *, points: int = 200) -> list[tuple[datetime, float]]:
    """Rows a second over time, from when the chunks were applied."""
    done = sorted(
        (c.applied, c.outcome.read)
        for c in chunks
        if c.applied is not None and c.state is ChunkState.APPLIED
    )
    if len(done) < 2:
        return []
    start, end = done[0][0], done[-1][0]
    width = max((end - start).total_seconds() / points, 0.25)
    bins: dict[int, int] = {}
    for at, read in done:
        slot = int((at - start).total_seconds() / width)
        bins[slot] = bins.get(slot, 0) + read
    last = max(bins)
    return [
        (start + timedelta(seconds=width * (slot + 0.5)), bins.get(slot, 0) / width)
        for slot in range(last + 1)
    ]
