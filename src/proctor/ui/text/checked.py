"""What checks say of rows, one line each: the verdict, and why in words and numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.console import RenderableType
from rich.text import Text

from proctor.engine.audit import Audit
from proctor.engine.coverage import Covered
from proctor.engine.latest import Examined
from proctor.model import Checked, Ruling
from proctor.ui import words
from proctor.ui.text.blocks import facts, heading, listing, table

COLOURS: Final = {Ruling.PASS: "green", Ruling.FAIL: "red", Ruling.INCONCLUSIVE: "yellow"}


def verdicts(found: Sequence[Checked], of: str = "of the rows shown") -> list[RenderableType]:
    """A block of its own; nothing where there are no checks."""
    if not found:
        return []
    rows: list[tuple[str | Text, ...]] = [
        (
            Text(one.verdict.value, style=COLOURS[one.verdict]),
            one.level.value,
            one.kind,
            words.visible(one.field),
            words.visible(f"{one.reason}; of {one.over}" if one.over else one.reason),
        )
        for one in found
    ]
    return [
        Text(),
        heading("Checks", of),
        table(("verdict", "level", "check", "of", "why"), rows),
    ]


def audited(seen: Audit) -> list[RenderableType]:
    """The verdict, each check's, what they prove of all rows, and some of the sample."""
    drawn = f"{seen.rows:,} of the {seen.population:,} rows that run {seen.run} wrote"
    said: list[RenderableType] = [
        heading(f"Audit: {seen.backfill} in {seen.env}", "nothing was written"),
        facts(
            (
                ("verdict", seen.verdict.value),
                ("why", seen.reason),
                ("milestone", words.visible(seen.milestone)),
                ("sample", drawn),
                ("gone since", words.count(seen.gone) if seen.gone else ""),
                ("drawn", f"the smallest SHA-256 of RUN/MILESTONE/KEY; keys: {seen.drawn[:12]}"),
            )
        ),
        *verdicts(seen.checks, "of the sample"),
    ]
    if seen.claims:
        claims = [
            (c.kind, words.visible(c.field), words.visible(c.stratum), c.told) for c in seen.claims
        ]
        of_all = "of all rows that were written"
        said += [Text(), heading("What that proves", of_all)]
        said.append(table(("check", "of", "where", "claim"), claims))
    if seen.shown:
        rows = [
            (
                words.key(key),
                "; ".join(f"{n}: {words.visible(v or 'null')}" for n, v in row.items()),
            )
            for key, row in seen.shown
        ]
        said += [Text(), heading("The first of them", "as they stand"), table(("key", "row"), rows)]
    return said + looked_at(seen.checks)


def looked_at(checks: Sequence[Checked]) -> list[RenderableType]:
    """The keys of rows that failed; nothing where none did."""
    keys = [
        f"{one.kind} of {one.field}: {', '.join(words.key(k) for k in one.keys)}"
        for one in checks
        if one.keys
    ]
    if not keys:
        return []
    return [Text(), heading("Rows to look at", "by key"), listing(map(words.visible, keys))]


def covered(seen: Covered) -> list[RenderableType]:
    """How much is done, and whether that was counted."""
    guessed = not seen.exact
    done = words.count(seen.done, estimated=guessed)
    part = "no row to fill" if seen.share is None else words.share(seen.done, seen.total)
    return [
        heading(f"Coverage: {seen.backfill} in {seen.env}", "nothing was written"),
        facts(
            (
                ("done", f"{done} of {words.count(seen.total, estimated=guessed)}"),
                ("share", part),
                ("eligible", f"{words.count(seen.eligible, estimated=guessed)} still to do"),
                ("counted", "every row" if seen.exact else "no: the server's guess; see --exact"),
            )
        ),
    ]


def examined(seen: Examined) -> list[RenderableType]:
    """The verdict over all, each check's, and the keys of rows to look at."""
    return [
        heading(f"Check: {seen.backfill} in {seen.env}", "nothing was written"),
        facts((("verdict", seen.verdict.value), ("why", seen.reason))),
        *verdicts(
            seen.checks,
            "of rows that are filled in"
            if any(one.over for one in seen.checks)
            else "of the latest rows that are filled in",
        ),
        *looked_at(seen.checks),
    ]
