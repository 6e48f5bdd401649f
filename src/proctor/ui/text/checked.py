"""What checks say of rows, one line each: the verdict, and why in words and numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.console import RenderableType
from rich.text import Text

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
            words.visible(one.reason),
        )
        for one in found
    ]
    return [
        Text(),
        heading("Checks", of),
        table(("verdict", "level", "check", "of", "why"), rows),
    ]


def examined(seen: Examined) -> list[RenderableType]:
    """The verdict over all, each check's, and the keys of rows to look at."""
    said: list[RenderableType] = [
        heading(f"Check: {seen.backfill} in {seen.env}", "nothing was written"),
        facts((("verdict", seen.verdict.value), ("why", seen.reason))),
        *verdicts(seen.checks, "of the latest rows that are filled in"),
    ]
    bad = [one for one in seen.checks if one.keys]
    if bad:
        keys = [
            f"{one.kind} of {one.field}: {', '.join(words.key(k) for k in one.keys)}" for one in bad
        ]
        said += [Text(), heading("Rows to look at", "by key"), listing(map(words.visible, keys))]
    return said
